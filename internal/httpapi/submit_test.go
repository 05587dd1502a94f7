package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
)

const (
	mib     = 1 << 20
	maxBody = mib + 64<<10
)

// quoted returns a JSON string of n bytes with its quotes.
func quoted(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }

func TestSubmitFields(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	path := "/api/v1/groups/" + me.group() + "/tasks"
	chars := func(n int) string { return strings.Repeat("ä", n) }
	tests := []struct {
		name, body string
		status     int
		field      string // that the problem names
	}{
		{"least", `{"kind":"k"}`, 202, ""},
		{"any input", `{"kind":"k","input":[null,1e400,"é"]}`, 202, ""},
		{"not JSON", `{"kind":`, 400, ""},
		{"two values", `{"kind":"k"} {}`, 400, ""},
		{"not UTF-8", "{\"kind\":\"k\",\"input\":\"\xff\"}", 400, ""},
		{"an array", `[]`, 422, "body"},
		{"unknown field", `{"kind":"k","knd":1}`, 422, "body.knd"},
		{"field in capitals", `{"Kind":"k"}`, 422, "body.Kind"},
		{"fields of the input are its own", `{"kind":"k","input":{"knd":[{"x":",\\\"a\\\":1"}]},"title":"{\\\"b\\\":1,"}`, 202, ""},
		{"field in escapes", `{"\u006bind":"k"}`, 202, ""},
		{"wrong type", `{"kind":7}`, 422, "body.kind"},
		{"no kind", `{}`, 422, "body.kind"},
		{"kind of 64", `{"kind":"` + strings.Repeat("k", 64) + `"}`, 202, ""},
		{"kind of 65", `{"kind":"` + strings.Repeat("k", 65) + `"}`, 422, "body.kind"},
		{"title of 200", `{"kind":"k","title":"` + chars(200) + `"}`, 202, ""},
		{"title of 201", `{"kind":"k","title":"` + chars(201) + `"}`, 422, "body.title"},
		{"title of 200 once composed", `{"kind":"k","title":"` + strings.Repeat("a\u0308", 200) + `"}`, 202, ""},
		{"title with a control character", `{"kind":"k","title":"a\u0007"}`, 422, "body.title"},
		{"priority", `{"kind":"k","priority":"urgent"}`, 422, "body.priority"},
		{"1 attempt", `{"kind":"k","max_attempts":1}`, 202, ""},
		{"0 attempts", `{"kind":"k","max_attempts":0}`, 422, "body.max_attempts"},
		{"25 attempts", `{"kind":"k","max_attempts":25}`, 202, ""},
		{"26 attempts", `{"kind":"k","max_attempts":26}`, 422, "body.max_attempts"},
		{"timeout of nothing", `{"kind":"k","timeout_s":0}`, 422, "body.timeout_s"},
		{"timeout of a day", `{"kind":"k","timeout_s":86400}`, 202, ""},
		{"timeout above", `{"kind":"k","timeout_s":86401}`, 422, "body.timeout_s"},
		{"run_at", `{"kind":"k","run_at":"2020-01-01T00:00:00+02:00"}`, 202, ""},
		{"run_at no time", `{"kind":"k","run_at":"tomorrow"}`, 422, "body.run_at"},
		{"retention at once", `{"kind":"k","result_retention_s":0}`, 202, ""},
		{"retention below", `{"kind":"k","result_retention_s":-1}`, 422, "body.result_retention_s"},
		{"nested 64", `{"kind":"k","input":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`, 202, ""},
		{"nested 65", `{"kind":"k","input":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, 422, "body"},
		{"split", `{"kind":"mean","input":{"numbers":[1,2]},"split":{"parts":2}}`, 202, ""},
		{"split into none", `{"kind":"mean","split":{"parts":0}}`, 422, "body.split.parts"},
		{"10,000 parts", `{"kind":"mean","input":{"numbers":[1]},"split":{"parts":10000}}`, 202, ""},
		{"10,001 parts", `{"kind":"mean","input":{"numbers":[1]},"split":{"parts":10001}}`, 422, "body.split.parts"},
		{"split in words", `{"kind":"mean","split":{"parts":"many"}}`, 422, "body.split.parts"},
		{"unknown field of split", `{"kind":"mean","split":{"parts":2,"of":1}}`, 422, "body.split.of"},
		{"split of no object", `{"kind":"mean","split":2}`, 422, "body.split"},
		{"split null", `{"kind":"mean","split":null}`, 202, ""},
		{"split for no workers", `{"kind":"mean","split":{"parts":"workers"}}`, 409, ""},
		{"split by a kind that does not", `{"kind":"sleep","split":{"parts":2}}`, 422, "body.split"},
		{"10,000 inputs", `{"kind":"k","inputs":[` + strings.Repeat("1,", 9999) + `1]}`, 202, ""},
		{"10,001 inputs", `{"kind":"k","inputs":[` + strings.Repeat("1,", 10000) + `1]}`, 422, "body.inputs"},
		{"no inputs", `{"kind":"k","inputs":[]}`, 422, "body.inputs"},
		{"two ways", `{"kind":"mean","inputs":[1],"split":{"parts":1}}`, 422, "body.split"},
		{"broadcast to nobody", `{"kind":"k","broadcast":true}`, 409, ""},
		{"reduce by name", `{"kind":"k","inputs":[1],"reduce":"sum"}`, 202, ""},
		{"reduce by kind", `{"kind":"k","inputs":[1],"reduce":{"kind":"r"}}`, 202, ""},
		{"reduce unknown", `{"kind":"k","inputs":[1],"reduce":"product"}`, 422, "body.reduce"},
		{"reduce by nothing", `{"kind":"k","inputs":[1],"reduce":{}}`, 422, "body.reduce"},
		{"reduce of nothing", `{"kind":"k","reduce":"sum"}`, 422, "body.reduce"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := me.post(path, tt.body)
			if a.status != tt.status || a.field() != tt.field {
				t.Errorf("status %d, field %q, want %d, %q: %.300s", a.status, a.field(), tt.status, tt.field, a.body)
			}
		})
	}
}

func TestSubmitSizes(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	path := "/api/v1/groups/" + me.group() + "/tasks"
	input := func(n int) string { return `{"kind":"k","input":` + quoted(n) + `}` }
	body := func(n int, rest string) string { // n bytes in all, the input within its limit
		head := `{"kind":"k"` + rest
		return head + strings.Repeat(" ", n-len(head)-1) + `}`
	}
	tests := []struct {
		name, body string
		status     int
	}{
		{"input of 1 MiB", input(mib), 202},
		{"input above 1 MiB", input(mib + 1), 413},
		{"body at the limit", body(maxBody, ""), 202},
		{"body above the limit", body(maxBody+1, ""), 413},
		{"inputs have a larger one", body(maxBody+1, `,"inputs":[1]`), 202},
		{"split too", body(maxBody+1, `,"split":{"parts":1}`), 422}, // for the kind, not the size
		{"body of 32 MiB", body(32*mib, `,"inputs":[1]`), 202},
		{"body above 32 MiB", body(32*mib+1, `,"inputs":[1]`), 413},
		{"one of inputs of 1 MiB", `{"kind":"k","inputs":[` + quoted(mib) + `]}`, 202},
		{"one of inputs above", `{"kind":"k","inputs":[` + quoted(mib+1) + `]}`, 413},
		{"inputs above 8 MiB", `{"kind":"k","inputs":[` + strings.Repeat(quoted(mib)+",", 8) + `1]}`, 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code := ""
			if tt.status == 413 {
				code = "too_large"
			}
			a := me.post(path, tt.body)
			if a.status != tt.status {
				t.Errorf("status %d, want %d: %.300s", a.status, tt.status, a.body)
			}
			if code != "" && !strings.Contains(string(a.body), `too_large"`) {
				t.Errorf("problem %.300s, want one of size", a.body)
			}
		})
	}
}

func TestSubmitAnswersWithTheTask(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	group := me.group()
	now := me.submit(group, `{"kind":"k","title":"first","priority":"high"}`)
	if now.Status != "queued" || now.Title != "first" || now.Priority != "high" || now.ID == "" {
		t.Errorf("submitted %+v", now)
	}
	later := me.submit(group, map[string]any{"kind": "k", "run_at": time.Now().Add(time.Hour)})
	if later.Status != "scheduled" {
		t.Errorf("status %s with run_at, want scheduled", later.Status)
	}
	if got := into[seen](me.get("/api/v1/tasks/"+now.ID), 200); got.ID != now.ID {
		t.Errorf("got %+v", got)
	}
	w.connected = []string{newID(), newID()}
	for _, body := range []string{`{"kind":"k","broadcast":true}`, `{"kind":"mean","input":{"numbers":[1,2]},"split":{"parts":"workers"}}`} {
		if p := me.submit(group, body); p.Phase == "" {
			t.Errorf("%s: no phase in %+v", body, p)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorkshop(t)
	me, other := w.someone("someone"), w.someone("other")
	group := me.group()
	other.join(group, auth.Member)
	path := "/api/v1/groups/" + group + "/tasks"
	body := `{"kind":"k","input":{"a":1},"idempotency_key":"x"}`
	first := into[seen](me.post(path, body), 202)
	if again := into[seen](me.post(path, body), 200); again.ID != first.ID {
		t.Errorf("repeat gave task %s, want %s", again.ID, first.ID)
	}
	me.post(path, `{"kind":"k","input":{"a":2},"idempotency_key":"x"}`).want(409, "idempotency_conflict")
	into[seen](other.post(path, body), 202) // the key is each user's own
	for n, status := range map[int]int{200: 202, 201: 422} {
		me.post(path, map[string]any{"kind": "k", "idempotency_key": strings.Repeat("k", n)}).want(status, "")
	}
}

func TestBatch(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	path := "/api/v1/groups/" + me.group() + "/tasks:batch"
	type result struct {
		Results []struct {
			Status  int
			Task    *seen
			Problem *struct {
				Code   string
				Errors []struct{ Field string }
			}
		}
	}
	got := into[result](me.post(path, `{"tasks":[
		{"kind":"k","idempotency_key":"x"}, {"kind":"K"}, {"kind":"k","nope":1}, {"kind":"k","idempotency_key":"x"}, 7]}`), 207)
	want := []struct {
		status int
		field  string
	}{{202, ""}, {422, "body.tasks[1].kind"}, {422, "body.tasks[2].nope"}, {200, ""}, {422, "body.tasks[4]"}}
	if len(got.Results) != len(want) {
		t.Fatalf("%d results, want %d", len(got.Results), len(want))
	}
	for i, r := range got.Results {
		field := ""
		if r.Problem != nil && len(r.Problem.Errors) > 0 {
			field = r.Problem.Errors[0].Field
		}
		if r.Status != want[i].status || field != want[i].field || (r.Task == nil) != (r.Status >= 400) {
			t.Errorf("result %d: status %d, field %q, want %d, %q", i, r.Status, field, want[i].status, want[i].field)
		}
	}
	if got.Results[3].Task.ID != got.Results[0].Task.ID {
		t.Error("the repeated key did not answer with the first task")
	}

	many := func(n int) string {
		return `{"tasks":[` + strings.TrimSuffix(strings.Repeat(`{"kind":"k"},`, n), ",") + `]}`
	}
	if got := into[result](me.post(path, many(5000)), 207); len(got.Results) != 5000 {
		t.Errorf("%d results of 5,000", len(got.Results))
	}
	for _, body := range []string{many(5001), many(0), `{}`, `{"tasks":null}`} {
		if f := me.post(path, body).want(422, "invalid").field(); f != "body.tasks" {
			t.Errorf("%.40s: field %q", body, f)
		}
	}
	if f := me.post(path, `{"tasks":[{"kind":"k"}],"dry":true}`).want(422, "invalid").field(); f != "body.dry" {
		t.Errorf("unknown field named as %q", f)
	}
	sized := func(n int) string { // n bytes in all
		const head = `{"tasks":[{"kind":"k"}]`
		return head + strings.Repeat(" ", n-len(head)-1) + `}`
	}
	me.post(path, sized(32*mib)).want(207, "")
	me.post(path, sized(32*mib+1)).want(413, "too_large")
}

func TestSubmitsAreRefusedWhileTheStoreIsBehind(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	group := me.group()
	for _, step := range []struct {
		behind time.Duration
		status int
	}{{time.Second, 202}, {1001 * time.Millisecond, 429}} {
		behind, status := step.behind, step.status
		w.behind.Store(int64(behind))
		a := me.post("/api/v1/groups/"+group+"/tasks", `{"kind":"k"}`).want(status, "")
		if after := a.header.Get("Retry-After"); (after == "2") != (status == 429) {
			t.Errorf("%s behind: Retry-After %q", behind, after)
		}
	}
	me.post("/api/v1/groups/"+group+"/tasks:batch", `{"tasks":[{"kind":"k"}]}`).want(429, "busy")
	me.get("/api/v1/groups/"+group+"/tasks").want(200, "") // only submits
}

func TestWhoMaySubmit(t *testing.T) {
	w := newWorkshop(t)
	owner := w.someone("owner")
	group := owner.group()
	member, viewer, stranger := w.someone("member"), w.someone("viewer"), w.someone("stranger")
	member.join(group, auth.Member)
	viewer.join(group, auth.Viewer)
	api := func(n auth.NewToken) someone { n.Kind = auth.KindAPI; return member.with(n) }
	tests := []struct {
		name   string
		who    someone
		status int
		code   string
	}{
		{"owner", owner, 202, ""},
		{"member", member, 202, ""},
		{"viewer", viewer, 403, "role_too_low"},
		{"stranger", stranger, 404, "group_not_found"},
		{"nobody", someone{w: w}, 401, "unauthenticated"},
		{"API token", api(auth.NewToken{Scopes: []auth.Scope{auth.TasksWrite}}), 202, ""},
		{"API token that reads", api(auth.NewToken{Scopes: []auth.Scope{auth.TasksRead}}), 403, "missing_scope"},
		{"API token of the group", api(auth.NewToken{Groups: []string{group}}), 202, ""},
		{"worker token", member.with(auth.NewToken{Kind: auth.KindWorker}), 403, "wrong_token_kind"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.who.post("/api/v1/groups/"+group+"/tasks", `{"kind":"k"}`).want(tt.status, tt.code)
		})
	}
}

func TestOpenAPIDescribesSplitAndReduce(t *testing.T) {
	w := newWorkshop(t)
	type schema struct {
		Properties map[string]struct {
			OneOf []any `json:"oneOf"`
		}
		Required []string
	}
	var doc struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(someone{w: w}.get("/api/openapi.json").want(200, "").body, &doc); err != nil {
		t.Fatal(err)
	}
	s := doc.Components.Schemas
	if fmt.Sprint(s["TaskSpec"].Required) != "[kind]" {
		t.Errorf("required of a task: %v", s["TaskSpec"].Required)
	}
	if n := len(s["TaskSpec"].Properties["reduce"].OneOf); n != 2 {
		t.Errorf("reduce has %d forms", n)
	}
	if n := len(s["TaskSplit"].Properties["parts"].OneOf); n != 2 {
		t.Errorf("parts has %d forms", n)
	}
}
