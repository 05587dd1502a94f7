package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/httpapi"
)

type inviteLink struct {
	ID, Role, Code, URL string
	ExpiresAt           string `json:"expires_at"`
	MaxUses             int    `json:"max_uses"`
	Uses                int
	CreatedBy           struct{ ID, Username string } `json:"created_by"`
}

// link makes an invite link.
func (s *site) link(owner account, group string, body any) inviteLink {
	s.t.Helper()
	var l inviteLink
	s.ok(http.StatusCreated, &l, "POST", "/api/v1/groups/"+group+"/invite-links", body, owner.as())
	return l
}

func (s *site) links(owner account, group string) []inviteLink {
	s.t.Helper()
	var list struct{ Items []inviteLink }
	s.ok(http.StatusOK, &list, "GET", "/api/v1/groups/"+group+"/invite-links", nil, owner.as())
	return list.Items
}

func credentials(name, invite string) map[string]string {
	c := map[string]string{"username": name, "email": name + "@example.org", "password": password}
	if invite != "" {
		c["invite"] = invite
	}
	return c
}

const register = "/api/v1/auth/register"

func TestInviteLinkRoutes(t *testing.T) {
	s := newSite(t, func(_ *auth.Options, d *httpapi.Deps) { d.PublicURL = "https://firm.example" })
	ada, bob := s.register("ada"), s.register("bob")
	g := s.group(ada, "lab")
	path := "/api/v1/groups/" + g + "/invite-links"
	l := s.link(ada, g, nil)
	if l.Role != "member" || l.MaxUses != 1 || l.Uses != 0 || l.CreatedBy.Username != "ada" || l.CreatedBy.ID != ada.ID ||
		l.ExpiresAt != "2027-01-22T08:00:00.000Z" || l.URL != "https://firm.example/invite/"+l.Code || len(l.Code) < 26 {
		t.Errorf("made %+v", l)
	}
	if got := s.links(ada, g); len(got) != 1 || got[0].ID != l.ID || got[0].Code != "" || got[0].URL != "" {
		t.Errorf("listed %+v", got)
	}
	for _, c := range []struct {
		body   map[string]any
		fields string
	}{
		{map[string]any{"role": "owner"}, "body.role"},
		{map[string]any{"max_uses": 0}, "body.max_uses"},
		{map[string]any{"max_uses": 1001}, "body.max_uses"},
		{map[string]any{"expires_at": s.clock.now()}, "body.expires_at"},
		{map[string]any{"expires_at": s.clock.now().Add(90*24*time.Hour + time.Second)}, "body.expires_at"},
	} {
		if p := s.fails(http.StatusUnprocessableEntity, "invalid", "POST", path, c.body, ada.as()); p.fields() != c.fields {
			t.Errorf("%v: fields %q, want %q", c.body, p.fields(), c.fields)
		}
	}
	code := "/api/v1/invite-links/" + l.Code
	var preview struct {
		Group     struct{ ID, Name string }
		Role      string
		ExpiresAt string `json:"expires_at"`
	}
	r := s.ok(http.StatusOK, &preview, "GET", code, nil)
	if preview.Group.ID != g || preview.Group.Name != "lab" || preview.Role != "member" || preview.ExpiresAt != l.ExpiresAt ||
		strings.Contains(string(r.body), `"ada"`) {
		t.Errorf("anybody sees %s", r.body)
	}
	s.fails(http.StatusConflict, "already_member", "POST", code+"/join", nil, ada.as())
	var joined group
	s.ok(http.StatusOK, &joined, "POST", code+"/join", nil, bob.as())
	if joined.ID != g || joined.Role != "member" || joined.Members != 2 {
		t.Errorf("joined %+v", joined)
	}
	s.fails(http.StatusForbidden, "role_too_low", "POST", path, nil, bob.as())
	revoked := s.link(ada, g, nil)
	s.ok(http.StatusNoContent, nil, "DELETE", path+"/"+revoked.ID, nil, ada.as())
	s.fails(http.StatusNotFound, "invite_link_not_found", "DELETE", path+"/"+revoked.ID, nil, ada.as())
	expired := s.link(ada, g, map[string]any{"expires_at": s.clock.now().Add(time.Minute)})
	s.clock.add(time.Minute)
	eve := s.register("eve")
	for what, code := range map[string]string{"used up": l.Code, "revoked": revoked.Code, "expired": expired.Code, "unknown": "XYZ"} {
		for _, c := range []struct{ method, path string }{{"GET", ""}, {"POST", "/join"}} {
			p := s.fails(http.StatusNotFound, "invite_link_not_found", c.method, "/api/v1/invite-links/"+code+c.path, nil, eve.as())
			if p.Detail != s.fails(http.StatusNotFound, "invite_link_not_found", "GET", "/api/v1/invite-links/none", nil).Detail {
				t.Errorf("%s is told apart: %s", what, p.Detail)
			}
		}
	}
	s.fails(http.StatusMethodNotAllowed, "method_not_allowed", "PUT", "/api/v1/invite-links/"+l.Code, nil)
	s.send("GET", "/invite/"+l.Code, nil)
	for _, c := range []string{l.Code, revoked.Code, expired.Code} {
		if strings.Contains(s.log.String(), c) {
			t.Errorf("the code %s is in the log", c)
		}
	}
	if !strings.Contains(s.log.String(), "path=/api/v1/invite-links/{code}/join") {
		t.Error("the path is not in the log")
	}
}

// modes are the settings of registration in which an invite link makes an account.
var modes = map[string]func(*auth.Options, *httpapi.Deps){
	"open":   func(*auth.Options, *httpapi.Deps) {},
	"invite": func(o *auth.Options, _ *httpapi.Deps) { o.Registration, o.ByInvite = false, true },
}

// owned makes an owner with a group where nobody may register without a link.
func (s *site) owned() (account, string) {
	s.t.Helper()
	root := s.root()
	return root, s.group(root, "lab")
}

func TestRegistrationThroughAnInviteLink(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, mode)
			root, g := s.owned()
			if name == "invite" {
				s.fails(http.StatusForbidden, "invite_required", "POST", register, credentials("bob", ""))
			} else {
				s.ok(http.StatusCreated, nil, "POST", register, credentials("free", ""))
			}
			l := s.link(root, g, map[string]any{"role": "viewer"})
			var bob loggedIn
			// What is wrong with the account costs no use.
			bad := credentials("b", l.Code)
			s.fails(http.StatusUnprocessableEntity, "invalid", "POST", register, bad)
			s.fails(http.StatusConflict, "username_taken", "POST", register, credentials("root", l.Code))
			s.ok(http.StatusCreated, &bob, "POST", register, credentials("bob", l.Code))
			var mine struct{ Items []group }
			s.ok(http.StatusOK, &mine, "GET", "/api/v1/groups", nil, bearer(bob.AccessToken))
			if len(mine.Items) != 1 || mine.Items[0].ID != g || mine.Items[0].Role != "viewer" || mine.Items[0].Members != 2 {
				t.Errorf("bob is in %+v", mine.Items)
			}

			revoked := s.link(root, g, nil)
			s.ok(http.StatusNoContent, nil, "DELETE", "/api/v1/groups/"+g+"/invite-links/"+revoked.ID, nil, root.as())
			gone := s.group(root, "gone")
			ofGone := s.link(root, gone, nil)
			s.ok(http.StatusNoContent, nil, "DELETE", "/api/v1/groups/"+gone, nil, root.as())
			expired := s.link(root, g, map[string]any{"expires_at": s.clock.now().Add(time.Minute)})
			s.clock.add(time.Minute)
			for what, code := range map[string]string{
				"used up": l.Code, "revoked": revoked.Code, "expired": expired.Code, "of a deleted group": ofGone.Code, "unknown": "XYZ",
			} {
				s.fails(http.StatusNotFound, "invite_link_not_found", "POST", register, credentials("eve", code))
				s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", map[string]string{"login": "eve", "password": password})
				if t.Failed() {
					t.Fatal(what)
				}
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		s := newSite(t, func(o *auth.Options, _ *httpapi.Deps) { o.Registration = false })
		root, g := s.owned()
		l := s.link(root, g, nil)
		s.fails(http.StatusForbidden, "registration_closed", "POST", register, credentials("bob", l.Code))
		s.fails(http.StatusForbidden, "registration_closed", "POST", register, credentials("bob", ""))
		if got := s.links(root, g); got[0].Uses != 0 {
			t.Errorf("a use was taken: %+v", got)
		}
	})
}

// TestRaceForTheLastUse: of several who register with the last use of a link at
// the same time one has an account, and the group one member more.
func TestRaceForTheLastUse(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, mode)
			root, g := s.owned()
			l := s.link(root, g, nil)
			replies := make([]reply, 6)
			var wg sync.WaitGroup
			for i := range replies {
				wg.Go(func() {
					replies[i] = s.send("POST", register, credentials(fmt.Sprintf("racer-%d", i), l.Code))
				})
			}
			wg.Wait()
			made := 0
			for i, r := range replies {
				login := map[string]string{"login": fmt.Sprintf("racer-%d", i), "password": password}
				switch r.StatusCode {
				case http.StatusCreated:
					made++
					s.ok(http.StatusOK, nil, "POST", "/api/v1/auth/login", login)
				case http.StatusNotFound:
					s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", login)
				default:
					t.Errorf("%d: %s", r.StatusCode, r.body)
				}
			}
			var after group
			s.ok(http.StatusOK, &after, "GET", "/api/v1/groups/"+g, nil, root.as())
			if links := s.links(root, g); made != 1 || after.Members != 2 || links[0].Uses != 1 {
				t.Errorf("%d accounts, %d members, %+v", made, after.Members, links)
			}
		})
	}
}

func TestBadInviteCodesAreThrottled(t *testing.T) {
	s := newSite(t)
	root, g := s.owned()
	l := s.link(root, g, nil)
	for i := range 100 {
		s.fails(http.StatusNotFound, "invite_link_not_found", "GET", fmt.Sprint("/api/v1/invite-links/guess-", i), nil, from("192.0.2.7"))
	}
	s.fails(http.StatusTooManyRequests, "too_many_attempts", "GET", "/api/v1/invite-links/"+l.Code, nil, from("192.0.2.7"))
	s.fails(http.StatusTooManyRequests, "too_many_attempts", "POST", register, credentials("bob", l.Code), from("192.0.2.7"))
	s.ok(http.StatusOK, nil, "GET", "/api/v1/invite-links/"+l.Code, nil, from("192.0.2.8"))
	s.clock.add(5 * time.Minute)
	s.ok(http.StatusOK, nil, "GET", "/api/v1/invite-links/"+l.Code, nil, from("192.0.2.7"))
}
