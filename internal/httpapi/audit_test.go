package httpapi_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/httpapi"
)

// auditTime passes fast, so that no test's refusals are too many.
func (w *workshop) auditTime() time.Time {
	return time.Now().Add(time.Duration(w.audits.Add(1)) * time.Minute)
}

// unaudited are the only operations that change something and leave no entry
// when they succeed.
var unaudited = []string{
	"POST /api/v1/groups/{id}/tasks", "POST /api/v1/groups/{id}/tasks:batch", // a task says itself who and when
	"POST /api/v1/auth/refresh",
	"POST /api/sync-event", "POST /api/v1/sync-events", // so does an event
	"POST /api/v1/notifications/read", "DELETE /api/v1/notifications/{id}", "PUT /api/v1/notifications/settings",
	"PUT /api/v1/groups/{id}/star", "DELETE /api/v1/groups/{id}/star",
}

// TestWhatIsNotAudited: an operation that changes something is audited, or says
// why not and stands above.
func TestWhatIsNotAudited(t *testing.T) {
	var got []string
	for route, why := range httpapi.Unaudited() {
		if why != "" {
			got = append(got, route)
		}
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(unaudited)); !slices.Equal(got, want) {
		t.Errorf("not audited: %q, want %q", got, want)
	}
}

// wantAudited holds the audit log against an answer of the matrix.
func (w *world) wantAudited(op operation, got answer) {
	w.Helper()
	w.audit.Flush(w.Context()) // the next minute
	entries, err := w.store.Entries(w.Context(), audit.Filter{}, "", 20)
	must(w, entries, err)
	entries = slices.DeleteFunc(entries, func(e audit.Entry) bool { return e.RequestID != got.header.Get("X-Request-Id") })
	done := got.status < http.StatusBadRequest && (op.id == "export-audit" ||
		op.method != http.MethodGet && !slices.Contains(unaudited, op.method+" "+op.path))
	if !done && got.status != http.StatusForbidden {
		if len(entries) != 0 {
			w.Errorf("%s, %d: audited %+v", got.what, got.status, entries)
		}
		return
	}
	if len(entries) != 1 {
		w.Errorf("%s, %d: %d entries in the audit log", got.what, got.status, len(entries))
		return
	}
	e, outcome := entries[0], audit.OK
	if !done {
		outcome = got.code()
	}
	if e.Outcome != outcome || e.Status != got.status || e.Action != op.id || e.Address != "127.0.0.1" {
		w.Errorf("%s, %d %s: audited as %+v", got.what, got.status, outcome, e)
	}
	for _, param := range op.params() { // the last one is what it is about, unless it made something
		if strings.HasSuffix(param, "{code}") {
			if strings.Contains(fmt.Sprint(e), w.things[param]) {
				w.Errorf("%s: the code of an invite link in %+v", got.what, e)
			}
			continue
		}
		if id := w.things[op.maker(len(op.params())-1, param)]; done && got.status != http.StatusCreated && id != e.Target && id != e.Group {
			w.Errorf("%s: about %s %s in %s, and not about %s", got.what, e.TargetType, e.Target, e.Group, id)
		}
	}
	if done && e.Group == "" && (strings.Contains(op.path, "/invitations/{id}") || op.id == "join-group") {
		w.Errorf("%s: of no group in %+v", got.what, e)
	}
	text, err := json.Marshal(e)
	must(w, text, err)
	for _, secret := range append(slices.Collect(maps.Values(w.tokens)), password) {
		if strings.Contains(string(text), secret) {
			w.Errorf("%s: a secret in %s", got.what, text)
		}
	}
}

// entry is an entry as administrators see it.
type entry struct {
	ID, At    string
	Actor     *struct{ ID, Username string }
	TokenKind string `json:"token_kind"`
	Action    string
	Type      string `json:"target_type"`
	Target    string
	Group     string
	Address   string
	Outcome   string
	Status    int
	RequestID string `json:"request_id"`
	LeftOut   int    `json:"left_out"`
}

// who returns the actor's name.
func (e entry) who() string {
	if e.Actor == nil {
		return ""
	}
	return e.Actor.Username
}

// entries reads the audit log, the newest first.
func (s *site) entries(root account, query string) []entry {
	s.t.Helper()
	var all []entry
	for cursor := ""; ; {
		var page struct {
			Items      []entry
			NextCursor *string `json:"next_cursor"`
		}
		s.ok(http.StatusOK, &page, "GET", "/api/v1/admin/audit?"+query+"&cursor="+cursor, nil, root.as())
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all
		}
		cursor = *page.NextCursor
	}
}

// TestAuditOfLogins: what is typed as a login is kept only where it is somebody's.
func TestAuditOfLogins(t *testing.T) {
	s := newSite(t, trusted("10.0.0.0/8"))
	root, ada := s.root(), s.register("ada")
	login := func(name, password string) map[string]string {
		return map[string]string{"login": name, "password": password}
	}
	const slip = "my secret password"
	proxied := []header{from("10.0.0.1"), with("X-Forwarded-For", "198.51.100.7")}
	p := s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", login(slip, "x"), proxied...)
	s.fails(http.StatusUnauthorized, "bad_credentials", "POST", "/api/v1/auth/login", login(" Ada@example.org ", "wrong password"))
	var in loggedIn
	s.ok(http.StatusOK, &in, "POST", "/api/v1/auth/login", login("ada", password))
	s.ok(http.StatusOK, nil, "POST", "/api/v1/auth/refresh", map[string]string{"refresh_token": in.RefreshToken})
	s.clock.add(time.Minute)
	s.fails(http.StatusUnauthorized, "bad_refresh_token", "POST", "/api/v1/auth/refresh", map[string]string{"refresh_token": in.RefreshToken})
	s.fails(http.StatusUnauthorized, "bad_refresh_token", "POST", "/api/v1/auth/refresh", map[string]string{"refresh_token": "flr_x"})
	s.ok(http.StatusNoContent, nil, "POST", "/api/v1/auth/logout", nil, ada.as())

	var got []string
	all := s.entries(root, "limit=2")
	for _, e := range all {
		kind := e.Type
		if e.Actor != nil && e.Target == e.Actor.ID {
			kind += " self"
		}
		got = append(got, fmt.Sprintf("%s by %q (%s) of %q: %d %s", e.Action, e.who(), e.TokenKind, kind, e.Status, e.Outcome))
	}
	want := []string{
		`logout by "ada" (session) of "user self": 204 ok`,
		`refresh by "ada" () of "session": 401 bad_refresh_token`,
		`login by "ada" () of "user self": 200 ok`,
		`login by "ada" () of "user self": 401 bad_credentials`,
		`login by "" () of "": 401 bad_credentials`,
		`register by "ada" () of "user self": 201 ok`,
		`login by "root" () of "user self": 200 ok`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("log\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if unknown := all[4]; unknown.Address != "198.51.100.7" || unknown.RequestID != p.RequestID || all[3].Address != "192.0.2.1" {
		t.Errorf("from %+v and %+v", all[4], all[3])
	}
	if text := fmt.Sprintf("%+v", all); strings.Contains(text, slip) || strings.Contains(text, "wrong password") {
		t.Errorf("a password in %s", text)
	}
}

func TestAuditFilters(t *testing.T) {
	s := newSite(t)
	root, ada, bob := s.root(), s.register("ada"), s.register("bob")
	g := s.group(ada, "laboratory")
	s.join(ada, g, bob)
	s.fails(http.StatusForbidden, "role_too_low", "PATCH", "/api/v1/groups/"+g, map[string]string{"name": "mine"}, bob.as())
	s.fails(http.StatusForbidden, "not_admin", "GET", "/api/v1/admin/audit", nil, bob.as())
	tok := s.token(ada, map[string]any{"kind": "worker", "groups": []string{g}})
	secretPath := "/api/v1/groups/" + tok.Secret
	s.fails(http.StatusForbidden, "wrong_token_kind", "DELETE", "/api/v1/tokens/"+tok.ID, nil, bearer(tok.Secret))
	s.fails(http.StatusForbidden, "wrong_token_kind", "PATCH", secretPath, nil, bearer(tok.Secret))

	all := s.entries(root, "")
	for query, want := range map[string][]string{
		"actor=bob":                        {"list-audit not_admin", "update-group role_too_low", "accept-invitation ok", "register ok"},
		"actor=" + bob.ID:                  {"list-audit not_admin", "update-group role_too_low", "accept-invitation ok", "register ok"},
		"group=" + g:                       {"update-group role_too_low", "accept-invitation ok", "invite ok", "create-group ok"},
		"group=" + g + "&outcome=ok":       {"accept-invitation ok", "invite ok", "create-group ok"},
		"target=" + tok.ID:                 {"delete-token wrong_token_kind", "create-token ok"},
		"outcome=refused&actor=ada":        {"update-group wrong_token_kind", "delete-token wrong_token_kind"},
		"outcome=role_too_low":             {"update-group role_too_low"},
		"action=invite":                    {"invite ok"},
		"action=invite&actor=bob":          nil,
		"to=2020-01-01T00:00:00Z":          nil,
		"from=2100-01-01T00:00:00Z":        nil,
		"to=" + all[len(all)-1].At:         nil,
		"from=" + all[0].At + "&limit=200": {"update-group wrong_token_kind"},
	} {
		var got []string
		for _, e := range s.entries(root, query) {
			got = append(got, e.Action+" "+e.Outcome)
		}
		if query[:5] == "from=" && len(got) > 0 {
			got = got[:1] // others may be of the same millisecond
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if text := fmt.Sprintf("%+v", all); strings.Contains(text, tok.Secret) || strings.Contains(text, password) {
		t.Errorf("a secret in %s", text)
	}
	for _, query := range []string{"from=yesterday", "limit=0", "cursor=%21", "actor=" + strings.Repeat("x", 65)} {
		s.fails(http.StatusUnprocessableEntity, "invalid", "GET", "/api/v1/admin/audit?"+query, nil, root.as())
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		s.fails(http.StatusMethodNotAllowed, "method_not_allowed", method, "/api/v1/admin/audit", nil, root.as())
		s.fails(http.StatusNotFound, "unknown_path", method, "/api/v1/admin/audit/"+all[0].ID, nil, root.as())
	}
}

// TestAuditOfSeveralGroups: who asks for a group's entries sees every way into it.
func TestAuditOfSeveralGroups(t *testing.T) {
	s := newSite(t)
	root, ada, bob := s.root(), s.register("ada"), s.register("bob")
	one, two := s.group(ada, "one group"), s.group(ada, "another group")
	for _, g := range []string{one, two} {
		s.ok(http.StatusCreated, nil, "POST", "/api/v1/groups/"+g+"/invitations", map[string]string{"username": "bob"}, ada.as())
	}
	s.ok(http.StatusOK, nil, "POST", "/api/v1/invitations/accept-all", nil, bob.as())
	var link struct{ ID, Code string }
	s.ok(http.StatusCreated, &link, "POST", "/api/v1/groups/"+two+"/invite-links", map[string]int{"max_uses": 2}, ada.as())
	s.ok(http.StatusCreated, nil, "POST", "/api/v1/auth/register", map[string]string{
		"username": "eve", "email": "eve@example.org", "password": password, "invite": link.Code,
	})
	s.ok(http.StatusOK, nil, "POST", "/api/v1/invite-links/"+link.Code+"/join", nil, root.as())
	for group, want := range map[string][]string{
		one: {"accept-all-invitations bob", "invite ada", "create-group ada"},
		two: {
			"join-group root", "register eve", "create-invite-link ada", "accept-all-invitations bob", "invite ada", "create-group ada",
		},
	} {
		var got []string
		for _, e := range s.entries(root, "group="+group) {
			got = append(got, e.Action+" "+e.who())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	all := s.entries(root, "")
	if text := fmt.Sprintf("%+v", all); strings.Contains(text, link.Code) || !strings.Contains(text, "invite_link Target:"+link.ID) {
		t.Errorf("the code, or not the id, of the link in %s", text)
	}
}

// TestAuditOfDryRuns: they change nothing, and an entry would say they did.
func TestAuditOfDryRuns(t *testing.T) {
	w := newWorld(t)
	owner, root := w.person("owner"), w.person("root")
	g := w.thing("groups/{id}")
	queue := func(dry bool) map[string]any {
		return map[string]any{"group": g, "kind": "echo", "dry_run": dry, "confirm": !dry}
	}
	for _, dry := range []bool{true, false} {
		owner.post("/api/v1/groups/"+g+"/tasks:cancel", map[string]any{"filter": map[string]any{}, "dry_run": dry}).want(http.StatusOK, "")
		root.post("/api/v1/admin/queues:empty", queue(dry)).want(http.StatusOK, "")
	}
	entries, err := w.store.Entries(t.Context(), audit.Filter{Group: g}, "", 20)
	if err != nil || len(entries) != 2 || entries[0].Action != "admin-empty-queue" || entries[0].Target != "echo" || entries[1].Action != "cancel-tasks" {
		t.Errorf("%+v, %v", entries, err)
	}
}

// TestAuditExport has more than two pages, and a name that a spreadsheet would
// take for a formula.
func TestAuditExport(t *testing.T) {
	s := newSite(t)
	root := s.root()
	const n = 450
	for i := range n {
		s.audit.Record(context.Background(), audit.Entry{
			Actor: "a", ActorName: "-1+1", Action: "bulk", Target: fmt.Sprint(i), TargetType: "a,b\n\"c\"", Outcome: audit.OK,
		})
	}
	const path = "/api/v1/admin/audit/export?action=bulk&format="
	r := s.ok(http.StatusOK, nil, "GET", path+"csv", nil, root.as())
	rows, err := csv.NewReader(strings.NewReader(string(r.body))).ReadAll()
	if err != nil || len(rows) != n+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if rows[0][0] != "id" || rows[1][3] != "'-1+1" || rows[1][6] != "a,b\n\"c\"" || rows[1][7] != fmt.Sprint(n-1) || rows[n][7] != "0" {
		t.Errorf("rows %q, %q, %q", rows[0], rows[1], rows[n])
	}
	if d := r.Header.Get("Content-Disposition"); !strings.HasPrefix(d, `attachment; filename="audit-`) || !strings.HasSuffix(d, `.csv"`) ||
		r.Header.Get("Content-Type") != "text/csv; charset=utf-8" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", r.Header)
	}
	r = s.ok(http.StatusOK, nil, "GET", path+"ndjson", nil, root.as())
	lines := strings.Split(strings.TrimSuffix(string(r.body), "\n"), "\n")
	var last entry
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != n || last.Target != "0" || last.who() != "-1+1" {
		t.Errorf("%d lines, the last %+v, %v", len(lines), last, err)
	}
	r = s.ok(http.StatusOK, nil, "GET", "/api/v1/admin/audit/export?action=none", nil, root.as())
	if text := string(r.body); !strings.HasPrefix(text, "id,at,") || strings.Count(text, "\n") != 1 {
		t.Errorf("of nothing: %q", text)
	}
	s.fails(http.StatusUnprocessableEntity, "invalid", "GET", path+"xls", nil, root.as())
	if got := s.entries(root, "action=export-audit"); len(got) != 3 || got[0].who() != "root" {
		t.Errorf("exports in the log: %+v", got)
	}
}

// TestAuditWhileTheStoreIsAway: what was done stands, and the log says so.
func TestAuditWhileTheStoreIsAway(t *testing.T) {
	s := newSite(t)
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	s.audit.Record(context.Background(), audit.Entry{Action: "create-group", Outcome: audit.OK})
	if s.audit.Failed() != 1 || !strings.Contains(s.log.String(), "audit entry not written") {
		t.Errorf("%d failed; log %s", s.audit.Failed(), s.log)
	}
}
