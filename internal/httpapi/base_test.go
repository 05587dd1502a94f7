package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/httpapi"
)

func TestUnknownPathsAreJSON(t *testing.T) {
	s := newSite(t, func(_ *auth.Options, d *httpapi.Deps) {
		d.Web = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("page")) })
		}
	})
	for _, path := range []string{"/api", "/api/", "/api/v1", "/api/v2/me", "/api/v1/mee", "/api/v1/me/", "/api/v1//me", "/api/v1/x/../me"} {
		s.fails(http.StatusNotFound, "unknown_path", "GET", path, nil)
	}
	for _, path := range []string{"/", "/apis", "/groups/1"} {
		if r := s.send("GET", path, nil); string(r.body) != "page" {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
	newSite(t).fails(http.StatusNotFound, "unknown_path", "GET", "/", nil)
}

func TestOtherMethods(t *testing.T) {
	s := newSite(t)
	s.fails(http.StatusMethodNotAllowed, "method_not_allowed", "DELETE", "/api/v1/auth/login", nil)
	r := s.send("POST", "/api/v1/me", nil)
	if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, PATCH, DELETE" {
		t.Errorf("%d, Allow %q", r.StatusCode, r.Header.Get("Allow"))
	}
}

func TestBodies(t *testing.T) {
	s := newSite(t)
	const limit = 1<<20 + 64<<10
	login := func(pad int) string {
		return `{"login":"ada","password":"` + strings.Repeat("x", pad-len(`{"login":"ada","password":""}`)) + `"}`
	}
	deep := func(n int) string {
		return `{"login":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `,"password":"x"}`
	}
	for _, c := range []struct {
		name, body string
		status     int
		code       string
		fields     string
	}{
		{"empty", "", 400, "malformed", ""},
		{"not JSON", "{", 400, "malformed", "body"},
		{"two values", `{"login":"a","password":"b"} {}`, 400, "malformed", "body"},
		{"array", "[]", 422, "invalid", "body"},
		{"null", "null", 422, "invalid", "body"},
		{"unknown field", `{"login":"a","password":"b","admin":true}`, 422, "invalid", "body.admin"},
		{"field in capitals", `{"Login":"a","password":"b"}`, 422, "invalid", "body body.Login"},
		{"missing field", `{"login":"a"}`, 422, "invalid", "body"},
		{"wrong type", `{"login":1,"password":"b"}`, 422, "invalid", "body.login"},
		{"as large as can be", login(limit), 401, "bad_credentials", ""},
		{"too large", login(limit + 1), 413, "too_large", ""},
		{"as deep as can be", deep(64), 422, "invalid", "body.login"},
		{"too deep", deep(65), 422, "invalid", "body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &site{t: t, api: s.api}
			p := s.fails(c.status, c.code, "POST", "/api/v1/auth/login", c.body)
			if got := p.fields(); got != c.fields {
				t.Errorf("fields %q, want %q: %+v", got, c.fields, p.Errors)
			}
			if text := fmt.Sprint(p); strings.Contains(text, "Go ") || strings.Contains(text, "json:") {
				t.Errorf("leaks internals: %s", text)
			}
		})
	}
	s.fails(http.StatusUnsupportedMediaType, "unsupported_media_type", "POST", "/api/v1/auth/login", "a=b",
		with("Content-Type", "application/x-www-form-urlencoded"))
	s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", `{"login":"a","password":"b"}`,
		with("Content-Type", "application/json; charset=utf-8"))
}

// TestTokenBeforeBody: who may not call it does not learn what is wrong with a body.
func TestTokenBeforeBody(t *testing.T) {
	s := newSite(t)
	s.fails(http.StatusUnauthorized, "unauthenticated", "POST", "/api/v1/groups", "{")
}

func TestRequestID(t *testing.T) {
	s := newSite(t)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	for _, sent := range []string{"", "short", "with space in it", "new\nline-0123456789", strings.Repeat("a", 65)} {
		r := s.send("GET", "/api/v1/me", nil, func(r *http.Request) { r.Header["X-Request-Id"] = []string{sent} })
		if got := r.Header.Get("X-Request-Id"); !uuid.MatchString(got) {
			t.Errorf("sent %q, got %q", sent, got)
		}
	}
	if r := s.send("GET", "/api/v1/me", nil); r.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("an answer may be taken for what it is not")
	}
	if r := s.send("GET", "/api/v1/me", nil, with("X-Request-Id", "from-the-proxy_1")); r.Header.Get("X-Request-Id") != "from-the-proxy_1" {
		t.Errorf("got %q", r.Header.Get("X-Request-Id"))
	}
}

// TestUnknownErrorsStayInside closes the store under the handler, and panics.
func TestUnknownErrorsStayInside(t *testing.T) {
	s := newSite(t, func(_ *auth.Options, d *httpapi.Deps) {
		d.Web = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the sky falls") })
		}
	})
	p := s.fails(http.StatusInternalServerError, "internal", "GET", "/", nil)
	if p.Detail != "internal error" {
		t.Errorf("detail %q", p.Detail)
	}
	if log := s.log.String(); !strings.Contains(log, "the sky falls") || !strings.Contains(log, p.RequestID) {
		t.Errorf("log %s", log)
	}
	ada := s.register("ada")
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	p = s.fails(http.StatusServiceUnavailable, "store_unavailable", "GET", "/api/v1/groups", nil, ada.as())
	if strings.Contains(p.Detail, "sql") {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestClientAddress(t *testing.T) {
	s := newSite(t, trusted("10.0.0.0/8", "::1/128"))
	for _, c := range []struct{ name, peer, forwarded, want string }{
		{"direct", "192.0.2.1", "", "192.0.2.1"},
		{"a stranger's header", "192.0.2.1", "198.51.100.7", "192.0.2.1"},
		{"behind a proxy", "10.0.0.1", "198.51.100.7", "198.51.100.7"},
		{"behind two", "10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"},
		{"made up in front", "10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"},
		{"rubbish", "10.0.0.1", "unknown", "10.0.0.1"},
		{"mapped", "[::ffff:10.0.0.1]", "198.51.100.8", "198.51.100.8"},
	} {
		s.send("GET", "/api/v1/me", nil, from(c.peer), with("X-Forwarded-For", c.forwarded), with("X-Request-Id", "id-of-this-one"))
		lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, "address="+c.want) {
			t.Errorf("%s: %s, want %s", c.name, last, c.want)
		}
	}
}

func TestAccessLog(t *testing.T) {
	s := newSite(t)
	ada := s.register("ada")
	s.ok(http.StatusOK, nil, "GET", "/api/v1/groups?limit=1", nil, ada.as())
	log := s.log.String()
	for _, want := range []string{"level=DEBUG", "method=GET", "path=/api/v1/groups ", "status=200", "user_id=" + ada.ID, "request_id="} {
		if !strings.Contains(log, want) {
			t.Errorf("log lacks %s: %s", want, log)
		}
	}
	s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", map[string]string{"login": "ada", "password": "hunter22"})
	for _, secret := range []string{password, "hunter22", ada.Access, ada.Refresh} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("logged: %s", secret)
		}
	}
}

func TestDocuments(t *testing.T) {
	s := newSite(t)
	r := s.ok(http.StatusOK, nil, "GET", "/api/openapi.json", nil)
	want, err := httpapi.OpenAPI()
	if err != nil || string(r.body) != string(want) || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("not what OpenAPI returns (%v), as %s", err, r.Header.Get("Content-Type"))
	}
	page := s.ok(http.StatusOK, nil, "GET", "/api/docs", nil)
	for _, want := range []string{"/api/v1/auth/login", "/api/v1/groups/{id}/members", "token: session, api (groups:write)"} {
		if !strings.Contains(string(page.body), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, elsewhere := range []string{"http://", "https://", "<script"} {
		if strings.Contains(string(page.body), elsewhere) {
			t.Errorf("the page has %s: it has to work offline", elsewhere)
		}
	}
}

// TestEveryRouteSaysWhoMayCall calls every documented operation without a token.
func TestEveryRouteSaysWhoMayCall(t *testing.T) {
	s := newSite(t)
	lines := parseRights(t)
	for _, op := range operations(t) {
		if len(op.doc.Tags) != 1 || op.doc.Summary == "" {
			t.Errorf("%s %s has tags %v, summary %q", op.method, op.path, op.doc.Tags, op.doc.Summary)
		}
		if public := lines[op.id].needs == "public"; public != (op.doc.Security == nil) {
			t.Errorf("%s %s: security %v", op.method, op.path, op.doc.Security)
		}
		if op.doc.Security == nil || sockets[op.path] != "" {
			continue
		}
		s.fails(http.StatusUnauthorized, "unauthenticated", op.method, op.path, nil)
		s.fails(http.StatusUnauthorized, "unauthenticated", op.method, op.path, nil, bearer("x.y.z"))
		s.fails(http.StatusUnauthorized, "unauthenticated", op.method, op.path, nil, with("Authorization", "Basic YTpi"))
	}
}

// TestRealServer has what the recorder lacks: chunked bodies and a real socket.
func TestRealServer(t *testing.T) {
	s := newSite(t)
	server := httptest.NewServer(s.api)
	defer server.Close()
	endless := struct{ *strings.Reader }{strings.NewReader(`{"login":"` + strings.Repeat("x", 2<<20))} // no Content-Length
	r, err := http.Post(server.URL+"/api/v1/auth/login", "application/json", endless)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", r.StatusCode)
	}
}
