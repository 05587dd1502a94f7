package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/httpapi"
)

// rights is the authorization matrix: what every route answers to everybody who
// asks for the same thing with valid input. A line per route: its operation id
// (METHOD:/path for one that the OpenAPI document lacks), the status for each
// role, and what an API token needs.
//
// The thing asked for is in a group of viewer, member, peer, admin and owner. A
// task, token, invitation link, … in it was made by member; an invitation is to
// stranger; what is of one person (session, worker, notification) is member's.
// stranger is in no group, root an administrator of the installation in none.
// worker and device are the status for tokens of these kinds (of member and of
// owner), limited for API tokens of these two with all scopes, but for another
// group than the thing's.
//
// needs: the scope that an API token needs and does not go without; any: an API
// token whatever its scopes; session: no API token; public: a token makes no
// difference. An API token that has what it needs answers as its owner would,
// also one for the thing's group alone. Expired and revoked tokens, and those of
// disabled users, answer as anon.
//
// A new route needs a line here, where it fits best; what it needs in its path
// or body, by default nothing, is in things and bodies of matrix_world_test.go.
const rights = `
operation               anon stranger viewer member peer admin owner root  worker device limited  needs

register                201  201      201    201    201  201   201   201   201    201    201      public
setup                   409  409      409    409    409  409   409   409   409    409    409      public
login                   200  200      200    200    200  200   200   200   200    200    200      public
refresh                 200  200      200    200    200  200   200   200   200    200    200      public
logout                  401  204      204    204    204  204   204   204   401    401    401      public
logout-all              401  204      204    204    204  204   204   204   403    403    403      session

get-me                  401  200      200    200    200  200   200   200   403    403    200      any
update-me               401  200      200    200    200  200   200   200   403    403    403      session
change-password         401  204      204    204    204  204   204   204   403    403    403      session

delete-me               401  204      204    204    204  204   204   409   403    403    403      session
list-sessions           401  200      200    200    200  200   200   200   403    403    403      session
end-session             401  404      404    204    404  404   404   404   403    403    403      session

create-token            401  201      201    201    201  201   201   201   403    403    403      session
list-tokens             401  200      200    200    200  200   200   200   403    403    403      session
delete-token            401  404      404    204    404  404   404   404   403    403    403      session

create-group            401  201      201    201    201  201   201   201   403    403    403      groups:write
list-groups             401  200      200    200    200  200   200   200   403    403    200      groups:read
get-group               401  404      200    200    200  200   200   404   403    403    404      groups:read
update-group            401  404      403    403    403  200   200   404   403    403    404      groups:write
list-members            401  404      200    200    200  200   200   404   403    403    404      groups:read
list-workers            401  404      200    200    200  200   200   404   403    403    404      tasks:read
get-stats               401  404      200    200    200  200   200   404   403    403    404      tasks:read

invite                  401  404      403    403    403  201   201   404   403    403    404      groups:write
list-invitations        401  200      200    200    200  200   200   200   403    403    200      groups:read
accept-invitation       401  204      404    404    404  404   404   404   403    403    404      groups:write
decline-invitation      401  204      404    404    404  404   404   404   403    403    404      groups:write
delete-group            401  404      403    403    403  403   204   404   403    403    404      groups:write
star-group              401  404      204    204    204  204   204   404   403    403    404      groups:write
unstar-group            401  404      204    204    204  204   204   404   403    403    404      groups:write
leave-group             401  404      204    204    204  204   204   404   403    403    404      groups:write
update-member           401  404      403    403    403  200   200   404   403    403    404      groups:write
kick-member             401  404      403    403    403  204   204   404   403    403    404      groups:write
list-group-invitations  401  404      403    403    403  200   200   404   403    403    404      groups:read
withdraw-invitation     401  404      403    403    403  204   204   404   403    403    404      groups:write
accept-all-invitations  401  200      200    200    200  200   200   200   403    403    200      groups:write
decline-all-invitations 401  200      200    200    200  200   200   200   403    403    200      groups:write
create-invite-link      401  404      403    403    403  201   201   404   403    403    404      groups:write
list-invite-links       401  404      403    403    403  200   200   404   403    403    404      groups:read
revoke-invite-link      401  404      403    403    403  204   204   404   403    403    404      groups:write
get-invite-link         200  200      200    200    200  200   200   200   200    200    200      public
join-group              401  200      409    409    409  409   409   200   403    403    403      groups:write

submit-task             401  404      403    202    202  202   202   404   403    403    404      tasks:write
submit-tasks            401  404      403    207    207  207   207   404   403    403    404      tasks:write
list-tasks              401  404      200    200    200  200   200   404   403    403    404      tasks:read
cancel-tasks            401  404      403    200    200  200   200   404   403    403    404      tasks:write
retry-tasks             401  404      403    200    200  200   200   404   403    403    404      tasks:write
get-task                401  404      200    200    200  200   200   404   403    403    404      tasks:read
list-children           401  404      200    200    200  200   200   404   403    403    404      tasks:read
get-input               401  404      200    200    200  200   200   404   403    403    404      tasks:read
get-result              401  404      200    200    200  200   200   404   403    403    404      tasks:read
get-logs                401  404      200    200    200  200   200   404   403    403    404      tasks:read
get-timeline            401  404      200    200    200  200   200   404   403    403    404      tasks:read
cancel-task             401  404      403    200    403  200   200   404   403    403    404      tasks:write
retry-task              401  404      403    200    403  200   200   404   403    403    404      tasks:write
drop-result             401  404      403    204    403  204   204   404   403    403    404      tasks:write

admin-overview          401  403      403    403    403  403   403   200   403    403    403      session
admin-list-groups       401  403      403    403    403  403   403   200   403    403    403      session
admin-list-workers      401  403      403    403    403  403   403   200   403    403    403      session
admin-disconnect-worker 401  403      403    403    403  403   403   204   403    403    403      session
admin-list-queues       401  403      403    403    403  403   403   200   403    403    403      session
admin-pause-queue       401  403      403    403    403  403   403   204   403    403    403      session
admin-resume-queue      401  403      403    403    403  403   403   204   403    403    403      session
admin-empty-queue       401  403      403    403    403  403   403   200   403    403    403      session

watch-live              401  101      101    101    101  101   101   101   403    403    101      tasks:read
connect-worker          401  403      403    403    403  403   403   403   101    403    403      session

list-users              401  403      403    403    403  403   403   200   403    403    403      session
update-user             401  403      403    403    403  403   403   200   403    403    403      session
list-audit              401  403      403    403    403  403   403   200   403    403    403      session
export-audit            401  403      403    403    403  403   403   200   403    403    403      session

sync-event              401  403      403    403    403  403   403   403   403    201    403      session
sync-events             401 403      403    403    403  403   403   403   403    207    403      session
sync-history            401  404      200    200    200  200   200   404   403    403    404      devices:read
repeated-failures       401  200      200    200    200  200   200   200   403    403    200      devices:read
list-devices            401  200      200    200    200  200   200   200   403    403    200      devices:read
get-device              401  404      200    200    200  200   200   404   403    403    404      devices:read
update-device           401  404      403    403    403  200   200   404   403    403    403      session
device-stats            401  404      200    200    200  200   200   404   403    403    404      devices:read
export-device           401  404      200    200    200  200   200   404   403    403    404      devices:read
fleet-stats             401  404      200    200    200  200   200   404   403    403    404      devices:read
export-events           401  404      200    200    200  200   200   404   403    403    404      devices:read
get-alert-rules         401  404      200    200    200  200   200   404   403    403    404      devices:read
set-alert-rules         401  404      403    403    403  200   200   404   403    403    403      session
list-alerts             401  404      200    200    200  200   200   404   403    403    404      devices:read
get-metrics             401  403      403    403    403  403   403   200   403    403    403      metrics

alive                   200  200      200    200    200  200   200   200   200    200    200      public
ready                   200  200      200    200    200  200   200   200   200    200    200      public
openapi                 200  200      200    200    200  200   200   200   200    200    200      public
docs                    200  200      200    200    200  200   200   200   200    200    200      public

list-downloads          200  200      200    200    200  200   200   200   200    200    200      public
get-download            200  200      200    200    200  200   200   200   200    200    200      public
python-index            200  200      200    200    200  200   200   200   200    200    200      public
python-project          200  200      200    200    200  200   200   200   200    200    200      public

list-own-workers        401 200 200 200 200 200 200 200 403 403 200 tasks:read
get-own-worker          401 404 404 200 404 404 404 404 403 403 404 tasks:read
update-own-worker       401 404 404 200 404 404 404 404 403 403 404 tasks:write
forget-own-worker       401 404 404 204 404 404 404 404 403 403 404 tasks:write
get-own-worker-history  401 404 404 200 404 404 404 404 403 403 404 tasks:read
list-notifications      401  200      200    200    200  200   200   200   403    403    403      session
read-notifications      401  200      200    200    200  200   200   200   403    403    403      session
delete-notification     401  404      404    204    404  404   404   404   403    403    403      session
get-notification-settings 401  200    200    200    200  200   200   200   403    403    403      session
set-notification-settings 401  200    200    200    200  200   200   200   403    403    403      session
`

// howToAdd is what somebody reads whose new route fails the test.
const howToAdd = `%s %s is not in the authorization matrix. Add a line to rights in internal/httpapi/matrix_test.go,
with what docs/http-api.md says of each role, for example:
%-23s 401  404      200    200    200  200   200   404   403    403    404      groups:read
and, where the call needs one, a body in bodies and what its path names in things (matrix_world_test.go).`

// operation is a route as the tests need it.
type operation struct {
	id, method, path string
	doc              docOperation
	raw              bool // huma does not know it
}

// docOperation is an operation of the OpenAPI document.
type docOperation struct {
	OperationID string
	Summary     string
	Tags        []string
	Security    []map[string][]string
	Parameters  []struct {
		Name, In string
	}
	RequestBody *struct {
		Required bool
		Content  map[string]struct{ Schema schema }
	}
}

// operations returns every route, by path.
func operations(t *testing.T) []operation {
	t.Helper()
	raw, err := httpapi.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]docOperation
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			op := doc.Paths[path][method]
			o := operation{id: op.OperationID, method: strings.ToUpper(method), path: path, doc: op}
			o.raw = slices.Contains(httpapi.RawRoutes(), o.method+" "+o.path)
			all = append(all, o)
		}
	}
	return all
}

// line is one of rights.
type line struct {
	status map[string]int // by column
	needs  string
}

// parseRights returns the lines by operation id.
func parseRights(t *testing.T) map[string]line {
	t.Helper()
	lines := map[string]line{}
	var columns []string
	for text := range strings.Lines(rights) {
		words := strings.Fields(text)
		switch {
		case len(words) == 0:
			continue
		case columns == nil:
			columns = words
			continue
		case len(words) != len(columns) || lines[words[0]].needs != "":
			t.Fatalf("%q has not the columns %v, or is there twice", text, columns)
		}
		l := line{status: map[string]int{}, needs: words[len(words)-1]}
		for i := 1; i < len(words)-1; i++ {
			status, err := strconv.Atoi(words[i])
			if err != nil || status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status >= 500 {
				t.Fatalf("%q: %s proves nothing about rights", text, words[i])
			}
			l.status[columns[i]] = status
		}
		lines[words[0]] = l
	}
	return lines
}

// asks is somebody who makes a call, and what they have to be told.
type asks struct {
	name, token string
	status      int
	code        string // of the problem; empty: any
}

// Why a token is refused, whoever's it is.
const (
	unauthenticated = "unauthenticated"
	wrongKind       = "wrong_token_kind"
	missingScope    = "missing_scope"
)

// api says what an API token of a role with these scopes is told.
func (l line) api(role string, scopes ...auth.Scope) (status int, code string) {
	switch {
	case l.needs == "public":
		return l.status["anon"], ""
	case l.needs == "session":
		return http.StatusForbidden, wrongKind
	case l.needs == "any", slices.Contains(scopes, auth.Scope(l.needs)):
		return l.status[role], ""
	}
	return http.StatusForbidden, missingScope
}

// askers returns everybody who makes the call of a line.
func (w *world) askers(l line) []asks {
	var all []asks
	add := func(name, token string, status int, code string) { all = append(all, asks{name, token, status, code}) }
	refused := func(code string, status, when int) string {
		if l.needs == "public" || status != when {
			return ""
		}
		return code
	}
	for _, role := range append([]string{"anon"}, roles...) {
		add(role, w.person(role).token, l.status[role], "")
	}
	for _, kind := range []string{"worker", "device"} {
		add(kind+" token", w.token("owner", kind), l.status[kind], refused(wrongKind, l.status[kind], http.StatusForbidden))
	}
	add("worker token of member", w.token("member", "worker"), l.status["worker"], "")
	add("limited token of owner", w.token("owner", "limited", auth.Scopes...), l.status["limited"], "")
	add("limited token of member", w.token("member", "limited", auth.Scopes...), l.status["limited"], "")
	if l.status["limited"] == http.StatusNotFound {
		status, code := l.api("owner", auth.Scopes...)
		add("token limited to the group", w.token("owner", "within", auth.Scopes...), status, code)
	}
	for _, role := range []string{"stranger", "member", "owner", "root"} {
		status, code := l.api(role, auth.Scopes...)
		add("API token of "+role, w.token(role, "api", auth.Scopes...), status, code)
	}
	for _, s := range auth.Scopes {
		status, code := l.api("owner", s)
		add("API token for "+string(s), w.token("owner", "api", s), status, code)
	}
	for name, token := range w.goneTokens() {
		add(name, token, l.status["anon"], refused(unauthenticated, l.status["anon"], http.StatusUnauthorized))
	}
	return all
}

// TestAuthorizationMatrix makes every call of rights against the real API.
func TestAuthorizationMatrix(t *testing.T) {
	w := newWorld(t)
	lines := parseRights(t)
	known := map[string]bool{}
	for _, op := range operations(t) {
		known[op.id] = true
		l, ok := lines[op.id]
		if !ok {
			t.Errorf(howToAdd, op.method, op.path, op.id)
			continue
		}
		t.Run(op.id, func(t *testing.T) {
			w.T = t
			for i := range w.askers(l) {
				who := w.askers(l)[i] // anew: the call before may have ended a session
				got := w.call(op, who.token)
				if code := got.code(); got.status != who.status || who.code != "" && code != who.code {
					t.Errorf("%s: %d %s, want %d %s", who.name, got.status, code, who.status, who.code)
				} else if code == "unknown_path" {
					t.Errorf("%s: the call has not reached the route", who.name)
				}
				w.wantAudited(op, got)
				if got.status < 300 && op.method != http.MethodGet {
					w.forget(op)
				}
			}
		})
	}
	for id := range lines {
		if !known[id] {
			t.Errorf("%s is in the matrix, and no route", id)
		}
	}
}
