package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestMemberRoutes holds stars, roles, kicking and leaving against the contract.
func TestMemberRoutes(t *testing.T) {
	s := newSite(t)
	ada, bob, cyd, eve := s.register("ada"), s.register("bob"), s.register("cyd"), s.register("eve")
	g := s.group(ada, "lab")
	s.join(ada, g, bob)
	s.join(ada, g, cyd)
	path := "/api/v1/groups/" + g
	get := func(who account) (got group) {
		t.Helper()
		s.ok(http.StatusOK, &got, "GET", path, nil, who.as())
		return got
	}
	s.ok(http.StatusNoContent, nil, "PUT", path+"/star", nil, bob.as())
	if !get(bob).Starred || get(ada).Starred {
		t.Error("a star is not bob's alone")
	}
	s.ok(http.StatusNoContent, nil, "DELETE", path+"/star", nil, bob.as())
	if get(bob).Starred {
		t.Error("the star has stayed")
	}
	s.fails(http.StatusNotFound, "group_not_found", "PUT", path+"/star", nil, eve.as())

	member := func(who account) string { return path + "/members/" + who.ID }
	role := func(r string) map[string]string { return map[string]string{"role": r} }
	var m struct {
		UserID, Username, Role string
		JoinedAt               string `json:"joined_at"`
	}
	s.ok(http.StatusOK, &m, "PATCH", member(bob), role("admin"), ada.as())
	if m.Username != "bob" || m.Role != "admin" || m.JoinedAt == "" || get(bob).Role != "admin" {
		t.Errorf("promoted: %+v", m)
	}
	for _, c := range []struct {
		who    account
		method string
		whom   string
		role   string
		status int
		code   string
	}{
		{bob, "PATCH", member(ada), "member", 403, "role_too_low"},
		{bob, "PATCH", member(cyd), "admin", 403, "role_too_low"},
		{bob, "DELETE", member(ada), "", 403, "role_too_low"},
		{bob, "DELETE", member(bob), "", 409, "use_leave"},
		{cyd, "DELETE", member(bob), "", 403, "role_too_low"},
		{ada, "PATCH", member(ada), "admin", 409, "is_owner"},
		{ada, "PATCH", member(eve), "admin", 404, "member_not_found"},
		{ada, "DELETE", member(eve), "", 404, "member_not_found"},
		{ada, "DELETE", path + "/members/unknown", "", 404, "member_not_found"},
		{ada, "PATCH", member(bob), "boss", 422, "invalid"},
		{eve, "PATCH", member(bob), "viewer", 404, "group_not_found"},
		{eve, "DELETE", member(bob), "", 404, "group_not_found"},
		{bob, "DELETE", path, "", 403, "role_too_low"},
		{eve, "DELETE", path, "", 404, "group_not_found"},
		{eve, "POST", path + "/leave", "", 404, "group_not_found"},
	} {
		var body any
		if c.role != "" {
			body = role(c.role)
		}
		s.fails(c.status, c.code, c.method, c.whom, body, c.who.as())
	}
	s.ok(http.StatusOK, nil, "PATCH", member(bob), role("owner"), ada.as())
	if get(bob).Role != "owner" || get(ada).Role != "admin" {
		t.Errorf("after the hand-over bob is %s, ada %s", get(bob).Role, get(ada).Role)
	}
	s.ok(http.StatusNoContent, nil, "DELETE", member(cyd), nil, ada.as())
	s.fails(http.StatusNotFound, "group_not_found", "GET", path, nil, cyd.as())
	s.ok(http.StatusNoContent, nil, "POST", path+"/leave", nil, bob.as())
	if got := get(ada); got.Role != "owner" || got.Members != 1 {
		t.Errorf("ada alone: %+v", got)
	}
	s.ok(http.StatusNoContent, nil, "POST", path+"/leave", nil, ada.as())
	s.fails(http.StatusNotFound, "group_not_found", "GET", path, nil, ada.as())
}

func TestPendingInvitationRoutes(t *testing.T) {
	s := newSite(t)
	ada, bob, eve := s.register("ada"), s.register("bob"), s.register("eve")
	g, other := s.group(ada, "lab"), s.group(eve, "other")
	type invitation struct {
		ID   string
		User struct{ Username string }
	}
	invite := func(owner account, group string) (i invitation) {
		t.Helper()
		s.ok(http.StatusCreated, &i, "POST", "/api/v1/groups/"+group+"/invitations", map[string]string{"username": "bob"}, owner.as())
		return i
	}
	path := "/api/v1/groups/" + g + "/invitations"
	i := invite(ada, g)
	var list struct{ Items []invitation }
	s.ok(http.StatusOK, &list, "GET", path, nil, ada.as())
	if len(list.Items) != 1 || list.Items[0] != i || i.User.Username != "bob" {
		t.Errorf("pending: %+v", list.Items)
	}
	// The same for one that is not there, that is another group's, and to whom the group is not.
	for _, c := range []struct {
		who  account
		path string
		code string
	}{
		{eve, path + "/" + i.ID, "group_not_found"},
		{eve, "/api/v1/groups/" + other + "/invitations/" + i.ID, "invitation_not_found"},
		{eve, "/api/v1/groups/" + other + "/invitations/unknown", "invitation_not_found"},
		{bob, path + "/" + i.ID, "group_not_found"},
	} {
		s.fails(http.StatusNotFound, c.code, "DELETE", c.path, nil, c.who.as())
	}
	s.fails(http.StatusNotFound, "group_not_found", "GET", path, nil, bob.as())
	s.ok(http.StatusNoContent, nil, "DELETE", path+"/"+i.ID, nil, ada.as())
	s.fails(http.StatusNotFound, "invitation_not_found", "POST", "/api/v1/invitations/"+i.ID+"/accept", nil, bob.as())

	all := func(how, want string) {
		t.Helper()
		r := s.ok(http.StatusOK, nil, "POST", "/api/v1/invitations/"+how, nil, bob.as())
		if got := strings.TrimSpace(string(r.body)); got != want {
			t.Errorf("%s: %s, want %s", how, got, want)
		}
	}
	invite(ada, g)
	invite(eve, other)
	all("decline-all", `{"count":2}`)
	all("accept-all", `{"count":0}`)
	invite(ada, g)
	invite(eve, other)
	all("accept-all", `{"count":2}`)
	var mine struct{ Items []group }
	s.ok(http.StatusOK, &mine, "GET", "/api/v1/groups", nil, bob.as())
	if len(mine.Items) != 2 {
		t.Errorf("bob is in %+v", mine.Items)
	}
}

// TestGroupsKeepToThemselves: a group that is not there and one that is not yours
// are told in the same words, whatever is asked of them.
func TestGroupsKeepToThemselves(t *testing.T) {
	s := newSite(t)
	ada, eve := s.register("ada"), s.register("eve")
	g := s.group(ada, "lab")
	l := s.link(ada, g, nil)
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "", nil},
		{"PATCH", "", map[string]string{"name": "mine"}},
		{"DELETE", "", nil},
		{"PUT", "/star", nil},
		{"DELETE", "/star", nil},
		{"POST", "/leave", nil},
		{"GET", "/members", nil},
		{"PATCH", "/members/" + ada.ID, map[string]string{"role": "viewer"}},
		{"DELETE", "/members/" + ada.ID, nil},
		{"DELETE", "/members/" + eve.ID, nil},
		{"GET", "/invitations", nil},
		{"POST", "/invitations", map[string]string{"username": "eve"}},
		{"POST", "/invitations", map[string]string{"username": "nobody"}},
		{"DELETE", "/invitations/" + l.ID, nil},
		{"GET", "/invite-links", nil},
		{"POST", "/invite-links", nil},
		{"POST", "/invite-links", map[string]any{"max_uses": 5}},
		{"DELETE", "/invite-links/" + l.ID, nil},
	} {
		foreign := s.fails(http.StatusNotFound, "group_not_found", c.method, "/api/v1/groups/"+g+c.path, c.body, eve.as())
		absent := s.fails(http.StatusNotFound, "group_not_found", c.method, "/api/v1/groups/01900000-0000-7000-8000-000000000000"+c.path, c.body, eve.as())
		if foreign.Detail != absent.Detail || foreign.Title != absent.Title {
			t.Errorf("%s %s: %q and %q", c.method, c.path, foreign.Detail, absent.Detail)
		}
	}
}
