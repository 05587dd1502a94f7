package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/httpapi"
)

func TestRegister(t *testing.T) {
	s := newSite(t)
	var in loggedIn
	r := s.ok(http.StatusCreated, &in, "POST", "/api/v1/auth/register",
		map[string]string{"username": "ada", "email": "Ada@Example.org", "password": password})
	if in.User.Username != "ada" || in.User.Email != "ada@example.org" || in.User.Admin || in.ExpiresIn != 900 ||
		in.User.CreatedAt != "2027-01-15T08:00:00.000Z" || in.AccessToken == "" || in.RefreshToken == "" || len(r.Cookies()) != 0 {
		t.Errorf("answer %s, cookies %v", r.body, r.Cookies())
	}
	if strings.Contains(string(r.body), "argon2") {
		t.Error("the answer has the password's hash")
	}
	s.fails(http.StatusConflict, "username_taken", "POST", "/api/v1/auth/register",
		map[string]string{"username": "ada", "email": "b@example.org", "password": password})
	s.fails(http.StatusConflict, "email_taken", "POST", "/api/v1/auth/register",
		map[string]string{"username": "bob", "email": "ada@example.org", "password": password})
	p := s.fails(http.StatusUnprocessableEntity, "invalid", "POST", "/api/v1/auth/register",
		map[string]string{"username": "A", "email": "x", "password": "short"})
	if p.fields() != "body.username body.email body.password" {
		t.Errorf("fields %q", p.fields())
	}
	closed := newSite(t, func(o *auth.Options, _ *httpapi.Deps) { o.Registration = false })
	closed.fails(http.StatusForbidden, "registration_closed", "POST", "/api/v1/auth/register",
		map[string]string{"username": "ada", "email": "a@example.org", "password": password})
}

func TestLoginRoute(t *testing.T) {
	s := newSite(t)
	ada := s.register("ada")
	var in loggedIn
	for _, login := range []string{"ada", "ada@example.org"} {
		s.ok(http.StatusOK, &in, "POST", "/api/v1/auth/login", map[string]string{"login": login, "password": password})
		if in.User.ID != ada.ID {
			t.Errorf("%s logged in as %+v", login, in.User)
		}
	}
	wrong := s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": "wrong password"})
	nobody := s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", map[string]string{"login": "eve", "password": password})
	if wrong.Detail != nobody.Detail {
		t.Errorf("%q for a wrong password, %q for nobody", wrong.Detail, nobody.Detail)
	}
	for range 9 {
		s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": "wrong password"})
	}
	s.fails(http.StatusTooManyRequests, "too_many_attempts", "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": password})
	s.ok(http.StatusOK, nil, "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": password}, from("198.51.100.1"))
	s.fails(http.StatusTooManyRequests, "too_many_attempts", "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": password},
		with("X-Forwarded-For", "198.51.100.2")) // no trusted proxy: hearsay
}

func TestRefreshRoute(t *testing.T) {
	s := newSite(t)
	ada := s.register("ada")
	var first, again loggedIn
	body := map[string]string{"refresh_token": ada.Refresh}
	s.ok(http.StatusOK, &first, "POST", "/api/v1/auth/refresh", body)
	s.clock.add(10 * time.Second)
	s.ok(http.StatusOK, &again, "POST", "/api/v1/auth/refresh", body)
	if first.RefreshToken == ada.Refresh || again.RefreshToken != first.RefreshToken || again.AccessToken != first.AccessToken {
		t.Error("not the same new pair twice")
	}
	s.clock.add(time.Second)
	s.fails(http.StatusUnauthorized, "bad_refresh_token", "POST", "/api/v1/auth/refresh", body)
	s.fails(http.StatusUnauthorized, "bad_refresh_token", "POST", "/api/v1/auth/refresh", map[string]string{"refresh_token": first.RefreshToken})
	s.fails(http.StatusUnauthorized, "unauthenticated", "GET", "/api/v1/me", nil, bearer(first.AccessToken))
	for _, body := range []any{nil, map[string]string{}, map[string]string{"refresh_token": "flr_x"}} {
		s.fails(http.StatusUnauthorized, "bad_refresh_token", "POST", "/api/v1/auth/refresh", body)
	}
	s.fails(http.StatusUnprocessableEntity, "invalid", "POST", "/api/v1/auth/refresh", map[string]string{"token": "x"})
}

func TestBrowsersGetACookie(t *testing.T) {
	for _, c := range []struct {
		name, public, origin string
		secure               bool
	}{
		{"plain", "", "http://example.com", false},
		{"public URL", "https://tasks.example.org", "https://tasks.example.org", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, func(_ *auth.Options, d *httpapi.Deps) { d.PublicURL = c.public })
			s.register("ada")
			var in loggedIn
			own := with("Origin", c.origin)
			r := s.ok(http.StatusOK, &in, "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": password}, own)
			if in.RefreshToken != "" || strings.Contains(string(r.body), "refresh_token") || len(r.Cookies()) != 1 {
				t.Fatalf("answer %s, cookies %v", r.body, r.Cookies())
			}
			cookie := r.Cookies()[0]
			if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Secure != c.secure || cookie.Path != "/api/v1/auth" {
				t.Errorf("cookie %s", cookie)
			}
			jar := func(r *http.Request) { r.AddCookie(cookie) }
			r = s.ok(http.StatusOK, &in, "POST", "/api/v1/auth/refresh", nil, own, jar)
			if next := r.Cookies()[0]; next.Value == cookie.Value {
				t.Error("the cookie was not renewed")
			}
			s.fails(http.StatusForbidden, "bad_origin", "POST", "/api/v1/auth/refresh", nil, with("Origin", "https://evil.example"), jar)
			s.fails(http.StatusForbidden, "bad_origin", "POST", "/api/v1/auth/logout", nil, with("Origin", "null"), jar)
			r = s.ok(http.StatusNoContent, nil, "POST", "/api/v1/auth/logout", nil, own, jar)
			if gone := r.Cookies()[0]; gone.Expires.Unix() != 0 || gone.Value != "" {
				t.Errorf("after logout: %s", gone)
			}
			s.fails(http.StatusUnauthorized, "unauthenticated", "GET", "/api/v1/me", nil, bearer(in.AccessToken))
		})
	}
}

func TestAllowedOrigins(t *testing.T) {
	s := newSite(t, func(_ *auth.Options, d *httpapi.Deps) { d.AllowedOrigins = []string{"https://app.example.org"} })
	s.register("ada")
	other := with("Origin", "https://app.example.org")
	r := s.ok(http.StatusOK, nil, "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": password}, other)
	s.ok(http.StatusOK, nil, "POST", "/api/v1/auth/refresh", nil, other, func(rq *http.Request) { rq.AddCookie(r.Cookies()[0]) })
}

func TestLogoutRoutes(t *testing.T) {
	s := newSite(t)
	ada := s.register("ada")
	s.ok(http.StatusNoContent, nil, "POST", "/api/v1/auth/logout", nil, ada.as())
	s.fails(http.StatusUnauthorized, "unauthenticated", "GET", "/api/v1/me", nil, ada.as())
	s.fails(http.StatusUnauthorized, "bad_refresh_token", "POST", "/api/v1/auth/refresh", map[string]string{"refresh_token": ada.Refresh})
	s.fails(http.StatusUnauthorized, "unauthenticated", "POST", "/api/v1/auth/logout", nil)

	login := func() (in loggedIn) {
		s.ok(http.StatusOK, &in, "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": password})
		return in
	}
	one := login()
	s.ok(http.StatusNoContent, nil, "POST", "/api/v1/auth/logout", map[string]string{"refresh_token": one.RefreshToken})
	s.fails(http.StatusUnauthorized, "unauthenticated", "GET", "/api/v1/me", nil, bearer(one.AccessToken))

	one, two := login(), login()
	s.ok(http.StatusNoContent, nil, "POST", "/api/v1/auth/logout-all", nil, bearer(one.AccessToken))
	for _, in := range []loggedIn{one, two} {
		s.fails(http.StatusUnauthorized, "unauthenticated", "GET", "/api/v1/me", nil, bearer(in.AccessToken))
	}
}

func TestSetupRoute(t *testing.T) {
	s := newSite(t, func(o *auth.Options, _ *httpapi.Deps) { o.Registration = false })
	code, err := s.auth.PrepareAdmin(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]string{"code": "wrong", "username": "root", "email": "root@example.org", "password": password}
	s.fails(http.StatusForbidden, "bad_setup_code", "POST", "/api/v1/auth/setup", body)
	body["code"] = code
	var in loggedIn
	s.ok(http.StatusCreated, &in, "POST", "/api/v1/auth/setup", body)
	if !in.User.Admin {
		t.Errorf("made %+v", in.User)
	}
	s.fails(http.StatusConflict, "already_set_up", "POST", "/api/v1/auth/setup", body)
}

func TestMe(t *testing.T) {
	s := newSite(t)
	ada := s.register("ada")
	s.register("bob")
	var me struct{ ID, Username, Email string }
	s.ok(http.StatusOK, &me, "PATCH", "/api/v1/me", map[string]string{"email": "New@example.org"}, ada.as())
	s.ok(http.StatusOK, &me, "PATCH", "/api/v1/me", map[string]string{}, ada.as())
	s.ok(http.StatusOK, &me, "GET", "/api/v1/me", nil, ada.as())
	if me.ID != ada.ID || me.Username != "ada" || me.Email != "new@example.org" {
		t.Errorf("me is %+v", me)
	}
	s.fails(http.StatusConflict, "email_taken", "PATCH", "/api/v1/me", map[string]string{"email": "bob@example.org"}, ada.as())
	p := s.fails(http.StatusUnprocessableEntity, "invalid", "PATCH", "/api/v1/me", map[string]string{"email": "x"}, ada.as())
	if p.fields() != "body.email" {
		t.Errorf("fields %q", p.fields())
	}
	s.fails(http.StatusUnprocessableEntity, "invalid", "PATCH", "/api/v1/me", map[string]bool{"admin": true}, ada.as())

	change := func(old, replacement string) map[string]string {
		return map[string]string{"old_password": old, "new_password": replacement}
	}
	s.fails(http.StatusForbidden, "wrong_password", "PUT", "/api/v1/me/password", change("wrong password", "new password"), ada.as())
	s.fails(http.StatusUnprocessableEntity, "invalid", "PUT", "/api/v1/me/password", change(password, "short"), ada.as())
	s.ok(http.StatusNoContent, nil, "PUT", "/api/v1/me/password", change(password, "new password"), ada.as())
	s.ok(http.StatusOK, nil, "GET", "/api/v1/me", nil, ada.as())
	s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": password})
}

func TestTokenRoutes(t *testing.T) {
	s := newSite(t)
	ada, bob := s.register("ada"), s.register("bob")
	g := s.group(ada, "lab")
	made := s.token(ada, map[string]any{"kind": "device", "groups": []string{g}, "device_id": "d", "expires_at": "2027-01-16T10:00:00.5+02:00"})
	if made.Secret == "" || made.DeviceID != "d" || made.ExpiresAt == nil || *made.ExpiresAt != "2027-01-16T08:00:00.500Z" || made.LastUsedAt != nil {
		t.Errorf("made %+v", made)
	}
	p := s.fails(http.StatusUnprocessableEntity, "invalid", "POST", "/api/v1/tokens", map[string]any{"name": "x", "kind": "root"}, ada.as())
	if p.fields() != "body.kind" {
		t.Errorf("fields %q", p.fields())
	}
	p = s.fails(http.StatusUnprocessableEntity, "invalid", "POST", "/api/v1/tokens",
		map[string]any{"name": "x", "kind": "worker", "groups": []string{g}}, bob.as())
	if p.fields() != "body.groups[0]" {
		t.Errorf("fields %q", p.fields())
	}
	s.join(ada, g, bob)
	s.fails(http.StatusForbidden, "role_too_low", "POST", "/api/v1/tokens",
		map[string]any{"name": "x", "kind": "device", "groups": []string{g}}, bob.as())
	s.fails(http.StatusUnprocessableEntity, "invalid", "POST", "/api/v1/tokens",
		map[string]any{"name": "x", "kind": "api", "expires_at": "tomorrow"}, ada.as())

	for range 4 {
		s.token(ada, map[string]any{"kind": "worker"})
	}
	var ids []string
	for path := "/api/v1/tokens?limit=2"; path != ""; {
		var page struct {
			Items      []token
			NextCursor *string `json:"next_cursor"`
		}
		r := s.ok(http.StatusOK, &page, "GET", path, nil, ada.as())
		if strings.Contains(string(r.body), "secret") || strings.Contains(string(r.body), "hash") {
			t.Errorf("the list has a secret: %s", r.body)
		}
		for _, tok := range page.Items {
			ids = append(ids, tok.ID)
		}
		if path = ""; page.NextCursor != nil {
			path = "/api/v1/tokens?limit=2&cursor=" + *page.NextCursor
		}
	}
	if len(ids) != 5 || ids[4] != made.ID {
		t.Errorf("listed %v; the first made, %s, comes last", ids, made.ID)
	}
	for _, query := range []string{"limit=0", "limit=201", "limit=x", "cursor=%21"} {
		s.fails(http.StatusUnprocessableEntity, "invalid", "GET", "/api/v1/tokens?"+query, nil, ada.as())
	}
	s.ok(http.StatusOK, nil, "GET", "/api/v1/tokens?limit=200", nil, ada.as())

	s.fails(http.StatusNotFound, "token_not_found", "DELETE", "/api/v1/tokens/"+made.ID, nil, bob.as())
	s.ok(http.StatusNoContent, nil, "DELETE", "/api/v1/tokens/"+made.ID, nil, ada.as())
	s.fails(http.StatusNotFound, "token_not_found", "DELETE", "/api/v1/tokens/"+made.ID, nil, ada.as())
}

func TestWhatATokenMayDo(t *testing.T) {
	s := newSite(t)
	ada := s.register("ada")
	one, two := s.group(ada, "one"), s.group(ada, "two")
	secret := func(body map[string]any) header { return bearer(s.token(ada, body).Secret) }
	reads := secret(map[string]any{"kind": "api", "scopes": []string{"groups:read"}})
	limited := secret(map[string]any{"kind": "api", "groups": []string{one}})
	worker := secret(map[string]any{"kind": "worker"})

	s.ok(http.StatusOK, nil, "GET", "/api/v1/me", nil, reads)
	s.ok(http.StatusOK, nil, "GET", "/api/v1/groups/"+one, nil, reads)
	s.fails(http.StatusForbidden, "missing_scope", "PATCH", "/api/v1/groups/"+one, map[string]string{"name": "new"}, reads)
	s.fails(http.StatusForbidden, "wrong_token_kind", "POST", "/api/v1/tokens", map[string]string{"name": "x", "kind": "api"}, reads)
	s.ok(http.StatusOK, nil, "PATCH", "/api/v1/groups/"+one, map[string]string{"name": "new"}, limited)
	s.fails(http.StatusNotFound, "group_not_found", "GET", "/api/v1/groups/"+two, nil, limited)
	s.fails(http.StatusForbidden, "missing_scope", "POST", "/api/v1/groups", map[string]string{"name": "third"}, limited)
	for _, path := range []string{"/api/v1/me", "/api/v1/groups", "/api/v1/tokens"} {
		s.fails(http.StatusForbidden, "wrong_token_kind", "GET", path, nil, worker)
	}
}
