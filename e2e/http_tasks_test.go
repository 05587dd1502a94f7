package e2e

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const mib = 1 << 20

var (
	large = `"` + strings.Repeat("x", mib-9) + `"`
	huge  = strings.Repeat("x", 32*mib)
)

func testSubmit(t *testing.T, s *site) {
	call := "POST /groups/" + s.group + "/tasks"
	with := func(k string, v any) kv { return kv{"kind": "nobodys", k: v} }
	check(t, []rule{
		{"no kind", s.bob, call, kv{}, 422, "invalid", "body.kind"},
		{"kind of no form", s.bob, call, kv{"kind": "Über"}, 422, "invalid", "body.kind"},
		{"kind of 65", s.bob, call, kv{"kind": strings.Repeat("k", 65)}, 422, "invalid", "body.kind"},
		{"kind of 64", s.bob, call, kv{"kind": strings.Repeat("k", 64)}, 202, "", ""},
		{"title of 201", s.bob, call, with("title", strings.Repeat("t", 201)), 422, "invalid", "body.title"},
		{"title of 200 after NFC", s.bob, call, with("title", strings.Repeat("u\u0308", 200)), 202, "", ""},
		{"title with a control character", s.bob, call, with("title", "a\nb"), 422, "invalid", "body.title"},
		{"priority", s.bob, call, with("priority", "urgent"), 422, "invalid", "body.priority"},
		{"max_attempts 0", s.bob, call, with("max_attempts", 0), 422, "invalid", "body.max_attempts"},
		{"max_attempts 26", s.bob, call, with("max_attempts", 26), 422, "invalid", "body.max_attempts"},
		{"max_attempts 25", s.bob, call, with("max_attempts", 25), 202, "", ""},
		{"max_attempts 1.5", s.bob, call, with("max_attempts", 1.5), 422, "invalid", "body.max_attempts"},
		{"timeout_s 0", s.bob, call, with("timeout_s", 0), 422, "invalid", "body.timeout_s"},
		{"timeout_s 86401", s.bob, call, with("timeout_s", 86401), 422, "invalid", "body.timeout_s"},
		{"timeout_s 86400", s.bob, call, with("timeout_s", 86400), 202, "", ""},
		{"run_at of no form", s.bob, call, with("run_at", "tomorrow"), 422, "invalid", "body.run_at"},
		{"result_retention_s -1", s.bob, call, with("result_retention_s", -1), 422, "invalid", "body.result_retention_s"},
		{"idempotency_key of 201", s.bob, call, with("idempotency_key", strings.Repeat("k", 201)), 422, "invalid", "body.idempotency_key"},
		{"input above 1 MiB", s.bob, call, with("input", strings.Repeat("x", mib)), 413, "input_too_large", ""},
		{"input of 1 MiB", s.bob, call, with("input", strings.Repeat("x", mib-2)), 202, "", ""},
		{"split and inputs", s.bob, call, `{"kind":"mean","split":{"parts":1},"inputs":[1]}`, 422, "invalid", "body.split"},
		{"inputs and broadcast", s.bob, call, `{"kind":"mean","inputs":[1],"broadcast":true}`, 422, "invalid", "body.split"},
		{"input beside inputs", s.bob, call, `{"kind":"k","input":1,"inputs":[1]}`, 422, "invalid", "body.input"},
		{"split of a kind that cannot", s.bob, call, `{"kind":"echo","split":{"parts":2}}`, 422, "invalid", "body.split"},
		{"parts 0", s.bob, call, `{"kind":"mean","split":{"parts":0}}`, 422, "invalid", "body.split.parts"},
		{"parts 10001", s.bob, call, `{"kind":"mean","split":{"parts":10001}}`, 422, "invalid", "body.split.parts"},
		{"parts of another word", s.bob, call, `{"kind":"mean","split":{"parts":"all"}}`, 422, "invalid", "body.split.parts"},
		{"no inputs", s.bob, call, `{"kind":"k","inputs":[]}`, 422, "invalid", "body.inputs"},
		{"inputs of no list", s.bob, call, `{"kind":"k","inputs":{}}`, 422, "invalid", "body.inputs"},
		{"10001 inputs", s.bob, call, with("inputs", make([]int, 10_001)), 422, "invalid", "body.inputs"},
		{"a part above 1 MiB", s.bob, call, with("inputs", []string{strings.Repeat("x", mib)}), 413, "input_too_large", ""},
		{"inputs above 8 MiB", s.bob, call, `{"kind":"k","inputs":[` + strings.Repeat(large+",", 8) + large + `]}`, 413, "input_too_large", ""},
		{"split above 8 MiB", s.bob, call, `{"kind":"mean","split":{"parts":2},"input":"` + strings.Repeat("x", 8*mib) + `"}`, 413, "input_too_large", ""},
		{"body above 32 MiB", s.bob, call, `{"kind":"` + huge, 413, "too_large", ""},
		{"reduce of a single task", s.bob, call, with("reduce", "sum"), 422, "invalid", "body.reduce"},
		{"unknown reduce", s.bob, call, `{"kind":"k","inputs":[1],"reduce":"product"}`, 422, "invalid", "body.reduce"},
		{"reduce of an unknown form", s.bob, call, `{"kind":"k","inputs":[1],"reduce":{"name":"x"}}`, 422, "invalid", "body.reduce"},
		{"allow_failures of a single task", s.bob, call, with("allow_failures", 1), 422, "invalid", "body.allow_failures"},
		{"allow_failures -1", s.bob, call, `{"kind":"k","inputs":[1],"allow_failures":-1}`, 422, "invalid", "body.allow_failures"},
		{"split by workers without one", s.bob, call, `{"kind":"mean","split":{"parts":"workers"}}`, 409, "no_workers", ""},
		{"broadcast without a worker", s.bob, call, `{"kind":"nobodys","broadcast":true}`, 409, "no_workers", ""},
		{"as a viewer", s.vic, call, kv{"kind": "k"}, 403, "role_too_low", ""},
		{"as a stranger", s.eve, call, kv{"kind": "k"}, 404, "group_not_found", ""},
	})
	t.Run("several wrong fields are told at once", func(t *testing.T) {
		s.bob.do(t, call, kv{"kind": "!", "priority": "!", "timeout_s": -1}).
			want(t, 422, "invalid", "body.kind", "body.priority", "body.timeout_s")
	})
	t.Run("answer", func(t *testing.T) {
		a := s.bob.do(t, call, kv{"kind": "nobodys", "title": "T", "priority": "high", "input": kv{"a": 1}}).want(t, 202, "")
		if a.str("status") != "queued" || a.at("attempt") != 0.0 || a.at("reassignments") != 0.0 || a.str("priority") != "high" ||
			a.at("max_attempts") != 3.0 || a.at("timeout_s") != 300.0 || a.str("created_by") != s.bob.id || a.str("group_id") != s.group ||
			a.str("title") != "T" || a.str("created_at") == "" || a.at("input") != nil {
			t.Fatalf("task %s", a.body)
		}
	})
	t.Run("scheduled", func(t *testing.T) {
		at := time.Now().Add(time.Hour).Truncate(time.Second).In(time.FixedZone("", 7200))
		a := s.bob.do(t, call, with("run_at", at.Format(time.RFC3339))).want(t, 202, "")
		if a.str("status") != "scheduled" || a.str("run_at") != at.UTC().Format("2006-01-02T15:04:05.000Z") {
			t.Fatalf("task %s", a.body)
		}
		if a := s.bob.do(t, call, with("run_at", "2020-01-01T00:00:00Z")).want(t, 202, ""); a.str("status") != "queued" {
			t.Fatalf("of the past: %s", a.body)
		}
	})
}

func testFanOut(t *testing.T, s *site) {
	call := "POST /groups/" + s.group + "/tasks"
	for _, reduce := range []any{nil, "collect", "concat", "sum", "union", "none", kv{"kind": "nobodys"}} {
		t.Run(fmt.Sprint("reduce ", reduce), func(t *testing.T) {
			spec := kv{"kind": "nobodys", "inputs": []int{1, 2}, "allow_failures": 1}
			if reduce != nil {
				spec["reduce"] = reduce
			}
			s.bob.do(t, call, spec).want(t, 202, "")
		})
	}
	s.bob.do(t, call, kv{"kind": "mean", "input": kv{"numbers": []int{1, 2, 3}}, "split": kv{"parts": 2}}).want(t, 202, "")
	id := s.bob.do(t, call, kv{"kind": "nobodys", "inputs": make([]int, 450)}).want(t, 202, "").str("id")
	eventually(t, 30*time.Second, "450 parts", func() bool {
		return s.vic.do(t, "GET /tasks/"+id, nil).at("children.total") == 450.0
	})
	t.Run("children by index", func(t *testing.T) {
		var got []string
		for cursor := ""; ; {
			a := s.vic.do(t, "GET /tasks/"+id+"/children?limit=200&cursor="+cursor, nil).want(t, 200, "")
			got = append(got, a.all("index")...)
			if cursor = a.str("next_cursor"); cursor == "" {
				break
			}
		}
		for i, index := range got {
			if index != fmt.Sprint(i) {
				t.Fatalf("place %d has index %s", i, index)
			}
		}
		if len(got) != 450 {
			t.Fatalf("%d children", len(got))
		}
	})
	part := s.vic.do(t, "GET /tasks/"+id+"/children?limit=1", nil).str("items.0.id")
	check(t, []rule{
		{"a part as a stranger", s.eve, "GET /tasks/" + part, nil, 404, "not_found", ""},
		{"bad cursor of children", s.vic, "GET /tasks/" + id + "/children?cursor=eHg", nil, 422, "invalid", "query.cursor"},
		{"cancel", s.bob, "POST /tasks/" + id + "/cancel", nil, 200, "", ""},
	})
	eventually(t, 30*time.Second, "all parts are cancelled", func() bool {
		a := s.vic.do(t, "GET /tasks/"+id, nil)
		return a.str("status") == "cancelled" && a.at("children.cancelled") == 450.0
	})
	check(t, []rule{
		{"a part is retried alone only while its parent is open", s.bob, "POST /tasks/" + part + "/retry", nil, 409, "parent_finished", ""},
		{"a part is not dropped alone", s.bob, "DELETE /tasks/" + part + "/result", nil, 409, "part_of_parent", ""},
		{"dropped with its parts", s.bob, "DELETE /tasks/" + id + "/result", nil, 204, "", ""},
		{"gone", s.vic, "GET /tasks/" + id + "/result", nil, 410, "result_dropped", ""},
		{"gone, of a part", s.vic, "GET /tasks/" + part + "/result", nil, 410, "result_dropped", ""},
	})
}

func testBatch(t *testing.T, s *site) {
	call := "POST /groups/" + s.group + "/tasks:batch"
	check(t, []rule{
		{"none", s.bob, call, kv{"tasks": []int{}}, 422, "invalid", "body.tasks"},
		{"left out", s.bob, call, kv{}, 422, "invalid", "body.tasks"},
		{"no list", s.bob, call, kv{"tasks": kv{}}, 422, "invalid", "body.tasks"},
		{"unknown field", s.bob, call, kv{"tasks": []kv{{"kind": "k"}}, "x": 1}, 422, "invalid", "body.x"},
		{"5001", s.bob, call, kv{"tasks": make([]kv, 5001)}, 422, "invalid", "body.tasks"},
		{"200001", s.bob, call, `{"tasks":[` + strings.Repeat("{},", 200_000) + `{}]}`, 422, "invalid", "body.tasks"},
		{"bad JSON", s.bob, call, `{"tasks":[{"kind":]}`, 400, "malformed", ""},
		{"above 32 MiB", s.bob, call, `{"tasks":"` + huge, 413, "too_large", ""},
		{"as a viewer", s.vic, call, kv{"tasks": []kv{{"kind": "k"}}}, 403, "role_too_low", ""},
		{"as a stranger", s.eve, call, kv{"tasks": []kv{{"kind": "k"}}}, 404, "group_not_found", ""},
	})
	t.Run("each entry on its own", func(t *testing.T) {
		a := s.bob.do(t, call, `{"tasks":[
			{"kind":"nobodys","idempotency_key":"in a batch"}, {"kind":"nobodys","colour":1}, {"kind":"nobodys","idempotency_key":"in a batch"},
			{"kind":"other","idempotency_key":"in a batch"}, {"kind":"nobodys","broadcast":true}, 7, {"kind":"nobodys","timeout_s":0},
			{"kind":"nobodys","inputs":[`+strings.Repeat("0,", 10_000)+`0]}, {"kind":"nobodys","input":"`+strings.Repeat("x", mib)+`"}, {"kind":"nobodys"}]}`)
		a.want(t, 207, "")
		for i, want := range []struct {
			status float64
			code   string
			field  string
		}{
			{202, "", ""}, {422, "invalid", "body.tasks[1].colour"}, {200, "", ""}, {409, "idempotency_conflict", ""},
			{409, "no_workers", ""}, {422, "invalid", "body.tasks[5]"}, {422, "invalid", "body.tasks[6].timeout_s"},
			{422, "invalid", "body.tasks[7].inputs"}, {413, "input_too_large", ""}, {202, "", ""},
		} {
			at := fmt.Sprintf("results.%d.", i)
			if a.at(at+"status") != want.status || a.str(at+"problem.code") != want.code || a.str(at+"problem.errors.0.field") != want.field ||
				(want.status < 300) != (a.str(at+"task.id") != "") {
				t.Errorf("entry %d: %v, want %v", i, a.at(fmt.Sprint("results.", i)), want)
			}
		}
		if a.str("results.0.task.id") != a.str("results.2.task.id") {
			t.Error("the key named another task")
		}
	})
	t.Run("5000 at once", func(t *testing.T) { // most of them wrong: 5000 tasks take the race detector ten seconds
		a := s.bob.do(t, call, `{"tasks":[`+strings.Repeat("{},", 4999)+`{"kind":"nobodys"}]}`).want(t, 207, "")
		if results := a.at("results").([]any); len(results) != 5000 || a.at("results.4999.status") != 202.0 || a.at("results.0.status") != 422.0 {
			t.Fatalf("%d results, the last %v", len(results), a.at("results.4999"))
		}
	})
}

func testIdempotency(t *testing.T, s *site) {
	call, spec := "POST /groups/"+s.group+"/tasks", `{"kind":"nobodys","idempotency_key":"once","input":{"a":1}}`
	first := s.bob.do(t, call, spec).want(t, 202, "").str("id")
	check(t, []rule{
		{"another input", s.bob, call, `{"kind":"nobodys","idempotency_key":"once","input":{"a":2}}`, 409, "idempotency_conflict", ""},
		{"another title", s.bob, call, `{"kind":"nobodys","idempotency_key":"once","input":{"a":1},"title":"t"}`, 409, "idempotency_conflict", ""},
	})
	for name, again := range map[string]string{
		"the same": spec, "in another order and with spaces": ` {"input": {"a": 1}, "idempotency_key": "once", "kind": "nobodys"}`,
		"with the default written out": `{"kind":"nobodys","idempotency_key":"once","input":{"a":1},"priority":"normal"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if a := s.bob.do(t, call, again).want(t, 200, ""); a.str("id") != first {
				t.Fatalf("another task: %s", a.body)
			}
		})
	}
	if a := s.ada.do(t, call, spec).want(t, 202, ""); a.str("id") == first {
		t.Error("the key is not per user")
	}
	own := s.bob.newGroup(t, "Bob's own")
	if a := s.bob.do(t, "POST /groups/"+own+"/tasks", spec).want(t, 202, ""); a.str("id") == first {
		t.Error("the key is not per group")
	}
}

func testTaskList(t *testing.T, s *site) {
	p := s.person(t, "librarian")
	group := p.newGroup(t, "Library")
	p.admits(t, group, s.bob)
	path := "/groups/" + group + "/tasks"
	add := func(who *person, fields kv) (id, created string) {
		a := who.do(t, "POST "+path, fields).want(t, 202, "")
		return a.str("id"), a.str("created_at")
	}
	one, _ := add(p, kv{"kind": "alpha", "title": "Über die Analytical Engine"})
	two, middle := add(s.bob, kv{"kind": "beta", "title": "50% of it_all"})
	three, _ := add(p, kv{"kind": "beta", "run_at": time.Now().Add(time.Hour).UTC()})
	four, _ := add(p, kv{"kind": "beta", "inputs": []int{1}})
	p.do(t, "POST /tasks/"+one+"/cancel", nil).want(t, 200, "")
	for query, want := range map[string][]string{
		"":                              {four, three, two, one},
		"status=cancelled":              {one},
		"status=scheduled":              {three},
		"kind=beta":                     {four, three, two},
		"kind=beta&member=" + p.id:      {four, three},
		"member=" + s.bob.id:            {two},
		"member=" + s.eve.id:            {},
		"q=anal":                        {one},
		"q=" + url.QueryEscape("ÜBER"):  {one},
		"q=engine+analyt":               {one},
		"q=ngine":                       {},
		"q=" + two:                      {two},
		"q=" + url.QueryEscape("50%"):   {two},
		"q=" + url.QueryEscape(`"' OR`): {},
		"worker=" + nobodyID:            {},
		"created_before=" + middle:      {one},
		"created_after=" + url.QueryEscape("2020-01-01T00:00:00+02:00"): {four, three, two, one},
		"created_after=2100-01-01T00:00:00Z":                            {},
		"kind=beta&status=queued&q=all":                                 {two},
	} {
		t.Run(query, func(t *testing.T) {
			got := p.do(t, "GET "+path+"?"+query, nil).want(t, 200, "").all("id")
			if query == "created_before="+middle && len(got) == 0 {
				return // both within a millisecond
			}
			if !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
		})
	}
	check(t, []rule{
		{"unknown status", p, "GET " + path + "?status=done", nil, 422, "invalid", "query.status"},
		{"time of no form", p, "GET " + path + "?created_after=today", nil, 422, "invalid", "query.created_after"},
		{"long q", p, "GET " + path + "?q=" + strings.Repeat("q", 201), nil, 422, "invalid", "query.q"},
		{"as a stranger", s.eve, "GET " + path, nil, 404, "group_not_found", ""},
	})
}

func testTaskLife(t *testing.T, s *site) {
	id := s.bob.submit(t, kv{"input": "x"})
	path := "/tasks/" + id
	check(t, []rule{
		{"get", s.vic, "GET " + path, nil, 200, "", ""},
		{"no result yet", s.vic, "GET " + path + "/result", nil, 404, "no_result", ""},
		{"no children", s.vic, "GET " + path + "/children", nil, 200, "", ""},
		{"no log", s.vic, "GET " + path + "/logs", nil, 200, "", ""},
		{"log of 1001", s.vic, "GET " + path + "/logs?limit=1001", nil, 422, "invalid", "query.limit"},
		{"log after -1", s.vic, "GET " + path + "/logs?after=-1", nil, 422, "invalid", "query.after"},
		{"timeline", s.vic, "GET " + path + "/timeline", nil, 200, "", ""},
		{"no such task", s.ada, "GET /tasks/" + nobodyID, nil, 404, "not_found", ""},
		{"no id", s.ada, "GET /tasks/x", nil, 404, "not_found", ""},
		{"input", s.vic, "GET " + path + "/input", nil, 200, "", ""},
		{"no such part of it", s.ada, "GET " + path + "/nothing", nil, 404, "unknown_path", ""},
		{"no retry while it waits", s.bob, "POST " + path + "/retry", nil, 409, "not_finished", ""},
		{"no drop while it waits", s.bob, "DELETE " + path + "/result", nil, 409, "not_finished", ""},
		{"cancel", s.bob, "POST " + path + "/cancel", nil, 200, "", ""},
		{"cancel again", s.bob, "POST " + path + "/cancel", nil, 409, "already_finished", ""},
		{"no result of a cancelled one", s.vic, "GET " + path + "/result", nil, 404, "no_result", ""},
		{"retry", s.bob, "POST " + path + "/retry", nil, 200, "", ""},
		{"queued again", s.bob, "POST " + path + "/retry", nil, 409, "not_finished", ""},
		{"cancel what was retried", s.bob, "POST " + path + "/cancel", nil, 200, "", ""},
		{"drop", s.bob, "DELETE " + path + "/result", nil, 204, "", ""},
		{"drop again", s.bob, "DELETE " + path + "/result", nil, 204, "", ""},
		{"gone", s.vic, "GET " + path + "/result", nil, 410, "result_dropped", ""},
		{"no retry without the input", s.bob, "POST " + path + "/retry", nil, 409, "input_dropped", ""},
	})
	a := s.vic.do(t, "GET "+path+"/timeline", nil)
	if got := a.all("event"); got[0] != "submitted" || !slices.Contains(got, "cancelled") {
		t.Fatalf("timeline %s", a.body)
	}
	if a := s.vic.do(t, "GET "+path, nil); a.str("status") != "cancelled" || a.str("finished_at") == "" {
		t.Fatalf("task %s", a.body)
	}
}

func testActions(t *testing.T, s *site) {
	for _, call := range []string{"GET /tasks/%s", "GET /tasks/%s/children", "GET /tasks/%s/input", "GET /tasks/%s/result", "GET /tasks/%s/logs", "GET /tasks/%s/timeline",
		"POST /tasks/%s/cancel", "POST /tasks/%s/retry", "DELETE /tasks/%s/result"} {
		t.Run(call, func(t *testing.T) {
			call := fmt.Sprintf(call, s.ada.submit(t, nil))
			s.nobody().do(t, call, nil).want(t, 401, "unauthenticated")
			s.eve.do(t, call, nil).want(t, 404, "not_found")
			if !strings.HasPrefix(call, "GET") {
				s.vic.do(t, call, nil).want(t, 403, "role_too_low")
				s.bob.do(t, call, nil).want(t, 403, "role_too_low") // a member, of what the owner submitted
			}
		})
	}
}

func testRights(t *testing.T, s *site) {
	demoted := s.person(t, "demoted")
	s.ada.admits(t, s.group, demoted)
	id := demoted.submit(t, nil)
	s.ada.do(t, "POST /tasks/"+id+"/cancel", nil).want(t, 200, "") // an owner, of what a member submitted
	demoted.do(t, "POST /tasks/"+id+"/retry", nil).want(t, 200, "")
	s.asRole(t, demoted, "viewer")
	demoted.do(t, "POST /tasks/"+id+"/cancel", nil).want(t, 403, "role_too_low")
	s.asRole(t, demoted, "admin")
	other := s.bob.submit(t, nil)
	check(t, []rule{
		{"an admin cancels another's", demoted, "POST /tasks/" + other + "/cancel", nil, 200, "", ""},
		{"an admin invites", demoted, "POST /groups/" + s.group + "/invitations", kv{"username": "nobody"}, 404, "user_not_found", ""},
		{"an admin changes settings", demoted, "PATCH /groups/" + s.group, kv{"description": "by an admin"}, 200, "", ""},
		{"an admin makes a device token", demoted, "POST /tokens", kv{"name": "d", "kind": "device", "groups": []string{s.group}}, 201, "", ""},
		{"a viewer reads tasks", s.vic, "GET /groups/" + s.group + "/tasks", nil, 200, "", ""},
		{"a viewer reads members", s.vic, "GET /groups/" + s.group + "/members", nil, 200, "", ""},
		{"a viewer's bulk action", s.vic, "POST /groups/" + s.group + "/tasks:cancel", kv{"filter": kv{}, "dry_run": true}, 403, "role_too_low", ""},
		{"a viewer's batch", s.vic, "POST /groups/" + s.group + "/tasks:batch", kv{"tasks": []kv{}}, 403, "role_too_low", ""},
	})
}

func testBulk(t *testing.T, s *site) {
	p := s.person(t, "bulky")
	group := p.newGroup(t, "Bulk")
	p.admits(t, group, s.bob)
	path := "/groups/" + group + "/tasks"
	for i := range 6 {
		for _, who := range []*person{p, s.bob} {
			who.do(t, "POST "+path, kv{"kind": fmt.Sprint("kind", i%2)}).want(t, 202, "")
		}
	}
	bulk := func(who *person, what string, filter kv, dry bool, want float64) {
		t.Helper()
		a := who.do(t, "POST "+path+":"+what, kv{"filter": filter, "dry_run": dry}).want(t, 200, "")
		if a.at("count") != want || a.at("dry_run") != dry {
			t.Fatalf("%s %v, dry %v: %s, want %v", what, filter, dry, a.body, want)
		}
	}
	bulk(p, "cancel", kv{}, true, 12)
	bulk(p, "cancel", kv{"kind": "kind0"}, true, 6)
	bulk(p, "cancel", kv{"member": s.bob.id}, true, 6)
	bulk(p, "cancel", kv{"status": "running"}, true, 0)
	bulk(p, "cancel", kv{"created_before": "2020-01-01T00:00:00Z"}, true, 0)
	bulk(s.bob, "cancel", kv{}, true, 6)
	bulk(s.bob, "cancel", kv{"kind": "kind0"}, false, 3)
	bulk(p, "cancel", kv{}, true, 9)
	bulk(p, "cancel", kv{}, false, 9)
	bulk(p, "cancel", kv{}, false, 0)
	bulk(s.bob, "retry", kv{}, true, 6)
	bulk(p, "retry", kv{"kind": "kind1", "status": "cancelled"}, false, 6)
	bulk(p, "retry", kv{}, true, 6)
	check(t, []rule{
		{"unknown field", p, "POST " + path + ":cancel", kv{"filter": kv{}, "force": true}, 422, "invalid", "body.force"},
		{"unknown filter", p, "POST " + path + ":cancel", kv{"filter": kv{"knd": "x"}}, 422, "invalid", "body.filter.knd"},
		{"unknown status", p, "POST " + path + ":retry", kv{"filter": kv{"status": "x"}}, 422, "invalid", "body.filter.status"},
		{"no filter", p, "POST " + path + ":cancel", kv{"dry_run": true}, 422, "invalid", ""},
		{"another member's, as a member", s.bob, "POST " + path + ":cancel", kv{"filter": kv{"member": p.id}, "dry_run": true}, 403, "role_too_low", ""},
		{"as a stranger", s.eve, "POST " + path + ":cancel", kv{"filter": kv{}}, 404, "group_not_found", ""},
		{"unknown action", p, "POST " + path + ":drop", kv{"filter": kv{}}, 404, "unknown_path", ""},
	})
}
