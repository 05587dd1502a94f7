package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
)

type group struct {
	ID, Name, Description, Role string
	Members                     int
	Starred                     bool
	ResultRetentionS            *int   `json:"result_retention_s"`
	CreatedAt                   string `json:"created_at"`
}

func TestGroupRoutes(t *testing.T) {
	s := newSite(t)
	ada, bob := s.register("ada"), s.register("bob")
	var g group
	s.ok(http.StatusCreated, &g, "POST", "/api/v1/groups",
		map[string]any{"name": "lab", "description": "ours", "result_retention_s": 60}, ada.as())
	if g.Name != "lab" || g.Description != "ours" || g.Role != "owner" || g.Members != 1 || *g.ResultRetentionS != 60 {
		t.Errorf("made %+v", g)
	}
	path := "/api/v1/groups/" + g.ID
	for _, c := range []struct {
		body map[string]any
		want string // name and retention after it
	}{
		{map[string]any{}, "lab 60"},
		{map[string]any{"name": "new"}, "new 60"},
		{map[string]any{"result_retention_s": 0}, "new 0"},
		{map[string]any{"result_retention_s": 2592000}, "new 2592000"},
		{map[string]any{"result_retention_s": nil}, "new default"},
	} {
		var got group
		r := s.ok(http.StatusOK, &got, "PATCH", path, c.body, ada.as())
		name, number, _ := strings.Cut(c.want, " ")
		if number == "default" {
			number = "null"
		}
		if got.Name != name || !strings.Contains(string(r.body), `"result_retention_s":`+number+",") {
			t.Errorf("%v gave %s", c.body, r.body)
		}
	}
	for _, c := range []struct {
		body   map[string]any
		fields string
	}{
		{map[string]any{"name": "ab"}, "body.name"},
		{map[string]any{"name": strings.Repeat("é", 51), "description": strings.Repeat("é", 301)}, "body.name body.description"},
		{map[string]any{"result_retention_s": 2592001}, "body.result_retention_s"},
		{map[string]any{"result_retention_s": -1}, "body.result_retention_s"},
		{map[string]any{"result_retention_s": int64(1) << 62}, "body.result_retention_s"},
		{map[string]any{"result_retention_s": 1.5}, "body.result_retention_s"},
		{map[string]any{"result_retention_s": "1"}, "body.result_retention_s"},
		{map[string]any{"role": "owner"}, "body.role"},
	} {
		p := s.fails(http.StatusUnprocessableEntity, "invalid", "PATCH", path, c.body, ada.as())
		if p.fields() != c.fields {
			t.Errorf("%v: fields %q, want %q", c.body, p.fields(), c.fields)
		}
	}
	for _, method := range []string{"GET", "PATCH"} {
		body := map[string]any(nil)
		if method == "PATCH" {
			body = map[string]any{"name": "mine"}
		}
		s.fails(http.StatusNotFound, "group_not_found", method, path, body, bob.as())
		s.fails(http.StatusNotFound, "group_not_found", method, "/api/v1/groups/unknown", body, ada.as())
	}
	s.fails(http.StatusNotFound, "group_not_found", "GET", path+"/members", nil, bob.as())
	s.fails(http.StatusNotFound, "group_not_found", "POST", path+"/invitations", map[string]string{"username": "bob"}, bob.as())

	s.join(ada, g.ID, bob)
	var list struct{ Items []group }
	s.ok(http.StatusOK, &list, "GET", "/api/v1/groups", nil, bob.as())
	if len(list.Items) != 1 || list.Items[0].Role != "member" || list.Items[0].Members != 2 {
		t.Errorf("bob's groups: %+v", list.Items)
	}
	s.fails(http.StatusForbidden, "role_too_low", "PATCH", path, map[string]string{"name": "mine"}, bob.as())
	var members struct {
		Items []struct {
			UserID   string `json:"user_id"`
			Username string
			Role     string
			JoinedAt string `json:"joined_at"`
		}
		NextCursor *string `json:"next_cursor"`
	}
	s.ok(http.StatusOK, &members, "GET", path+"/members?limit=1", nil, bob.as())
	if len(members.Items) != 1 || members.Items[0].Username != "ada" || members.Items[0].Role != "owner" || members.NextCursor == nil {
		t.Fatalf("first page of members: %+v", members)
	}
	s.ok(http.StatusOK, &members, "GET", path+"/members?limit=1&cursor="+*members.NextCursor, nil, bob.as())
	if len(members.Items) != 1 || members.Items[0].UserID != bob.ID || members.NextCursor != nil || members.Items[0].JoinedAt == "" {
		t.Errorf("second page of members: %+v", members)
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	s := newSite(t)
	ada := s.register("ada")
	for _, path := range []string{"/api/v1/groups", "/api/v1/invitations", "/api/v1/tokens"} {
		r := s.ok(http.StatusOK, nil, "GET", path, nil, ada.as())
		if got := strings.TrimSpace(string(r.body)); got != `{"items":[],"next_cursor":null}` {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestInvitationRoutes(t *testing.T) {
	s := newSite(t)
	ada, bob, eve := s.register("ada"), s.register("bob"), s.register("eve")
	g := s.group(ada, "lab")
	invite := "/api/v1/groups/" + g + "/invitations"
	type invitation struct {
		ID        string
		Group     struct{ ID, Name string }
		User      struct{ ID, Username string }
		InvitedBy struct{ ID, Username string } `json:"invited_by"`
	}
	var i invitation
	s.ok(http.StatusCreated, &i, "POST", invite, map[string]string{"username": "bob"}, ada.as())
	s.fails(http.StatusConflict, "already_invited", "POST", invite, map[string]string{"username": "bob"}, ada.as())
	s.fails(http.StatusConflict, "already_member", "POST", invite, map[string]string{"username": "ada"}, ada.as())
	s.fails(http.StatusNotFound, "user_not_found", "POST", invite, map[string]string{"username": "nobody"}, ada.as())
	s.fails(http.StatusUnprocessableEntity, "invalid", "POST", invite, map[string]string{"username": ""}, ada.as())

	var list struct{ Items []invitation }
	s.ok(http.StatusOK, &list, "GET", "/api/v1/invitations", nil, bob.as())
	if len(list.Items) != 1 || list.Items[0] != i || i.Group.Name != "lab" || i.InvitedBy.Username != "ada" || i.User.ID != bob.ID {
		t.Errorf("bob's invitations: %+v, made %+v", list.Items, i)
	}
	s.ok(http.StatusOK, &list, "GET", "/api/v1/invitations", nil, ada.as())
	if len(list.Items) != 0 {
		t.Errorf("ada's invitations: %+v", list.Items)
	}
	answer := "/api/v1/invitations/" + i.ID
	s.fails(http.StatusNotFound, "invitation_not_found", "POST", answer+"/accept", nil, eve.as())
	s.fails(http.StatusNotFound, "invitation_not_found", "POST", answer+"/decline", nil, eve.as())
	s.ok(http.StatusNoContent, nil, "POST", answer+"/decline", nil, bob.as())
	s.fails(http.StatusNotFound, "invitation_not_found", "POST", answer+"/accept", nil, bob.as())
	s.fails(http.StatusNotFound, "group_not_found", "GET", "/api/v1/groups/"+g, nil, bob.as())

	s.join(ada, g, bob) // declined is not refused for ever
	s.fails(http.StatusForbidden, "role_too_low", "POST", invite, map[string]string{"username": "eve"}, bob.as())
}
