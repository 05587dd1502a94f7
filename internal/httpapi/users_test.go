package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/auth"
)

type loginList struct {
	Items []struct {
		ID         string
		Current    bool
		UserAgent  string `json:"user_agent"`
		Address    string
		CreatedAt  string `json:"created_at"`
		LastUsedAt string `json:"last_used_at"`
	}
	NextCursor *string `json:"next_cursor"`
}

func TestSessionRoutes(t *testing.T) {
	s := newSite(t)
	bob := s.register("bob")
	body := map[string]string{"username": "ada", "email": "ada@example.org", "password": password}
	var in loggedIn
	s.ok(http.StatusCreated, &in, "POST", "/api/v1/auth/register", body, from("192.0.2.1"), with("User-Agent", "one\x00\u202e "+strings.Repeat("é", 300)))
	ada := bearer(in.AccessToken)
	var second loggedIn
	s.clock.add(60_000_000_000)
	s.ok(http.StatusOK, &second, "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": password}, from("[2001:db8::2]"))
	var list loginList
	s.ok(http.StatusOK, &list, "GET", "/api/v1/me/sessions", nil, ada)
	if len(list.Items) != 2 || list.NextCursor != nil {
		t.Fatalf("list %+v", list)
	}
	newest, oldest := list.Items[0], list.Items[1]
	if newest.Current || newest.Address != "2001:db8::2" || newest.UserAgent != "" ||
		newest.CreatedAt != "2027-01-15T08:01:00.000Z" || newest.LastUsedAt != newest.CreatedAt {
		t.Errorf("the second login: %+v", newest)
	}
	if !oldest.Current || oldest.Address != "192.0.2.1" || oldest.UserAgent != "one "+strings.Repeat("é", 196) {
		t.Errorf("the first login: %+v", oldest)
	}

	s.ok(http.StatusOK, &in, "POST", "/api/v1/auth/refresh", map[string]string{"refresh_token": in.RefreshToken},
		from("192.0.2.9"), with("User-Agent", "two"))
	s.ok(http.StatusOK, &list, "GET", "/api/v1/me/sessions?limit=1", nil, ada)
	if len(list.Items) != 1 || list.NextCursor == nil {
		t.Fatalf("first page %+v", list)
	}
	s.ok(http.StatusOK, &list, "GET", "/api/v1/me/sessions?limit=1&cursor="+*list.NextCursor, nil, ada)
	if moved := list.Items[0]; moved.ID != oldest.ID || moved.Address != "192.0.2.9" || moved.UserAgent != "two" ||
		moved.CreatedAt != "2027-01-15T08:00:00.000Z" || moved.LastUsedAt != "2027-01-15T08:01:00.000Z" {
		t.Errorf("after a refresh from elsewhere: %+v", moved)
	}

	for _, bad := range []string{"limit=0", "cursor=%21"} {
		s.fails(http.StatusUnprocessableEntity, "invalid", "GET", "/api/v1/me/sessions?"+bad, nil, ada)
	}
	path := "/api/v1/me/sessions/" + newest.ID
	s.fails(http.StatusNotFound, "session_not_found", "DELETE", path, nil, bob.as())
	s.fails(http.StatusNotFound, "session_not_found", "DELETE", "/api/v1/me/sessions/none", nil, ada)
	s.ok(http.StatusNoContent, nil, "DELETE", path, nil, ada)
	s.fails(http.StatusNotFound, "session_not_found", "DELETE", path, nil, ada)
	s.fails(http.StatusUnauthorized, "unauthenticated", "GET", "/api/v1/me", nil, bearer(second.AccessToken))
	s.fails(http.StatusUnauthorized, "bad_refresh_token", "POST", "/api/v1/auth/refresh", map[string]string{"refresh_token": second.RefreshToken})
	s.ok(http.StatusNoContent, nil, "DELETE", "/api/v1/me/sessions/"+oldest.ID, nil, ada) // one's own
	s.fails(http.StatusUnauthorized, "unauthenticated", "GET", "/api/v1/me", nil, ada)
}

// root makes an administrator.
func (s *site) root() account {
	s.t.Helper()
	_, err := s.auth.PrepareAdmin(s.t.Context(), &auth.Registration{Username: "root", Email: "root@example.org", Password: password})
	if err != nil {
		s.t.Fatal(err)
	}
	var in loggedIn
	s.ok(http.StatusOK, &in, "POST", "/api/v1/auth/login", map[string]string{"login": "root", "password": password})
	return account{ID: in.User.ID, Access: in.AccessToken, Refresh: in.RefreshToken, Name: "root"}
}

type seenUser struct {
	ID, Username, Email string
	Admin, Disabled     bool
	CreatedAt           string  `json:"created_at"`
	LastLoginAt         *string `json:"last_login_at"`
	Groups              int
}

func TestUserList(t *testing.T) {
	s := newSite(t)
	root, ada := s.root(), s.register("ada")
	s.register("adam")
	bob := s.register("bob")
	s.group(ada, "lab")
	s.join(ada, s.group(ada, "shop"), bob)
	s.ok(http.StatusOK, nil, "PATCH", "/api/v1/admin/users/"+bob.ID, map[string]bool{"disabled": true}, root.as())
	find := func(query string) (names []string, users map[string]seenUser) {
		t.Helper()
		users = map[string]seenUser{}
		for path := "/api/v1/admin/users?" + query; path != ""; {
			var page struct {
				Items      []seenUser
				NextCursor *string `json:"next_cursor"`
			}
			s.ok(http.StatusOK, &page, "GET", path, nil, root.as())
			for _, u := range page.Items {
				names, users[u.Username] = append(names, u.Username), u
			}
			if path = ""; page.NextCursor != nil {
				path = "/api/v1/admin/users?" + query + "&cursor=" + *page.NextCursor
			}
		}
		return names, users
	}
	for query, want := range map[string]string{
		"": "root ada adam bob", "limit=1": "root ada adam bob", "q=ad": "ada adam", "q=ADAM@Example": "adam", "q=%25": "",
		"disabled=true": "bob", "disabled=false&q=b": "", "admin=true": "root", "admin=false&limit=2": "ada adam bob",
	} {
		if got, _ := find(query); strings.Join(got, " ") != want {
			t.Errorf("%q finds %v, want %s", query, got, want)
		}
	}
	_, users := find("")
	if u := users["ada"]; u.ID != ada.ID || u.Groups != 2 || u.Email != "ada@example.org" || u.LastLoginAt == nil ||
		*u.LastLoginAt != "2027-01-15T08:00:00.000Z" {
		t.Errorf("ada is %+v", u)
	}
	if u := users["bob"]; !u.Disabled || u.Groups != 1 {
		t.Errorf("bob is %+v", u)
	}
	for _, bad := range []string{"disabled=yes", "admin=1", "limit=201", "q=" + strings.Repeat("a", 255), "name=ada"} {
		s.fails(http.StatusUnprocessableEntity, "invalid", "GET", "/api/v1/admin/users?"+bad, nil, root.as())
	}
	s.fails(http.StatusForbidden, "not_admin", "GET", "/api/v1/admin/users", nil, ada.as())
}

func TestDisabling(t *testing.T) {
	s := newSite(t)
	root, ada := s.root(), s.register("ada")
	secret := s.token(ada, map[string]any{"kind": "api"}).Secret
	patch := func(id string, body any) (u seenUser) {
		t.Helper()
		s.ok(http.StatusOK, &u, "PATCH", "/api/v1/admin/users/"+id, body, root.as())
		return u
	}
	login := func(password string) map[string]string {
		return map[string]string{"login": "ada", "password": password}
	}
	if u := patch(ada.ID, map[string]bool{"disabled": true}); !u.Disabled || u.ID != ada.ID {
		t.Errorf("answer %+v", u)
	}
	for _, token := range []string{ada.Access, secret} {
		s.fails(http.StatusUnauthorized, "unauthenticated", "GET", "/api/v1/me", nil, bearer(token))
	}
	s.fails(http.StatusUnauthorized, "bad_refresh_token", "POST", "/api/v1/auth/refresh", map[string]string{"refresh_token": ada.Refresh})
	s.fails(http.StatusForbidden, "account_disabled", "POST", "/api/v1/auth/login", login(password))
	s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", login("wrong password"))

	if u := patch(ada.ID, map[string]bool{"disabled": false}); u.Disabled {
		t.Errorf("answer %+v", u)
	}
	s.ok(http.StatusOK, nil, "POST", "/api/v1/auth/login", login(password))
	s.ok(http.StatusOK, nil, "GET", "/api/v1/me", nil, bearer(secret))
	s.fails(http.StatusUnauthorized, "unauthenticated", "GET", "/api/v1/me", nil, ada.as()) // that session has ended

	s.fails(http.StatusConflict, "last_admin", "PATCH", "/api/v1/admin/users/"+root.ID, map[string]bool{"disabled": true}, root.as())
	s.fails(http.StatusConflict, "last_admin", "PATCH", "/api/v1/admin/users/"+root.ID, map[string]bool{"admin": false}, root.as())
	patch(ada.ID, map[string]bool{"admin": true})
	patch(ada.ID, map[string]bool{})
	patch(root.ID, map[string]bool{"admin": false})
	s.fails(http.StatusForbidden, "not_admin", "PATCH", "/api/v1/admin/users/"+ada.ID, map[string]bool{"admin": false}, root.as())
}

func TestBadUserChanges(t *testing.T) {
	s := newSite(t)
	root := s.root()
	s.fails(http.StatusNotFound, "user_not_found", "PATCH", "/api/v1/admin/users/none", map[string]bool{"admin": true}, root.as())
	path := "/api/v1/admin/users/" + root.ID
	for body, fields := range map[string]string{
		`{"disabled":"yes"}`: "body.disabled", `{"admin":1}`: "body.admin", `{"username":"x"}`: "body.username", `[]`: "body",
	} {
		if p := s.fails(http.StatusUnprocessableEntity, "invalid", "PATCH", path, body, root.as()); p.fields() != fields {
			t.Errorf("%s: fields %q", body, p.fields())
		}
	}
	s.fails(http.StatusBadRequest, "malformed", "PATCH", path, "{", root.as())
}

func TestDeleteMe(t *testing.T) {
	s := newSite(t)
	ada, bob := s.register("ada"), s.register("bob")
	shared, own := s.group(ada, "shared"), s.group(ada, "own")
	s.join(ada, shared, bob)
	secret := s.token(ada, map[string]any{"kind": "api"}).Secret
	const path = "/api/v1/me"
	body := func(password string) map[string]string { return map[string]string{"password": password} }
	s.fails(http.StatusForbidden, "wrong_password", "DELETE", path, body("wrong password"), ada.as())
	s.fails(http.StatusForbidden, "wrong_token_kind", "DELETE", path, body(password), bearer(secret))
	for body, fields := range map[string]string{`{}`: "body", `{"password":1}`: "body.password", `{"password":"x","sure":true}`: "body.sure"} {
		if p := s.fails(http.StatusUnprocessableEntity, "invalid", "DELETE", path, body, ada.as()); p.fields() != fields {
			t.Errorf("%s: fields %q", body, p.fields())
		}
	}
	s.fails(http.StatusBadRequest, "malformed", "DELETE", path, "", ada.as())

	r := s.ok(http.StatusNoContent, nil, "DELETE", path, body(password), ada.as(), with("Origin", "http://example.com"))
	if c := r.Cookies(); len(c) != 1 || c[0].Value != "" || c[0].Expires.After(s.clock.now()) {
		t.Errorf("the browser's cookie stays: %v", c)
	}
	for _, token := range []string{ada.Access, secret} {
		s.fails(http.StatusUnauthorized, "unauthenticated", "GET", path, nil, bearer(token))
	}
	s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": password})
	var g struct {
		Role    string
		Members int
	}
	s.ok(http.StatusOK, &g, "GET", "/api/v1/groups/"+shared, nil, bob.as())
	if g.Role != "owner" || g.Members != 1 {
		t.Errorf("the shared group: %+v", g)
	}
	again := s.register("ada")
	s.fails(http.StatusNotFound, "group_not_found", "GET", "/api/v1/groups/"+own, nil, again.as())
	s.fails(http.StatusNotFound, "user_not_found", "PATCH", "/api/v1/admin/users/"+ada.ID, map[string]bool{"disabled": false}, s.root().as())

	root := s.root()
	s.fails(http.StatusConflict, "last_admin", "DELETE", path, body(password), root.as())
	s.ok(http.StatusOK, nil, "GET", path, nil, root.as())
	for range 10 {
		s.fails(http.StatusForbidden, "wrong_password", "DELETE", path, body("wrong password"), bob.as())
	}
	s.fails(http.StatusTooManyRequests, "too_many_attempts", "DELETE", path, body(password), bob.as())
}
