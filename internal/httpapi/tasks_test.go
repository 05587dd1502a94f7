package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

func TestResultLogsAndTimeline(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	id := me.submit(me.group(), `{"kind":"echo","input":{"a":1}}`).ID
	path := "/api/v1/tasks/" + id
	me.get(path+"/result").want(404, "no_result")

	run := w.claim(id)
	if err := w.tasks.Log(t.Context(), run, protocol.StreamStdout, []string{"one", "two", "three"}); err != nil {
		t.Fatal(err)
	}
	me.get(path+"/result").want(404, "no_result")
	w.end(run, protocol.Result{Status: protocol.Succeeded, Output: json.RawMessage(`{"b": [1, 2.50]}`)})

	if got := string(me.get(path+"/result").want(200, "").body); got != `{"output":{"b":[1,2.50]}}`+"\n" {
		t.Errorf("result %s", got)
	}
	if got := string(me.get(path+"/input").want(200, "").body); got != `{"input":{"a":1}}`+"\n" {
		t.Errorf("input %s", got)
	}
	type logs struct {
		Items []struct {
			Seq          int64
			Line, Stream string
			Attempt      int
		}
		Dropped int64
	}
	all := into[logs](me.get(path+"/logs"), 200)
	if len(all.Items) != 3 || all.Items[0].Line != "one" || all.Items[0].Stream != "stdout" || all.Items[0].Attempt != 1 || all.Dropped != 0 {
		t.Fatalf("logs %+v", all)
	}
	rest := into[logs](me.get(fmt.Sprintf("%s/logs?after=%d&limit=1", path, all.Items[0].Seq)), 200)
	if len(rest.Items) != 1 || rest.Items[0].Line != "two" {
		t.Errorf("logs after the first, one of them: %+v", rest)
	}
	for query, status := range map[string]int{"limit=1000": 200, "limit=1001": 422, "limit=0": 422, "after=-1": 422} {
		me.get(path+"/logs?"+query).want(status, "")
	}

	type timeline struct {
		Items []struct{ Event, Worker string }
	}
	var events []string
	for _, e := range into[timeline](me.get(path+"/timeline"), 200).Items {
		events = append(events, e.Event)
	}
	if fmt.Sprint(events) != "[submitted assigned succeeded]" {
		t.Errorf("timeline %v", events)
	}
	me.do(http.MethodDelete, path+"/result", nil).want(204, "")
	me.get(path+"/result").want(410, "result_dropped")
	me.get(path+"/input").want(410, "result_dropped")
	if got := into[seen](me.get(path), 200); got.Worker == nil || got.Worker.Name != "bench" || got.Attempt != 1 {
		t.Errorf("task %+v", got)
	}
}

func TestListOfTasks(t *testing.T) {
	w := newWorkshop(t)
	me, other := w.someone("someone"), w.someone("other")
	group := me.group()
	other.join(group, auth.Member)
	path := "/api/v1/groups/" + group + "/tasks"
	a := me.submit(group, `{"kind":"a","title":"Factor the Mersenne numbers"}`).ID
	b := me.submit(group, `{"kind":"b","title":"other"}`).ID
	c := other.submit(group, `{"kind":"a"}`).ID
	w.succeed(b, `1`)

	for query, want := range map[string][]string{
		"":                                      {c, b, a},
		"status=queued":                         {c, a},
		"status=succeeded":                      {b},
		"kind=a":                                {c, a},
		"kind=a&member=" + me.id:                {a},
		"member=" + other.id:                    {c},
		"q=mersen+fac":                          {a},
		"q=" + b:                                {b},
		"worker=worker":                         {b},
		"worker=none":                           {},
		"created_after=2099-01-01T00:00:00Z":    {},
		"created_before=2099-01-01T00:00:00.5Z": {c, b, a},
		"created_before=2000-01-01T00:00:00.5Z": {},
		"created_after=2000-01-01T01:00:00%2B01:00": {c, b, a},
	} {
		var got []string
		for _, item := range into[seenList](me.get(path+"?"+query), 200).Items {
			got = append(got, item.ID)
		}
		if !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for _, query := range []string{"status=done", "limit=0", "limit=201", "created_after=yesterday", "cursor=%21"} {
		me.get(path+"?"+query).want(422, "invalid")
	}
	me.get(path+"?limit=200").want(200, "")
}

func tasksOf(t *testing.T, w *workshop, id string) tasks.Task {
	t.Helper()
	task, err := w.tasks.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestCursorStaysRightWhileTasksArrive(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	group := me.group()
	var want []string
	for range 5 {
		want = append([]string{me.submit(group, `{"kind":"k"}`).ID}, want...)
	}
	var got []string
	path := "/api/v1/groups/" + group + "/tasks?limit=2"
	for cursor := ""; ; {
		page := into[seenList](me.get(path+cursor), 200)
		for _, item := range page.Items {
			got = append(got, item.ID)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(*page.NextCursor)
		me.submit(group, `{"kind":"k"}`)
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages gave %v, want %v", got, want)
	}
}

func TestParentAndChildren(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	group := me.group()
	parent := me.submit(group, `{"kind":"echo","inputs":[1,2,3],"reduce":"sum"}`).ID
	path := "/api/v1/tasks/" + parent
	children := func(query string) seenList { return into[seenList](me.get(path+"/children"+query), 200) }
	eventually(t, "three parts", func() bool { return len(children("").Items) == 3 })

	first := children("?limit=2")
	if len(first.Items) != 2 || *first.Items[0].Index != 0 || first.Items[0].Parent != parent || first.NextCursor == nil {
		t.Fatalf("first page %+v", first)
	}
	second := children("?limit=2&cursor=" + *first.NextCursor)
	if len(second.Items) != 1 || *second.Items[0].Index != 2 || second.NextCursor != nil {
		t.Fatalf("second page %+v", second)
	}
	me.get(path+"/children?cursor=eA").want(422, "invalid")

	eventually(t, "an open parent", func() bool { return into[seen](me.get(path), 200).Phase == "open" })
	w.succeed(first.Items[0].ID, `1`)
	if c := into[seen](me.get(path), 200).Children; c == nil || c.Total != 3 || c.Queued != 2 || c.Succeeded != 1 {
		t.Errorf("children %+v", c)
	}
	w.succeed(first.Items[1].ID, `2`)
	w.succeed(second.Items[0].ID, `3`)
	eventually(t, "the sum", func() bool { return me.get(path+"/result").status == 200 })
	if got := string(me.get(path + "/result").body); got != `{"output":6}`+"\n" {
		t.Errorf("result %s", got)
	}
	if got := string(me.get(path + "/input").body); got != `{"input":[1,2,3]}`+"\n" {
		t.Errorf("input %s", got)
	}
	if list := into[seenList](me.get("/api/v1/groups/"+group+"/tasks"), 200); len(list.Items) != 1 {
		t.Errorf("the list shows %d tasks, want the parent alone", len(list.Items))
	}
}

// eventually waits for what a background part does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

func TestCancelAndRetry(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	group := me.group()
	id := me.submit(group, `{"kind":"k"}`).ID
	path := "/api/v1/tasks/" + id
	me.post(path+"/retry", nil).want(409, "not_finished")
	me.do(http.MethodDelete, path+"/result", nil).want(409, "not_finished")
	if got := into[seen](me.post(path+"/cancel", nil), 200); got.Status != "cancelled" {
		t.Errorf("status %s after cancel", got.Status)
	}
	me.post(path+"/cancel", nil).want(409, "already_finished")
	if got := into[seen](me.post(path+"/retry", nil), 200); got.Status != "queued" {
		t.Errorf("status %s after retry", got.Status)
	}
	run := w.claim(id)
	if got := into[seen](me.post(path+"/cancel", nil), 200); got.Status != "running" {
		t.Errorf("status %s: the worker has not answered yet", got.Status)
	}
	w.end(run, protocol.Result{Status: protocol.Cancelled})
	me.do(http.MethodDelete, path+"/result", nil).want(204, "")
	me.post(path+"/retry", nil).want(409, "input_dropped")
}

func TestWhoMayReadAndAct(t *testing.T) {
	w := newWorkshop(t)
	owner := w.someone("owner")
	group := owner.group()
	admin, author, member := w.someone("admin"), w.someone("author"), w.someone("member")
	viewer, stranger := w.someone("viewer"), w.someone("stranger")
	for role, who := range map[auth.Role]someone{auth.Admin: admin, auth.Viewer: viewer} {
		who.join(group, role)
	}
	author.join(group, auth.Member)
	member.join(group, auth.Member)
	reads := author.with(auth.NewToken{Kind: auth.KindAPI, Scopes: []auth.Scope{auth.TasksRead}})
	elsewhere := author.with(auth.NewToken{Kind: auth.KindAPI, Groups: []string{author.group()}})
	for name, tt := range map[string]struct {
		who       someone
		read, act int
		code      string
	}{
		"owner":                     {owner, 200, 200, ""},
		"admin":                     {admin, 200, 200, ""},
		"author":                    {author, 200, 200, ""},
		"member":                    {member, 200, 403, "role_too_low"},
		"viewer":                    {viewer, 200, 403, "role_too_low"},
		"stranger":                  {stranger, 404, 404, "not_found"},
		"nobody":                    {someone{w: w}, 401, 401, "unauthenticated"},
		"token that reads":          {reads, 200, 403, "missing_scope"},
		"token of another group":    {elsewhere, 404, 404, "not_found"},
		"worker token of the group": {author.with(auth.NewToken{Kind: auth.KindWorker}), 403, 403, "wrong_token_kind"},
	} {
		t.Run(name, func(t *testing.T) {
			id := author.submit(group, `{"kind":"k"}`).ID
			path := "/api/v1/tasks/" + id
			for _, p := range []string{"", "/children", "/logs", "/timeline"} {
				tt.who.get(path+p).want(tt.read, "")
			}
			tt.who.post(path+"/cancel", nil).want(tt.act, tt.code)
			author.post(path+"/cancel", nil)
			tt.who.post(path+"/retry", nil).want(tt.act, tt.code)
		})
	}
	for _, path := range []string{"/api/v1/tasks/" + newID(), "/api/v1/tasks/nonsense"} {
		owner.get(path).want(404, "not_found")
	}
}

func TestBulk(t *testing.T) {
	w := newWorkshop(t)
	owner, member := w.someone("owner"), w.someone("member")
	group := owner.group()
	member.join(group, auth.Member)
	for range 3 {
		owner.submit(group, `{"kind":"a"}`)
	}
	for range 2 {
		member.submit(group, `{"kind":"a"}`)
		member.submit(group, `{"kind":"b"}`)
	}
	type counted struct {
		Count  int
		DryRun bool `json:"dry_run"`
	}
	path := "/api/v1/groups/" + group + "/tasks"
	for _, step := range []struct {
		who    someone
		action string
		body   string
		want   counted
	}{
		{owner, "cancel", `{"filter":{},"dry_run":true}`, counted{7, true}},
		{owner, "cancel", `{"filter":{"kind":"a"},"dry_run":true}`, counted{5, true}},
		{member, "cancel", `{"filter":{"kind":"a"}}`, counted{2, false}},
		{owner, "cancel", `{"filter":{"kind":"a"}}`, counted{3, false}},
		{owner, "retry", `{"filter":{"status":"failed"}}`, counted{0, false}},
		{owner, "retry", `{"filter":{"status":"cancelled","member":"` + member.id + `"}}`, counted{2, false}},
		{member, "retry", `{"filter":{}}`, counted{0, false}},
	} {
		if got := into[counted](step.who.post(path+":"+step.action, step.body), 200); got != step.want {
			t.Errorf("%s %s: %+v, want %+v", step.action, step.body, got, step.want)
		}
	}
	member.post(path+":cancel", `{"filter":{"member":"`+owner.id+`"}}`).want(403, "role_too_low")
	owner.post(path+":cancel", `{}`).want(422, "invalid")
	owner.post(path+":cancel", `{"filter":{"state":"queued"}}`).want(422, "invalid")
	w.someone("stranger").post(path+":cancel", `{"filter":{}}`).want(404, "group_not_found")
}

func TestWorkersOfAGroup(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	group := me.group()
	open := func(name string, slots int, groups ...string) workers.Session {
		s, err := w.store.Sessions().Open(t.Context(), workers.Session{
			ID: newID(), Name: name, Owner: me.id, Server: "other", State: workers.Connected, Groups: groups,
			Kinds: []string{"echo"}, Slots: slots, SecretHash: "x", ConnectedAt: time.Now().UTC(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one := open("a", 2, group)
	open("a", 3, group)
	open("b", 1, group)
	open("c", 1, newID())
	lost := open("d", 1, group)
	if _, ok, err := w.store.Sessions().Lose(t.Context(), lost.ID, lost.Epoch, time.Time{}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	task := tasksOf(t, w, me.submit(group, `{"kind":"echo"}`).ID)
	if _, ok, err := w.tasks.Claim(t.Context(), tasks.TicketOf(task), tasks.Owner{Session: one.ID, Epoch: 1, Worker: one.Worker}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	type list struct {
		Items []struct {
			Name, State              string
			Sessions, Slots, Running int
		}
		NextCursor *string `json:"next_cursor"`
	}
	path := "/api/v1/groups/" + group + "/workers"
	first := into[list](me.get(path+"?limit=1"), 200)
	if len(first.Items) != 1 || first.NextCursor == nil {
		t.Fatalf("first page %+v", first)
	}
	rest := into[list](me.get(path+"?limit=1&cursor="+*first.NextCursor), 200)
	both := fmt.Sprint(append(first.Items, rest.Items...))
	if both != "[{a connected 2 5 1} {b connected 1 1 0}]" || rest.NextCursor != nil {
		t.Errorf("workers %s", both)
	}
	w.someone("stranger").get(path).want(404, "group_not_found")
}

func TestGroupStats(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	group := me.group()
	for range 2 {
		w.succeed(me.submit(group, `{"kind":"k"}`).ID, `1`)
	}
	me.submit(group, `{"kind":"k"}`)
	type stats struct {
		Window  string
		Counts  struct{ Queued, Succeeded int }
		WaitMS  struct{ P50, P95, P99 int64 } `json:"wait_ms"`
		Members []struct {
			UserID string `json:"user_id"`
			Tasks  int
		}
		Series struct {
			StepS int `json:"step_s"`
			Steps []struct {
				At        time.Time
				Succeeded int
				RunMS     *struct{ P50 int64 } `json:"run_ms"`
			}
		}
	}
	steps := map[string]int{"24h": 3600, "1h": 60, "7d": 6 * 3600}
	path := "/api/v1/groups/" + group + "/stats"
	for query, window := range map[string]string{"": "24h", "?window=1h": "1h", "?window=7d": "7d"} {
		s := into[stats](me.get(path+query), 200)
		if s.Window != window || s.Counts.Queued != 1 || s.Counts.Succeeded != 2 || s.WaitMS.P50 < 1 ||
			len(s.Members) != 1 || s.Members[0].UserID != me.id || s.Members[0].Tasks != 2 {
			t.Errorf("%s: %+v", query, s)
		}
		succeeded := 0
		for _, p := range s.Series.Steps { // two, where a minute ended in between
			succeeded += p.Succeeded
			if (p.RunMS == nil) != (window == "1h") || p.At.Unix()%int64(steps[window]) != 0 {
				t.Errorf("%s: a point %+v", query, p)
			}
		}
		if s.Series.StepS != steps[window] || succeeded != 2 {
			t.Errorf("%s: series %+v", query, s.Series)
		}
	}
	me.get(path+"?window=1y").want(422, "invalid")
	w.someone("stranger").get(path).want(404, "group_not_found")
}

func TestHealth(t *testing.T) {
	w := newWorkshop(t)
	nobody := someone{w: w}
	nobody.get("/healthz").want(200, "")
	nobody.get("/readyz").want(200, "")
	w.unready.Store(true)
	if a := nobody.get("/readyz").want(503, "not_ready"); a.header.Get("Retry-After") != "1" || !strings.Contains(string(a.body), "Redis does not answer.") {
		t.Errorf("Retry-After %q: %s", a.header.Get("Retry-After"), a.body)
	}
	nobody.get("/healthz").want(200, "")
}
