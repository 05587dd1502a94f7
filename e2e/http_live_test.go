package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/e2e/kit"
)

const liveProtocol = "firmlight.live.v1"

// feed is a live connection.
type feed struct {
	ws      *websocket.Conn
	waiting [][]byte
}

// dial opens a live connection, or returns the refusal.
func (s *site) dial(t *testing.T, header http.Header, subprotocols ...string) (*feed, *http.Response) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: subprotocols, HandshakeTimeout: 10 * time.Second}
	ws, resp, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+"/api/v1/live", header)
	if resp == nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil, resp
	}
	t.Cleanup(func() { ws.Close() })
	return &feed{ws: ws}, resp
}

// watch opens a live connection of a person.
func (p *person) watch(t *testing.T, topics ...string) *feed {
	t.Helper()
	f, resp := p.s.dial(t, http.Header{"Authorization": {"Bearer " + p.token}}, liveProtocol)
	if f == nil {
		t.Fatalf("live: %s", resp.Status)
	}
	if len(topics) > 0 {
		f.send(t, kv{"type": "subscribe", "topics": topics})
		for range topics {
			if a := f.next(t); a.str("type") != "subscribed" {
				t.Fatalf("live: %s", a.body)
			}
		}
	}
	return f
}

func (f *feed) send(t *testing.T, v any) {
	t.Helper()
	must(t, f.ws.WriteJSON(v))
}

// next returns the next event.
func (f *feed) next(t *testing.T) answer {
	t.Helper()
	if len(f.waiting) == 0 {
		must(t, f.ws.SetReadDeadline(time.Now().Add(10*time.Second)))
		_, data, err := f.ws.ReadMessage()
		must(t, err)
		f.waiting = bytes.Split(data, []byte("\n"))
	}
	a := answer{body: f.waiting[0]}
	f.waiting = f.waiting[1:]
	must(t, json.Unmarshal(a.body, &a.json))
	a.checkForm(t, "live", "", a.json)
	return a
}

// until returns the first event for which ok is true.
func (f *feed) until(t *testing.T, ok func(answer) bool) answer {
	t.Helper()
	for {
		if a := f.next(t); ok(a) {
			return a
		}
	}
}

// closed waits for the end of the connection and returns its code.
func (f *feed) closed(t *testing.T, patience time.Duration) int {
	t.Helper()
	must(t, f.ws.SetReadDeadline(time.Now().Add(patience)))
	for {
		_, _, err := f.ws.ReadMessage()
		var end *websocket.CloseError
		if errors.As(err, &end) {
			return end.Code
		}
		must(t, err)
	}
}

// testLiveMembers: whoever is no longer in a group loses its events at once, not
// when rights are looked at again by the clock.
func testLiveMembers(t *testing.T, s *site) {
	boss, guest := s.person(t, "boss"), s.person(t, "onlooker")
	for what, end := range map[string]func(group string){
		"kicked": func(g string) { boss.do(t, "DELETE /groups/"+g+"/members/"+guest.id, nil).want(t, 204, "") },
		"left":   func(g string) { guest.do(t, "POST /groups/"+g+"/leave", nil).want(t, 204, "") },
		"deleted": func(g string) {
			boss.do(t, "DELETE /groups/"+g, nil).want(t, 204, "")
		},
	} {
		g := boss.newGroup(t, "Watched")
		boss.admits(t, g, guest)
		f := guest.watch(t, "group:"+g)
		end(g)
		a := f.until(t, func(a answer) bool { return a.str("type") == "unsubscribed" })
		if a.str("topic") != "group:"+g || a.str("code") == "" {
			t.Errorf("%s: %s", what, a.body)
		}
	}
}

func testLiveHandshake(t *testing.T, s *site) {
	_, api := s.ada.newToken(t, kv{"name": "a", "kind": "api", "scopes": []string{"tasks:read"}})
	_, blind := s.ada.newToken(t, kv{"name": "b", "kind": "api", "scopes": []string{"groups:read"}})
	_, worker := s.ada.newToken(t, kv{"name": "w", "kind": "worker"})
	auth := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	from := func(origin string) http.Header { return http.Header{"Origin": {origin}} }
	mine := "bearer." + s.ada.token
	for name, tt := range map[string]struct {
		header       http.Header
		subprotocols []string
		status       int
		code         string
	}{
		"token in the header":       {auth(s.ada.token), []string{liveProtocol}, 101, ""},
		"API token":                 {auth(api), []string{liveProtocol}, 101, ""},
		"token as a subprotocol":    {from(s.URL), []string{liveProtocol, mine}, 101, ""},
		"token named first":         {from(s.URL), []string{mine, liveProtocol}, 101, ""},
		"origin that is allowed":    {from(friend), []string{liveProtocol, mine}, 101, ""},
		"another origin":            {from(stranger), []string{liveProtocol, mine}, 403, "bad_origin"},
		"no origin of its own":      {from("null"), []string{liveProtocol, mine}, 403, "bad_origin"},
		"no token":                  {nil, []string{liveProtocol}, 401, "unauthenticated"},
		"bad token":                 {nil, []string{liveProtocol, "bearer.x"}, 401, "unauthenticated"},
		"worker token":              {auth(worker), []string{liveProtocol}, 403, "wrong_token_kind"},
		"API token without a scope": {auth(blind), []string{liveProtocol}, 403, "missing_scope"},
		"no subprotocol":            {auth(s.ada.token), nil, 400, "subprotocol"},
		"token alone":               {nil, []string{mine}, 400, "subprotocol"},
	} {
		t.Run(name, func(t *testing.T) {
			f, resp := s.dial(t, tt.header, tt.subprotocols...)
			if resp.StatusCode != tt.status {
				t.Fatalf("status %s", resp.Status)
			}
			if f != nil {
				if f.ws.Subprotocol() != liveProtocol || strings.Contains(fmt.Sprint(resp.Header), "bearer") {
					t.Fatalf("echoed %v", resp.Header)
				}
				return
			}
			var problem struct{ Code, RequestID string }
			must(t, json.NewDecoder(resp.Body).Decode(&problem))
			if problem.Code != tt.code {
				t.Fatalf("code %s, want %s", problem.Code, tt.code)
			}
		})
	}
	s.ada.do(t, "GET /live", nil).want(t, 400, "websocket_only")
}

func testLiveTopics(t *testing.T, s *site) {
	task, group := s.bob.submit(t, nil), "group:"+s.group
	_, secret := s.ada.newToken(t, kv{"name": "a", "kind": "api", "scopes": []string{"tasks:read"}})
	foreign := s.eve.newGroup(t, "Not ada's")
	for name, tt := range map[string]struct {
		who   *person
		topic string
		code  string // empty: subscribed
	}{
		"own group":                         {s.ada, group, ""},
		"own group as a viewer":             {s.vic, group, ""},
		"a task of it":                      {s.vic, "task:" + task, ""},
		"its devices":                       {s.vic, "device:" + s.group, ""},
		"oneself":                           {s.vic, "me", ""},
		"another's group":                   {s.eve, group, "group_not_found"},
		"another's task":                    {s.eve, "task:" + task, "not_found"},
		"another's devices":                 {s.eve, "device:" + s.group, "group_not_found"},
		"foreign group":                     {s.ada, "group:" + foreign, "group_not_found"},
		"no group":                          {s.ada, "group:" + nobodyID, "group_not_found"},
		"admin":                             {s.ada, "admin", "not_admin"},
		"oneself by an API token":           {s.ada.with(secret), "me", "wrong_token_kind"},
		"devices by a token of tasks":       {s.ada.with(secret), "device:" + s.group, "missing_scope"},
		"group by an API token":             {s.ada.with(secret), group, ""},
		"no topic":                          {s.ada, "everything", "bad_topic"},
		"no id":                             {s.ada, "group:x", "bad_topic"},
		"another's id in capitals":          {s.eve, strings.ToUpper(group[6:]), "bad_topic"},
		"another's group, id in capitals":   {s.eve, "group:" + strings.ToUpper(s.group), "group_not_found"},
		"me of another":                     {s.eve, "me:" + s.ada.id, "bad_topic"},
		"a very long one is answered short": {s.eve, strings.Repeat("x", 30000), "bad_topic"},
	} {
		t.Run(name, func(t *testing.T) {
			f := tt.who.watch(t)
			f.send(t, kv{"type": "subscribe", "topics": []string{tt.topic}})
			a := f.next(t)
			if tt.code == "" {
				if a.str("type") != "subscribed" || a.str("topic") != tt.topic {
					t.Fatalf("got %s", a.body)
				}
				f.send(t, kv{"type": "unsubscribe", "topics": []string{tt.topic}})
				f.until(t, func(a answer) bool { return a.str("type") == "unsubscribed" && a.str("topic") == tt.topic })
				return
			}
			if a.str("type") != "error" || a.str("code") != tt.code || a.str("message") == "" || len(a.body) > 300 {
				t.Fatalf("got %s, want %s", a.body, tt.code)
			}
			f.send(t, kv{"type": "subscribe", "topics": []string{"me"}}) // the connection stays
			f.next(t)
		})
	}
	t.Run("task events of the group, and of no other", func(t *testing.T) {
		f := s.vic.watch(t, group)
		s.eve.do(t, "POST /groups/"+foreign+"/tasks", kv{"kind": "nobodys"}).want(t, 202, "")
		id := s.bob.submit(t, kv{"title": "seen live"})
		a := f.until(t, func(a answer) bool {
			if g := a.str("task.group_id"); g != "" && g != s.group {
				t.Fatalf("event of another group: %s", a.body)
			}
			return a.str("type") == "task" && a.str("task.id") == id
		})
		if a.str("topic") != group || a.str("task.title") != "seen live" || a.str("task.status") != "queued" {
			t.Fatalf("event %s", a.body)
		}
	})
	t.Run("256 topics", func(t *testing.T) {
		f := s.ada.watch(t)
		f.send(t, kv{"type": "subscribe", "topics": slices.Repeat([]string{"me"}, 257)})
		if a := f.next(t); a.str("type") != "error" || a.str("code") != "too_many_topics" {
			t.Fatalf("got %s", a.body)
		}
		f.send(t, kv{"type": "shout"})
		if a := f.next(t); a.str("type") != "error" || a.str("code") != "unknown_type" {
			t.Fatalf("got %s", a.body)
		}
	})
}

func testLiveClosing(t *testing.T, s *site) {
	p := s.person(t, "watcher")
	t.Run("token revoked", func(t *testing.T) {
		id, secret := p.newToken(t, kv{"name": "a", "kind": "api"})
		f := p.with(secret).watch(t)
		p.do(t, "DELETE /tokens/"+id, nil).want(t, 204, "")
		if code := f.closed(t, time.Second); code != 4401 {
			t.Fatalf("closed with %d", code)
		}
	})
	t.Run("logged out", func(t *testing.T) {
		token := s.nobody().do(t, "POST /auth/login", kv{"login": p.name, "password": password}).want(t, 200, "").str("access_token")
		f := p.with(token).watch(t, "me")
		p.with(token).do(t, "POST /auth/logout", nil).want(t, 204, "")
		if code := f.closed(t, time.Second); code != 4401 {
			t.Fatalf("closed with %d", code)
		}
	})
	for name, message := range map[string]string{"no JSON": "{", "no object": "[]", "a number": "1", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			f := p.watch(t)
			must(t, f.ws.WriteMessage(websocket.TextMessage, []byte(message)))
			if code := f.closed(t, 5*time.Second); code != 4400 {
				t.Fatalf("closed with %d", code)
			}
		})
	}
	t.Run("100 connections of a user", func(t *testing.T) {
		many := s.person(t, "crowd")
		for range 100 {
			many.watch(t)
		}
		if code := many.watch(t).closed(t, 5*time.Second); code != 4429 {
			t.Fatalf("closed with %d", code)
		}
	})
}

// testWork looks at tasks that a worker runs.
func testWork(t *testing.T, s *site) {
	p := s.person(t, "worker")
	group := p.newGroup(t, "Workshop")
	_, token := p.newToken(t, kv{"name": "w", "kind": "worker"})
	shell, err := exec.LookPath("sh")
	must(t, err)
	w, err := kit.StartWorker(bins.Worker, s.URL, token, "w1", 4, []string{
		"--exec", "talk=" + shell + ` -c "echo one >&2; echo two >&2; echo '{}'"`, "--exec", "fail=" + shell + ` -c "exit 3"`,
	}, nil)
	must(t, err)
	t.Cleanup(w.Kill)
	path := "/groups/" + group
	eventually(t, 20*time.Second, "the worker is connected", func() bool { return len(p.do(t, "GET "+path+"/workers", nil).all("id")) == 1 })
	a := p.do(t, "GET "+path+"/workers", nil)
	if a.str("items.0.name") != "w1" || a.at("items.0.slots") != 4.0 || a.str("items.0.owner_id") != p.id || a.str("items.0.state") != "connected" {
		t.Fatalf("workers %s", a.body)
	}
	worker := a.str("items.0.id")
	submit := func(t *testing.T, spec kv) string {
		return p.do(t, "POST "+path+"/tasks", spec).want(t, 202, "").str("id")
	}
	is := func(t *testing.T, id, status string) answer {
		t.Helper()
		var a answer
		eventually(t, 20*time.Second, "task is "+status, func() bool {
			a = p.do(t, "GET /tasks/"+id, nil)
			return a.str("status") == status
		})
		return a
	}
	t.Run("succeeded", func(t *testing.T) {
		id := submit(t, kv{"kind": "echo", "input": kv{"a": []any{1, nil}}})
		a := is(t, id, "succeeded")
		if a.at("attempt") != 1.0 || a.str("worker.name") != "w1" || a.at("queue_ms") == nil || a.at("run_ms") == nil || a.str("started_at") == "" {
			t.Fatalf("task %s", a.body)
		}
		if a := p.do(t, "GET /tasks/"+id+"/result", nil).want(t, 200, ""); strings.TrimSpace(string(a.body)) != `{"output":{"a":[1,null]}}` {
			t.Fatalf("result %s", a.body)
		}
		if got := p.do(t, "GET "+path+"/tasks?worker="+worker, nil).all("id"); !slices.Contains(got, id) {
			t.Fatalf("the worker's tasks are %v", got)
		}
		check(t, []rule{
			{"no retry", p, "POST /tasks/" + id + "/retry", nil, 409, "not_finished", ""},
			{"no cancel", p, "POST /tasks/" + id + "/cancel", nil, 409, "already_finished", ""},
			{"others", s.eve, "GET /tasks/" + id + "/result", nil, 404, "not_found", ""},
			{"drop", p, "DELETE /tasks/" + id + "/result", nil, 204, "", ""},
			{"gone", p, "GET /tasks/" + id + "/result", nil, 410, "result_dropped", ""},
		})
	})
	t.Run("kept not at all", func(t *testing.T) {
		id := submit(t, kv{"kind": "echo", "input": 1, "result_retention_s": 0})
		is(t, id, "succeeded")
		eventually(t, 20*time.Second, "the result is gone", func() bool { return p.do(t, "GET /tasks/"+id+"/result", nil).status == 410 })
	})
	t.Run("log", func(t *testing.T) {
		id := submit(t, kv{"kind": "talk"})
		is(t, id, "succeeded")
		a := p.do(t, "GET /tasks/"+id+"/logs", nil).want(t, 200, "")
		if got := a.all("line"); !slices.Equal(got, []string{"one", "two"}) || a.at("dropped") != 0.0 || a.str("items.0.stream") != "stderr" || a.str("items.0.at") == "" {
			t.Fatalf("log %s", a.body)
		}
		for query, want := range map[string][]string{"limit=1": {"one"}, "after=" + fmt.Sprint(a.at("items.0.seq")): {"two"}, "after=1000": {}} {
			if got := p.do(t, "GET /tasks/"+id+"/logs?"+query, nil).all("line"); !slices.Equal(got, want) {
				t.Errorf("log with %s: %v", query, got)
			}
		}
	})
	t.Run("failed for good", func(t *testing.T) {
		id := submit(t, kv{"kind": "fail", "max_attempts": 1})
		a := is(t, id, "failed")
		if a.str("error.code") == "" || a.at("attempt") != 1.0 {
			t.Fatalf("task %s", a.body)
		}
		p.do(t, "GET /tasks/"+id+"/result", nil).want(t, 404, "no_result")
		p.do(t, "POST /tasks/"+id+"/retry", nil).want(t, 200, "")
		eventually(t, 20*time.Second, "the second attempt fails", func() bool {
			a := p.do(t, "GET /tasks/"+id, nil)
			return a.str("status") == "failed" && a.at("attempt") == 2.0
		})
		got := p.do(t, "GET /tasks/"+id+"/timeline", nil).all("event")
		if got[0] != "submitted" || got[len(got)-1] != "failed" || !slices.Contains(got, "assigned") {
			t.Fatalf("timeline %v", got)
		}
	})
	t.Run("cancelled while it runs", func(t *testing.T) {
		id := submit(t, kv{"kind": "sleep", "input": kv{"ms": 600_000}})
		f := p.watch(t, "task:"+id)
		is(t, id, "running")
		p.do(t, "DELETE /tasks/"+id+"/result", nil).want(t, 409, "not_finished")
		p.do(t, "POST /tasks/"+id+"/cancel", nil).want(t, 200, "")
		is(t, id, "cancelled")
		f.until(t, func(a answer) bool { return a.str("type") == "task" && a.str("task.status") == "cancelled" })
	})
	t.Run("fan-out", func(t *testing.T) {
		for name, tt := range map[string]struct{ spec, want string }{
			"collect":          {`"kind":"echo","inputs":[[1],[2]],"reduce":"collect"`, `[[1],[2]]`},
			"default":          {`"kind":"echo","inputs":[[1],[2]]`, `[[1],[2]]`},
			"concat":           {`"kind":"echo","inputs":[[1],[2]],"reduce":"concat"`, `[1,2]`},
			"sum":              {`"kind":"echo","inputs":[1,2.5],"reduce":"sum"`, `3.5`},
			"union":            {`"kind":"echo","inputs":[[1,2],[2,3]],"reduce":"union"`, `[1,2,3]`},
			"none":             {`"kind":"echo","inputs":[1],"reduce":"none"`, `null`},
			"on a worker":      {`"kind":"echo","inputs":[1,2],"reduce":{"kind":"echo"}`, `[1,2]`},
			"broadcast":        {`"kind":"echo","input":7,"broadcast":true,"reduce":"sum"`, `7`},
			"split by workers": {`"kind":"mean","input":{"numbers":[1,2,3]},"split":{"parts":"workers"}`, `{"mean":2,"count":3,"min":1,"max":3}`},
			"a failure":        {`"kind":"sleep","inputs":[{"ms":0},{}],"max_attempts":1,"allow_failures":1`, `[{"slept_ms":0},null]`},
		} {
			t.Run(name, func(t *testing.T) {
				id := p.do(t, "POST "+path+"/tasks", "{"+tt.spec+"}").want(t, 202, "").str("id")
				is(t, id, "succeeded")
				a := p.do(t, "GET /tasks/"+id+"/result", nil).want(t, 200, "")
				var want any
				must(t, json.Unmarshal([]byte(tt.want), &want))
				if fmt.Sprint(a.at("output")) != fmt.Sprint(want) {
					t.Fatalf("result %s, want %s", a.body, tt.want)
				}
			})
		}
		id := submit(t, kv{"kind": "sleep", "inputs": []kv{{"ms": 0}, {}}, "max_attempts": 1})
		is(t, id, "failed")
		p.do(t, "POST "+path+"/tasks", kv{"kind": "nobodys", "broadcast": true}).want(t, 409, "no_workers")
	})
}
