package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func testRegister(t *testing.T, s *site) {
	const call = "POST /auth/register"
	account := func(name, email, password string) kv {
		return kv{"username": name, "email": email, "password": password}
	}
	n := s.nobody()
	check(t, []rule{
		{"name of 2", n, call, account("ab", "a@x.org", password), 422, "invalid", "body.username"},
		{"name of 33", n, call, account(strings.Repeat("a", 33), "a@x.org", password), 422, "invalid", "body.username"},
		{"name in capitals", n, call, account("Adam", "a@x.org", password), 422, "invalid", "body.username"},
		{"email of no form", n, call, account("adam", "adam", password), 422, "invalid", "body.email"},
		{"email with a name", n, call, account("adam", "A <a@x.org>", password), 422, "invalid", "body.email"},
		{"password of 7", n, call, account("adam", "a@x.org", "1234567"), 422, "invalid", "body.password"},
		{"password of 129", n, call, account("adam", "a@x.org", strings.Repeat("p", 129)), 422, "invalid", "body.password"},
		{"password left out", n, call, kv{"username": "adam", "email": "a@x.org"}, 422, "invalid", ""},
		{"unknown field", n, call, kv{"username": "adam", "email": "a@x.org", "password": password, "admin": true}, 422, "invalid", "body.admin"},
		{"too large", n, call, account("adam", "a@x.org", strings.Repeat("p", 2<<20)), 413, "too_large", ""},
		{"name of 3, password of 8", n, call, account("a-1", "a-1@x.org", "12345678"), 201, "", ""},
		{"name of 32, password of 128", n, call, account(strings.Repeat("a", 32), "a32@x.org", strings.Repeat("ü", 128)), 201, "", ""},
		{"name taken", n, call, account("ada", "other@x.org", password), 409, "username_taken", ""},
		{"email taken", n, call, account("other", "ADA@example.org", password), 409, "email_taken", ""},
		{"set up already", n, "POST /auth/setup", kv{"code": "x", "username": "root", "email": "r@x.org", "password": password}, 409, "already_set_up", ""},
	})
	t.Run("answer", func(t *testing.T) {
		a := n.do(t, call, account("grace", "Grace@example.org", password)).want(t, 201, "")
		expires, _ := a.at("expires_in").(float64)
		if a.str("user.username") != "grace" || a.str("user.email") != "grace@example.org" || a.at("user.admin") != false ||
			a.str("refresh_token") == "" || strings.Count(a.str("access_token"), ".") != 2 || expires < 890 || expires > 900 {
			t.Fatalf("answer %s", a.body)
		}
		if strings.Contains(string(a.body), "argon2") {
			t.Fatalf("hash in %s", a.body)
		}
		n.with(a.str("access_token")).do(t, "GET /me", nil).want(t, 200, "")
	})
}

func testLogin(t *testing.T, s *site) {
	p, n := s.person(t, "login"), s.nobody()
	login := func(name, password string) kv { return kv{"login": name, "password": password} }
	check(t, []rule{
		{"by name", n, "POST /auth/login", login("login", password), 200, "", ""},
		{"by email", n, "POST /auth/login", login("login@example.org", password), 200, "", ""},
		{"case and spaces around do not count", n, "POST /auth/login", login(" LOGIN ", password), 200, "", ""},
		{"wrong password", n, "POST /auth/login", login("login", "a wrong password"), 401, "bad_credentials", ""},
		{"impossible password", n, "POST /auth/login", login("login", "x"), 401, "bad_credentials", ""},
		{"unknown user", n, "POST /auth/login", login("nobody", password), 401, "bad_credentials", ""},
		{"unknown field", n, "POST /auth/login", kv{"login": "a", "password": "b", "c": 1}, 422, "invalid", "body.c"},
		{"no password", n, "POST /auth/login", kv{"login": "a"}, 422, "invalid", ""},
		{"as a form", n, "POST /auth/login", "login=login", 400, "malformed", ""},
	})
	t.Run("unknown user and wrong password answer alike", func(t *testing.T) {
		ids := regexp.MustCompile(`"request_id":"[^"]*"`)
		one := n.do(t, "POST /auth/login", login("nobody", password))
		other := n.do(t, "POST /auth/login", login("login", "a wrong password"))
		if string(ids.ReplaceAll(one.body, nil)) != string(ids.ReplaceAll(other.body, nil)) {
			t.Fatalf("%s\n%s", one.body, other.body)
		}
	})
	t.Run("only JSON, so that no page of others can log a browser in", func(t *testing.T) {
		for _, form := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"} {
			n.do(t, "POST /auth/login", login("login", password), "Content-Type: "+form).want(t, 415, "unsupported_media_type")
		}
	})
	if a := n.do(t, "POST /auth/login", login("login", password)); a.str("user.id") != p.id {
		t.Fatalf("logged in as %s", a.body)
	}
}

func testThrottle(t *testing.T, s *site) {
	s.person(t, "victim")
	login := func(t *testing.T, from, name, password string) answer {
		return s.nobody().do(t, "POST /auth/login", kv{"login": name, "password": password}, "X-Forwarded-For: "+from)
	}
	t.Run("10 failures of a login from an address", func(t *testing.T) {
		for i := range 10 {
			login(t, fmt.Sprintf("198.51.100.%d, 192.0.2.1", i), "victim", "wrong").want(t, 401, "bad_credentials")
		}
		login(t, "192.0.2.1", "victim", "wrong").want(t, 429, "too_many_attempts")
		login(t, "192.0.2.1", "victim", password).want(t, 429, "too_many_attempts")
	})
	t.Run("is no lock-out of the account", func(t *testing.T) { login(t, "192.0.2.2", "victim", password).want(t, 200, "") })
	t.Run("is no lock-out of the address", func(t *testing.T) { login(t, "192.0.2.1", "ada", password).want(t, 200, "") })
	t.Run("100 failures from an address", func(t *testing.T) {
		for i := range 100 {
			login(t, "192.0.2.3", fmt.Sprint("guess", i), password).want(t, 401, "bad_credentials")
		}
		login(t, "192.0.2.3", "ada", password).want(t, 429, "too_many_attempts")
	})
	t.Run("old password", func(t *testing.T) {
		p := s.person(t, "changer")
		change := kv{"old_password": "wrong password", "new_password": "another password"}
		for range 10 {
			p.do(t, "PUT /me/password", change).want(t, 403, "wrong_password")
		}
		p.do(t, "PUT /me/password", change).want(t, 429, "too_many_attempts")
	})
}

// soonOut waits until the server takes a person's token no more.
func (p *person) soonOut(t *testing.T) {
	t.Helper()
	eventually(t, time.Second, "the token is refused", func() bool { return p.do(t, "GET /me", nil).status == 401 })
}

func testRefresh(t *testing.T, s *site) {
	refresh := func(t *testing.T, token string) answer {
		return s.nobody().do(t, "POST /auth/refresh", kv{"refresh_token": token})
	}
	t.Run("two tabs", func(t *testing.T) {
		p := s.person(t, "tabs")
		one, other := refresh(t, p.refreshToken).want(t, 200, ""), refresh(t, p.refreshToken).want(t, 200, "")
		if one.str("refresh_token") == p.refreshToken || one.str("refresh_token") != other.str("refresh_token") ||
			one.str("access_token") != other.str("access_token") || one.str("user.id") != p.id {
			t.Fatalf("%s\n%s", one.body, other.body)
		}
		refresh(t, one.str("refresh_token")).want(t, 200, "")
	})
	t.Run("used again later it ends the family", func(t *testing.T) {
		t.Parallel()
		p := s.person(t, "thief")
		used := time.Now()
		next := refresh(t, p.refreshToken).want(t, 200, "")
		eventually(t, 15*time.Second, "the used token is refused", func() bool { return refresh(t, p.refreshToken).status == 401 })
		if after := time.Since(used); after < 9*time.Second {
			t.Fatalf("refused after %s", after)
		}
		refresh(t, next.str("refresh_token")).want(t, 401, "bad_refresh_token")
		p.with(next.str("access_token")).soonOut(t)
	})
	check(t, []rule{
		{"unknown token", s.nobody(), "POST /auth/refresh", kv{"refresh_token": "flr_x.1.y"}, 401, "bad_refresh_token", ""},
		{"an access token", s.nobody(), "POST /auth/refresh", kv{"refresh_token": s.ada.token}, 401, "bad_refresh_token", ""},
		{"a forged generation", s.nobody(), "POST /auth/refresh", kv{"refresh_token": strings.Replace(s.ada.refreshToken, ".1.", ".2.", 1)}, 401, "bad_refresh_token", ""},
		{"no token", s.nobody(), "POST /auth/refresh", nil, 401, "bad_refresh_token", ""},
		{"unknown field", s.nobody(), "POST /auth/refresh", kv{"token": "x"}, 422, "invalid", "body.token"},
	})
}

func testBrowser(t *testing.T, s *site) {
	n := s.nobody()
	p := s.person(t, "browser")
	cookieOf := func(a answer) *http.Cookie {
		for _, c := range (&http.Response{Header: a.header}).Cookies() {
			return c
		}
		return nil
	}
	login := func(t *testing.T) *http.Cookie {
		a := n.do(t, "POST /auth/login", kv{"login": p.name, "password": password}, "Origin: "+s.URL).want(t, 200, "")
		c := cookieOf(a)
		if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Value == "" || a.at("refresh_token") != nil {
			t.Fatalf("cookie %v, body %s", c, a.body)
		}
		return c
	}
	t.Run("refresh by cookie", func(t *testing.T) {
		c := login(t)
		for _, origin := range []string{stranger, "null", s.URL + ".evil.example", "http://" + stranger[8:] + "?" + s.URL} {
			n.do(t, "POST /auth/refresh", nil, "Origin: "+origin, "Cookie: "+c.Name+"="+c.Value).want(t, 403, "bad_origin")
		}
		a := n.do(t, "POST /auth/refresh", nil, "Origin: "+s.URL, "Cookie: "+c.Name+"="+c.Value).want(t, 200, "")
		next := cookieOf(a)
		if next == nil || next.Value == c.Value || a.at("refresh_token") != nil {
			t.Fatalf("cookie %v, body %s", next, a.body)
		}
		n.do(t, "POST /auth/refresh", nil, "Origin: "+friend, "Cookie: "+c.Name+"="+next.Value).want(t, 200, "")
	})
	t.Run("logout by cookie", func(t *testing.T) {
		c := login(t)
		n.do(t, "POST /auth/logout", nil, "Origin: "+stranger, "Cookie: "+c.Name+"="+c.Value).want(t, 403, "bad_origin")
		a := n.do(t, "POST /auth/logout", nil, "Origin: "+s.URL, "Cookie: "+c.Name+"="+c.Value).want(t, 204, "")
		if gone := cookieOf(a); gone == nil || gone.Value != "" {
			t.Fatalf("cookie %v", gone)
		}
		n.do(t, "POST /auth/refresh", nil, "Origin: "+s.URL, "Cookie: "+c.Name+"="+c.Value).want(t, 401, "bad_refresh_token")
	})
	t.Run("a cookie is no bearer token", func(t *testing.T) {
		c := login(t)
		n.do(t, "GET /me", nil, "Cookie: "+c.Name+"="+c.Value).want(t, 401, "unauthenticated")
	})
}

func testLogout(t *testing.T, s *site) {
	again := func(t *testing.T, p *person) *person {
		a := s.nobody().do(t, "POST /auth/login", kv{"login": p.name, "password": password}).want(t, 200, "")
		return &person{s, p.name, p.id, a.str("access_token"), a.str("refresh_token")}
	}
	first := s.person(t, "leaver")
	second, third := again(t, first), again(t, first)
	second.do(t, "POST /auth/logout", nil).want(t, 204, "")
	second.soonOut(t)
	check(t, []rule{
		{"the refresh token is dead", s.nobody(), "POST /auth/refresh", kv{"refresh_token": second.refreshToken}, 401, "bad_refresh_token", ""},
		{"other sessions stay", first, "GET /me", nil, 200, "", ""},
		{"nobody", s.nobody(), "POST /auth/logout", nil, 401, "unauthenticated", ""},
		{"a made-up refresh token", s.nobody(), "POST /auth/logout", kv{"refresh_token": "flr_a.1.b"}, 401, "bad_refresh_token", ""},
		{"by refresh token", s.nobody(), "POST /auth/logout", kv{"refresh_token": third.refreshToken}, 204, "", ""},
	})
	third.soonOut(t)
	other := again(t, first)
	first.do(t, "POST /auth/logout-all", nil).want(t, 204, "")
	first.soonOut(t)
	other.soonOut(t)
	s.nobody().do(t, "POST /auth/logout-all", nil).want(t, 401, "unauthenticated")
}

func testMe(t *testing.T, s *site) {
	p := s.person(t, "myself")
	a := p.do(t, "GET /me", nil).want(t, 200, "")
	if a.str("id") != p.id || a.str("username") != "myself" || a.str("email") != "myself@example.org" || a.str("created_at") == "" {
		t.Fatalf("profile %s", a.body)
	}
	other := s.nobody().do(t, "POST /auth/login", kv{"login": "myself", "password": password}).want(t, 200, "")
	change := func(old, replacement string) kv { return kv{"old_password": old, "new_password": replacement} }
	check(t, []rule{
		{"email", p, "PATCH /me", kv{"email": "New@example.org"}, 200, "", ""},
		{"email taken", p, "PATCH /me", kv{"email": "ada@example.org"}, 409, "email_taken", ""},
		{"email wrong", p, "PATCH /me", kv{"email": "x"}, 422, "invalid", "body.email"},
		{"no change of name", p, "PATCH /me", kv{"username": "x"}, 422, "invalid", "body.username"},
		{"no change to administrator", p, "PATCH /me", kv{"admin": true}, 422, "invalid", "body.admin"},
		{"wrong old password", p, "PUT /me/password", change("a wrong password", "another password"), 403, "wrong_password", ""},
		{"short new password", p, "PUT /me/password", change(password, "short"), 422, "invalid", "body.new_password"},
		{"new password", p, "PUT /me/password", change(password, "another password"), 204, "", ""},
		{"this session stays", p, "GET /me", nil, 200, "", ""},
		{"old password", s.nobody(), "POST /auth/login", kv{"login": "myself", "password": password}, 401, "bad_credentials", ""},
		{"login with the new", s.nobody(), "POST /auth/login", kv{"login": "new@example.org", "password": "another password"}, 200, "", ""},
	})
	p.with(other.str("access_token")).soonOut(t)
}

func testTokens(t *testing.T, s *site) {
	foreign := s.eve.newGroup(t, "Eve's own")
	call := "POST /tokens"
	check(t, []rule{
		{"no name", s.ada, call, kv{"name": "", "kind": "api"}, 422, "invalid", "body.name"},
		{"name of 65", s.ada, call, kv{"name": strings.Repeat("n", 65), "kind": "api"}, 422, "invalid", "body.name"},
		{"name with a line break", s.ada, call, kv{"name": "a\nb", "kind": "api"}, 422, "invalid", "body.name"},
		{"unknown kind", s.ada, call, kv{"name": "n", "kind": "root"}, 422, "invalid", "body.kind"},
		{"a session is no kind", s.ada, call, kv{"name": "n", "kind": "session"}, 422, "invalid", "body.kind"},
		{"no groups", s.ada, call, kv{"name": "n", "kind": "api", "groups": []string{}}, 422, "invalid", "body.groups"},
		{"another's group", s.ada, call, kv{"name": "n", "kind": "worker", "groups": []string{foreign}}, 422, "invalid", "body.groups[0]"},
		{"257 groups", s.ada, call, kv{"name": "n", "kind": "api", "groups": make([]string, 257)}, 422, "invalid", "body.groups"},
		{"a viewer's worker", s.vic, call, kv{"name": "n", "kind": "worker", "groups": []string{s.group}}, 403, "role_too_low", ""},
		{"a member's device", s.bob, call, kv{"name": "n", "kind": "device", "groups": []string{s.group}}, 403, "role_too_low", ""},
		{"device without a group", s.ada, call, kv{"name": "n", "kind": "device"}, 422, "invalid", "body.groups"},
		{"device id of a worker", s.ada, call, kv{"name": "n", "kind": "worker", "device_id": "d"}, 422, "invalid", "body.device_id"},
		{"device id of 129", s.ada, call, kv{"name": "n", "kind": "device", "groups": []string{s.group}, "device_id": strings.Repeat("d", 129)}, 422, "invalid", "body.device_id"},
		{"device", s.ada, call, kv{"name": "n", "kind": "device", "groups": []string{s.group}, "device_id": "d-1"}, 201, "", ""},
		{"scopes of a worker", s.ada, call, kv{"name": "n", "kind": "worker", "scopes": []string{"tasks:read"}}, 422, "invalid", "body.scopes"},
		{"unknown scope", s.ada, call, kv{"name": "n", "kind": "api", "scopes": []string{"root"}}, 422, "invalid", "body.scopes[0]"},
		{"expired", s.ada, call, kv{"name": "n", "kind": "api", "expires_at": "2020-01-01T00:00:00Z"}, 422, "invalid", "body.expires_at"},
		{"expiry of no form", s.ada, call, kv{"name": "n", "kind": "api", "expires_at": "tomorrow"}, 422, "invalid", ""},
		{"unknown field", s.ada, call, kv{"name": "n", "kind": "api", "secret": "mine"}, 422, "invalid", "body.secret"},
	})
	t.Run("secret once, revoked within a second", func(t *testing.T) {
		p := s.person(t, "holder")
		id, secret := p.newToken(t, kv{"name": "mine", "kind": "api"})
		list := p.do(t, "GET /tokens", nil).want(t, 200, "")
		if !slices.Equal(list.all("id"), []string{id}) || strings.Contains(string(list.body), secret) || list.at("items.0.secret") != nil {
			t.Fatalf("list %s", list.body)
		}
		if got := fmt.Sprint(list.at("items.0.scopes")); got != "[tasks:read tasks:write groups:read groups:write devices:read]" {
			t.Fatalf("default scopes %s", got)
		}
		p.with(secret).do(t, "GET /me", nil).want(t, 200, "")
		s.eve.do(t, "DELETE /tokens/"+id, nil).want(t, 404, "token_not_found")
		p.do(t, "DELETE /tokens/"+id, nil).want(t, 204, "")
		p.do(t, "DELETE /tokens/"+id, nil).want(t, 404, "token_not_found")
		p.with(secret).soonOut(t)
	})
	t.Run("expires", func(t *testing.T) {
		_, secret := s.ada.newToken(t, kv{"name": "short", "kind": "api", "expires_at": time.Now().Add(4 * time.Second).UTC()})
		p := s.ada.with(secret)
		p.do(t, "GET /me", nil).want(t, 200, "")
		eventually(t, 20*time.Second, "the token expires", func() bool { return p.do(t, "GET /me", nil).status == 401 })
	})
}

func testBearers(t *testing.T, s *site) {
	parts := strings.Split(s.ada.token, ".")
	none := "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0" // {"alg":"none","typ":"JWT"}
	for name, header := range map[string]string{
		"none":             "",
		"no scheme":        s.ada.token,
		"other scheme":     "Basic YWRhOng=",
		"no token":         "Bearer ",
		"made up":          "Bearer x",
		"made-up secret":   "Bearer fla_" + strings.Repeat("A", 43),
		"very long":        "Bearer " + strings.Repeat("A", 20000),
		"no signature":     "Bearer " + parts[0] + "." + parts[1] + ".",
		"algorithm none":   "Bearer " + none + "." + parts[1] + ".",
		"none, signed":     "Bearer " + none + "." + parts[1] + "." + parts[2],
		"other's payload":  "Bearer " + parts[0] + "." + strings.Split(s.eve.token, ".")[1] + "." + parts[2],
		"a refresh token":  "Bearer " + s.ada.refreshToken,
		"in another place": "Bearer " + s.ada.token + " x",
	} {
		t.Run(name, func(t *testing.T) {
			s.nobody().do(t, "GET /me", nil, "Authorization: "+header).want(t, 401, "unauthenticated")
		})
	}
	s.nobody().do(t, "GET /me", nil, "Authorization: bearer "+s.ada.token).want(t, 200, "")
	s.nobody().do(t, "GET /me?access_token="+s.ada.token, nil).want(t, 401, "unauthenticated")
}

func testScopes(t *testing.T, s *site) {
	task := s.ada.submit(t, nil)
	g := "/groups/" + s.group
	routes := map[string][]string{
		"tasks:read": {
			"GET " + g + "/tasks", "GET /tasks/" + task, "GET /tasks/" + task + "/children", "GET /tasks/" + task + "/logs",
			"GET /tasks/" + task + "/timeline", "GET /tasks/" + task + "/result", "GET " + g + "/workers", "GET " + g + "/stats",
		},
		"tasks:write": {
			"POST " + g + "/tasks", "POST " + g + "/tasks:batch", "POST " + g + "/tasks:cancel", "POST " + g + "/tasks:retry",
			"POST /tasks/" + task + "/cancel", "POST /tasks/" + task + "/retry", "DELETE /tasks/" + task + "/result",
		},
		"groups:read":  {"GET /groups", "GET " + g, "GET " + g + "/members", "GET /invitations"},
		"groups:write": {"POST /groups", "PATCH " + g, "POST " + g + "/invitations", "POST /invitations/" + nobodyID + "/accept"},
		"a person":     {"GET /tokens", "POST /tokens", "DELETE /tokens/" + nobodyID, "PATCH /me", "PUT /me/password", "POST /auth/logout-all"},
	}
	tokens := map[string]*person{}
	for scope := range routes {
		if scope != "a person" {
			_, secret := s.ada.newToken(t, kv{"name": scope, "kind": "api", "scopes": []string{scope}})
			tokens[scope] = s.ada.with(secret)
		}
	}
	_, secret := s.ada.newToken(t, kv{"name": "w", "kind": "worker"})
	worker := s.ada.with(secret)
	_, secret = s.ada.newToken(t, kv{"name": "d", "kind": "device", "groups": []string{s.group}})
	device := s.ada.with(secret)
	for need, calls := range routes {
		for _, call := range calls {
			t.Run(call, func(t *testing.T) {
				worker.do(t, call, nil).want(t, 403, "wrong_token_kind")
				device.do(t, call, nil).want(t, 403, "wrong_token_kind")
				for scope, p := range tokens {
					a := p.do(t, call, nil)
					switch {
					case need == "a person":
						a.want(t, 403, "wrong_token_kind")
					case scope != need:
						a.want(t, 403, "missing_scope")
					case a.status == 401 || a.status == 403:
						t.Fatalf("%s does not do: %s", scope, a.body)
					}
				}
			})
		}
	}
}

func testLimitedToken(t *testing.T, s *site) {
	p := s.person(t, "limited")
	here, there := p.newGroup(t, "Here"), p.newGroup(t, "There")
	task := p.do(t, "POST /groups/"+there+"/tasks", kv{"kind": "nobodys"}).want(t, 202, "").str("id")
	s.ada.do(t, "POST /groups/"+s.group+"/invitations", kv{"username": p.name}).want(t, 201, "")
	id := p.do(t, "GET /invitations", nil).want(t, 200, "").str("items.0.id")
	_, secret := p.newToken(t, kv{"name": "n", "kind": "api", "groups": []string{here}})
	l := p.with(secret)
	check(t, []rule{
		{"its group", l, "GET /groups/" + here, nil, 200, "", ""},
		{"another", l, "GET /groups/" + there, nil, 404, "group_not_found", ""},
		{"submit to another", l, "POST /groups/" + there + "/tasks", kv{"kind": "k"}, 404, "group_not_found", ""},
		{"another's task", l, "GET /tasks/" + task, nil, 404, "not_found", ""},
		{"cancel another's task", l, "POST /tasks/" + task + "/cancel", nil, 404, "not_found", ""},
		{"bulk of another", l, "POST /groups/" + there + "/tasks:cancel", kv{"filter": kv{}}, 404, "group_not_found", ""},
		{"makes no groups", l, "POST /groups", kv{"name": "More"}, 403, "missing_scope", ""},
		{"accepts no invitation", l, "POST /invitations/" + id + "/accept", nil, 404, "invitation_not_found", ""},
		{"declines no invitation", l, "POST /invitations/" + id + "/decline", nil, 404, "invitation_not_found", ""},
	})
	if got := l.do(t, "GET /groups", nil).all("id"); !slices.Equal(got, []string{here}) {
		t.Fatalf("groups %v", got)
	}
	if got := l.do(t, "GET /invitations", nil).all("id"); len(got) != 0 {
		t.Fatalf("invitations %v", got)
	}
}
