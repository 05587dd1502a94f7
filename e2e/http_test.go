package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// site is the one server of the tests of docs/http-api.md, which see it as a
// stranger does who has read that page alone.
type site struct {
	*kit.Server
	dir string

	// ada owns the group, bob is a member, vic a viewer, and eve none of it.
	ada, bob, vic, eve *person
	group              string
}

const (
	friend   = "https://friend.example" // a page that the operator allowed
	stranger = "https://evil.example"
	nobodyID = "01900000-0000-7000-8000-000000000000"
)

// TestHTTP holds the server to docs/http-api.md.
func TestHTTP(t *testing.T) {
	s := &site{dir: t.TempDir()}
	var err error
	s.Server, err = kit.StartServer(bins.Server, s.dir, []string{
		"FIRMLIGHT_ARGON2_MEMORY_KIB=64", "FIRMLIGHT_ARGON2_ITERATIONS=1",
		"FIRMLIGHT_TRUSTED_PROXIES=127.0.0.0/8", "FIRMLIGHT_ALLOWED_ORIGINS=" + friend,
	}, nil)
	must(t, err)
	t.Cleanup(func() {
		must(t, s.Stop(20*time.Second))
		if t.Failed() {
			t.Logf("what the server complained of:\n%s", s.Complaints())
		}
	})
	s.ada, s.bob, s.vic, s.eve = s.person(t, "ada"), s.person(t, "bob"), s.person(t, "vic"), s.person(t, "eve")
	s.group = s.ada.newGroup(t, "Analytical engines")
	s.ada.admits(t, s.group, s.bob, s.vic)
	s.asRole(t, s.vic, "viewer")
	t.Run("all", func(t *testing.T) { // returns when the parallel ones have
		for name, test := range map[string]func(*testing.T, *site){
			"rules": testRules, "register": testRegister, "login": testLogin, "throttle": testThrottle,
			"refresh": testRefresh, "browser": testBrowser, "logout": testLogout, "me": testMe,
			"tokens": testTokens, "bearers": testBearers, "scopes": testScopes, "limited token": testLimitedToken,
			"groups": testGroups, "invitations": testInvitations, "group lists": testGroupLists, "health": testHealth,
			"submit": testSubmit, "fan-out": testFanOut, "batch": testBatch, "idempotency": testIdempotency,
			"task list": testTaskList, "cursor": testCursor, "task life": testTaskLife, "actions": testActions,
			"bulk": testBulk, "rights": testRights, "work": testWork,
			"live handshake": testLiveHandshake, "live topics": testLiveTopics, "live closing": testLiveClosing,
			"live members": testLiveMembers,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	})
	for _, secret := range []string{"a long password", "flr_", "fla_", "flw_", "eyJ"} {
		if strings.Contains(s.Output(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// person is an account with a login, or nobody (no token).
type person struct {
	s                   *site
	name, id            string
	token, refreshToken string
}

const password = "a long password"

// person makes an account.
func (s *site) person(t *testing.T, name string) *person {
	t.Helper()
	a := s.nobody().do(t, "POST /auth/register", kv{"username": name, "email": name + "@example.org", "password": password})
	a.want(t, 201, "")
	return &person{s, name, a.str("user.id"), a.str("access_token"), a.str("refresh_token")}
}

func (s *site) nobody() *person { return &person{s: s} }

// with is the same person with another bearer token.
func (p *person) with(token string) *person {
	other := *p
	other.token = token
	return &other
}

func (p *person) newGroup(t *testing.T, name string) string {
	t.Helper()
	return p.do(t, "POST /groups", kv{"name": name}).want(t, 201, "").str("id")
}

// newToken makes a token and returns its id and secret.
func (p *person) newToken(t *testing.T, fields kv) (id, secret string) {
	t.Helper()
	a := p.do(t, "POST /tokens", fields).want(t, 201, "")
	return a.str("id"), a.str("secret")
}

// admits invites people, who accept.
func (p *person) admits(t *testing.T, group string, others ...*person) {
	t.Helper()
	for _, o := range others {
		id := p.do(t, "POST /groups/"+group+"/invitations", kv{"username": o.name}).want(t, 201, "").str("id")
		o.do(t, "POST /invitations/"+id+"/accept", nil).want(t, 204, "")
	}
}

// asRole gives a member of the group another role.
func (s *site) asRole(t *testing.T, p *person, role string) {
	t.Helper()
	s.ada.do(t, "PATCH /groups/"+s.group+"/members/"+p.id, kv{"role": role}).want(t, 200, "")
}

// submit submits a task to the group, by default one that no worker takes.
func (p *person) submit(t *testing.T, fields kv) string {
	t.Helper()
	spec := kv{"kind": "nobodys"}
	for k, v := range fields {
		spec[k] = v
	}
	return p.do(t, "POST /groups/"+p.s.group+"/tasks", spec).want(t, 202, "").str("id")
}

// kv is a JSON object.
type kv map[string]any

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   []byte
	json   any
}

// do sends a request to a route below /api/v1, or to a path that begins with //.
// The body is JSON, or text as it is; headers are "Name: value". What holds for
// every answer is checked here.
func (p *person) do(t *testing.T, call string, body any, headers ...string) answer {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		path = "/" + rest
	} else {
		path = "/api/v1" + path
	}
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		must(t, err)
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, p.s.URL+path, content)
	must(t, err)
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	must(t, err)
	if strings.Contains(resp.Header.Get("Content-Type"), "json") && len(a.body) > 0 {
		must(t, json.Unmarshal(a.body, &a.json))
	}
	if a.status >= 400 {
		a.checkProblem(t, call)
		if after, err := time.ParseDuration(a.header.Get("Retry-After") + "s"); err == nil && a.str("code") == "busy" {
			<-time.After(after) // the others keep the store behind; a client comes again
			return p.do(t, call, body, headers...)
		}
	} else if !strings.HasSuffix(call, "openapi.json") {
		a.checkForm(t, call, "", a.json)
	}
	return a
}

var (
	codeForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	idForm   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	insides  = regexp.MustCompile(`(?i)sqlite|goroutine|\.go:|panic|huma|json:|strconv|redis:|httpapi`)
)

// checkProblem checks what every error has.
func (a answer) checkProblem(t *testing.T, call string) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("%s: an error of type %q: %s", call, got, a.body)
	}
	for _, name := range []string{"type", "title", "detail", "code", "request_id"} {
		if a.str(name) == "" {
			t.Errorf("%s: the problem has no %s: %s", call, name, a.body)
		}
	}
	if a.at("status") != float64(a.status) || a.str("title") != http.StatusText(a.status) || !codeForm.MatchString(a.str("code")) {
		t.Errorf("%s: status %d with %s", call, a.status, a.body)
	}
	if a.status == 500 || insides.Match(a.body) {
		t.Errorf("%s: tells of the insides: %s", call, a.body)
	}
	if a.status == 401 && a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s: 401 without WWW-Authenticate", call)
	}
	if after, err := strconv.Atoi(a.header.Get("Retry-After")); a.status == 429 && (err != nil || after < 1) {
		t.Errorf("%s: 429 with Retry-After %q", call, a.header.Get("Retry-After"))
	}
}

// checkForm checks ids, times and lists wherever they stand in an answer; what
// users made up themselves, as outputs and labels, is left out.
func (a answer) checkForm(t *testing.T, call, key string, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			a.checkForm(t, call, key, e)
		}
	case map[string]any:
		_, items := v["items"]
		_, next := v["next_cursor"]
		if items && !next && !strings.Contains(call, "/logs") && !strings.Contains(call, "/timeline") {
			t.Errorf("%s: a list without next_cursor: %s", call, a.body)
		}
		for k, e := range v {
			if k != "output" && k != "labels" && k != "problem" {
				a.checkForm(t, call, k, e)
			}
		}
	case string:
		isID := key == "id" || strings.HasSuffix(key, "_id") && key != "device_id"
		isTime := key == "at" || key == "deadline" || strings.HasSuffix(key, "_at")
		if isID && !idForm.MatchString(v) || isTime && !timeForm.MatchString(v) {
			t.Errorf("%s: %s is %q", call, key, v)
		}
	}
}

// want checks the status, the code of a problem (empty: none is expected), and
// that its errors name the fields.
func (a answer) want(t *testing.T, status int, code string, fields ...string) answer {
	t.Helper()
	if a.status != status || status >= 400 && a.str("code") != code {
		t.Fatalf("answer %d %s, want %d %s", a.status, a.body, status, code)
	}
	for _, f := range fields {
		if !strings.Contains(string(a.body), `"field":"`+f+`"`) {
			t.Fatalf("no error names %s: %s", f, a.body)
		}
	}
	return a
}

// at returns what stands at a path such as items.0.id, nil for nothing.
func (a answer) at(path string) any {
	v := a.json
	for _, step := range strings.Split(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) str(path string) string {
	s, _ := a.at(path).(string)
	return s
}

// all returns a field of every item of a list.
func (a answer) all(field string) []string {
	items, _ := a.at("items").([]any)
	got := make([]string, len(items))
	for i := range items {
		got[i] = fmt.Sprint(a.at(fmt.Sprintf("items.%d.%s", i, field)))
	}
	return got
}

// rule is one request and what must be answered.
type rule struct {
	name   string
	who    *person
	call   string
	body   any
	status int
	code   string
	field  string // named among the errors; empty: not looked at
}

// check runs each rule as a case.
func check(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			a := r.who.do(t, r.call, r.body)
			a.want(t, r.status, r.code)
			if r.field != "" {
				a.want(t, r.status, r.code, r.field)
			}
		})
	}
}

func testRules(t *testing.T, s *site) {
	tasks, nobody := "POST /groups/"+s.group+"/tasks", s.nobody()
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	check(t, []rule{
		{"unknown path of the API", nobody, "GET /nothing", nil, 404, "unknown_path", ""},
		{"unknown path below /api", nobody, "GET //api/nothing", nil, 404, "unknown_path", ""},
		{"/api itself", nobody, "GET //api", nil, 404, "unknown_path", ""},
		{"unclean path", nobody, "GET //api/v1//me", nil, 404, "unknown_path", ""},
		{"path with dots", s.ada, "GET //api/v1/x/../me", nil, 404, "unknown_path", ""},
		{"other method", s.ada, "DELETE /groups", nil, 405, "method_not_allowed", ""},
		{"bad JSON", s.ada, "POST /groups", `{"name":`, 400, "malformed", ""},
		{"bad JSON of a task", s.ada, tasks, `{"kind":`, 400, "malformed", ""},
		{"two values", s.ada, "POST /groups", `{"name":"abc"} {}`, 400, "malformed", ""},
		{"two values of a task", s.ada, tasks, `{"kind":"k"} {}`, 400, "malformed", ""},
		{"not UTF-8", s.ada, tasks, "{\"kind\":\"k\",\"title\":\"\xff\"}", 400, "malformed", ""},
		{"no body", s.ada, "POST /groups", "", 400, "malformed", ""},
		{"no object", s.ada, "POST /groups", `[]`, 422, "invalid", "body"},
		{"no object as a task", s.ada, tasks, `[]`, 422, "invalid", "body"},
		{"unknown field", s.ada, "POST /groups", kv{"name": "abc", "colour": 1}, 422, "invalid", "body.colour"},
		{"unknown field of a task", s.ada, tasks, kv{"kind": "k", "colour": 1}, 422, "invalid", "body.colour"},
		{"field in another case", s.ada, tasks, kv{"Kind": "k"}, 422, "invalid", "body.Kind"},
		{"unknown field below", s.ada, tasks, `{"kind":"mean","split":{"parts":1,"x":1}}`, 422, "invalid", "body.split.x"},
		{"wrong type", s.ada, tasks, kv{"kind": 1}, 422, "invalid", "body.kind"},
		{"too deep", s.ada, "POST /groups", `{"name":` + deep + `}`, 422, "invalid", ""},
		{"too deep a task", s.ada, tasks, `{"kind":"k","input":` + deep + `}`, 422, "invalid", ""},
		{"too large", s.ada, "POST /groups", kv{"name": strings.Repeat("x", 1<<20+64<<10)}, 413, "too_large", ""},
		{"too large a task", s.ada, tasks, kv{"kind": "k", "input": strings.Repeat("x", 1<<20+64<<10)}, 413, "too_large", ""},
		{"no token", nobody, "GET /me", nil, 401, "unauthenticated", ""},
		{"no token, and a bad body", nobody, "POST /groups", "{", 401, "unauthenticated", ""},
		{"other's group", s.eve, "GET /groups/" + s.group, nil, 404, "group_not_found", ""},
		{"other's group, and a bad body", s.eve, tasks, "{", 404, "group_not_found", ""},
		{"role too low, and a bad body", s.vic, tasks, "{", 403, "role_too_low", ""},
		{"no group", s.ada, "GET /groups/" + nobodyID, nil, 404, "group_not_found", ""},
		{"no id", s.ada, "GET /groups/x", nil, 404, "group_not_found", ""},
		{"limit 0", s.ada, "GET /groups?limit=0", nil, 422, "invalid", "query.limit"},
		{"limit 201", s.ada, "GET /groups?limit=201", nil, 422, "invalid", "query.limit"},
		{"limit no number", s.ada, "GET /groups?limit=x", nil, 422, "invalid", "query.limit"},
		{"bad cursor", s.ada, "GET /groups?cursor=%21", nil, 422, "invalid", "query.cursor"},
		{"limit 200", s.ada, "GET /groups?limit=200", nil, 200, "", ""},
	})
	t.Run("request id of a proxy is kept", func(t *testing.T) {
		a := nobody.do(t, "GET /me", nil, "X-Request-Id: from-the-proxy_1").want(t, 401, "unauthenticated")
		if a.str("request_id") != "from-the-proxy_1" {
			t.Fatalf("got %s", a.body)
		}
		if a := nobody.do(t, "GET /me", nil, "X-Request-Id: x\ty=\"forged\""); a.str("request_id") != a.header.Get("X-Request-Id") || strings.Contains(a.str("request_id"), "forged") {
			t.Fatalf("kept a harmful one: %s", a.body)
		}
	})
	t.Run("one answer names 64 wrong fields at most", func(t *testing.T) {
		many := kv{}
		for i := range 1000 {
			many[fmt.Sprint("f", i)] = 1
		}
		a := nobody.do(t, "POST /auth/login", many).want(t, 422, "invalid")
		if n := len(a.at("errors").([]any)); n != 64 {
			t.Fatalf("%d errors", n)
		}
	})
}

func testHealth(t *testing.T, s *site) {
	check(t, []rule{
		{"alive", s.nobody(), "GET //healthz", nil, 200, "", ""},
		{"ready", s.nobody(), "GET //readyz", nil, 200, "", ""},
		{"alive to HEAD", s.nobody(), "HEAD //healthz", nil, 200, "", ""},
		{"document", s.nobody(), "GET //api/openapi.json", nil, 200, "", ""},
	})
	if a := s.nobody().do(t, "GET //api/openapi.json", nil); a.str("openapi") != "3.1.0" {
		t.Fatalf("OpenAPI %q", a.str("openapi"))
	}
	if a := s.nobody().do(t, "GET //api/docs", nil); a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Fatalf("docs: %d %s", a.status, a.header.Get("Content-Type"))
	}
}
