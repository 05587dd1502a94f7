package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/e2e/kit"
)

const (
	text, binary = websocket.TextMessage, websocket.BinaryMessage
	frameLimit   = 4 << 20
)

// transportRules are section 1.
var transportRules = []protocolRule{
	{"no subprotocol is 400", func(s *outsider) {
		h := http.Header{"Authorization": {"Bearer " + s.token}}
		for _, offers := range [][]string{nil, {"firmlight.worker.v2"}} {
			_, resp := s.dialWith(h, offers...)
			s.problem(resp, http.StatusBadRequest)
		}
	}},
	{"the subprotocol is echoed", func(s *outsider) {
		w, resp := s.dialWith(http.Header{"Authorization": {"Bearer " + s.token}}, "other", "firmlight.worker.v1")
		if w == nil {
			s.t.Fatal(resp.Status)
		}
		if got := w.ws.Subprotocol(); got != "firmlight.worker.v1" {
			s.t.Errorf("subprotocol %q", got)
		}
	}},
	{"no token, or an unknown one, is 401", func(s *outsider) {
		for _, token := range []string{"", "nonsense", s.token + "x", s.token[:len(s.token)-1]} {
			_, resp := s.dial(token)
			s.problem(resp, http.StatusUnauthorized)
		}
	}},
	{"another kind of token is 403", func(s *outsider) {
		_, resp := s.dial(s.Token)
		s.problem(resp, http.StatusForbidden)
	}},
	{"an expired token: 4401, then 401", func(s *outsider) {
		me := s.person()
		soon := time.Now().Add(5 * time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
		_, secret := s.workerToken(me, msg{"expires_at": soon})
		w := s.openWith(secret)
		w.send(s.hello())
		w.expect("welcome")
		w.closes(4401)
		_, resp := s.dial(secret)
		s.problem(resp, http.StatusUnauthorized)
	}},
	{"a deleted token: 4401 within a second, then 401", func(s *outsider) {
		me := s.person()
		id, secret := s.workerToken(me, nil)
		w := s.openWith(secret)
		w.send(s.hello())
		w.expect("welcome")
		began := time.Now()
		must(s.t, me.Do(s.t.Context(), "DELETE", "/tokens/"+id, nil, nil))
		w.closes(4401)
		if d := time.Since(began); d > time.Second {
			s.t.Errorf("after %s", d)
		}
		_, resp := s.dial(secret)
		s.problem(resp, http.StatusUnauthorized)
	}},
	{"several objects in a frame, in order", func(s *outsider) {
		w := s.open()
		w.send(s.hello().with(msg{"slots": 0}), msg{"type": "what"}, msg{"type": "slots", "slots": 1})
		w.expect("welcome")
		w.refused("unknown_type")
		task := s.task(nil)
		a := w.expect("assign")
		w.send(a.of("progress", msg{"percent": 50}), a.of("log", msg{"stream": "log", "lines": []string{"l"}}), a.of("result", done))
		w.expect("ack").has(s.t, msg{"accepted": true})
		s.wait(task.ID, "succeeded")
	}},
	{"an unknown type is answered and ignored", func(s *outsider) {
		w := s.connect(nil)
		for _, kind := range []string{"", "resume", "welcome", "assign", strings.Repeat("x", 1000)} {
			w.send(msg{"type": kind})
			w.refused("unknown_type")
		}
		s.task(nil)
		w.finish(w.expect("assign"))
	}},
	{"unknown fields are ignored", func(s *outsider) {
		more := msg{"new": msg{"a": []int{1}}, "Slots": "many", "ATTEMPT": 7, "Status": "failed"} // names differ by case
		w, a := s.busy(more, nil)
		w.send(msg{"type": "pong"}.with(more), a.of("progress", msg{"percent": 1}).with(more))
		w.answer(a, done.with(more)).has(s.t, msg{"accepted": true})
	}},
	{"what is not JSON objects closes with 4400", func(s *outsider) {
		for _, f := range []struct {
			kind int
			text string
		}{
			{binary, `{"type":"pong"}`},
			{text, ``}, {text, `pong`}, {text, `[{"type":"pong"}]`}, {text, `"pong"`}, {text, `null`}, {text, `{"type":"pong"`},
			{text, `{"type":"pong"}{"type":"pong"}`}, {text, "{\"type\":\"pong\"}\n7"}, {text, `{"type":"pong",}`},
			{text, "{\"type\":\"pong\",\"x\":\"\xff\"}"},
		} {
			before, after := s.open(), s.connect(nil)
			before.frame(f.kind, f.text)
			before.closes(4400)
			after.frame(f.kind, f.text)
			after.closes(4400)
		}
	}},
	{"a frame above the limit closes with 1009", func(s *outsider) {
		before, after := s.open(), s.connect(nil)
		after.frame(text, padded(`{"type":"pong"}`, frameLimit))
		after.sync()
		after.frame(text, padded(`{"type":"pong"}`, frameLimit+1))
		after.closes(1009)
		before.frame(text, padded(`{"type":"hello"}`, frameLimit+1))
		before.closes(1009)
	}},
}

// problem expects a refusal of the handshake.
func (s *outsider) problem(resp *http.Response, status int) {
	s.t.Helper()
	if resp == nil {
		s.t.Fatalf("accepted, want %d", status)
	}
	body, err := io.ReadAll(resp.Body)
	must(s.t, err)
	var p kit.Problem
	kind := resp.Header.Get("Content-Type")
	if err := json.Unmarshal(body, &p); err != nil || kind != "application/problem+json" ||
		resp.StatusCode != status || p.Status != status || p.Code == "" {
		s.t.Errorf("%s %s %s, want a problem of %d", resp.Status, kind, body, status)
	}
}

// person is the cluster's user, logged in: tokens are hers alone to make.
func (s *outsider) person() *kit.Client {
	s.t.Helper()
	c, err := kit.Login(s.t.Context(), s.Server.URL, "ada", "a long password")
	must(s.t, err)
	return c
}

func (s *outsider) workerToken(c *kit.Client, spec msg) (id, secret string) {
	s.t.Helper()
	var got struct{ ID, Secret string }
	must(s.t, c.Do(s.t.Context(), "POST", "/tokens", msg{"name": s.kind, "kind": "worker"}.with(spec), &got))
	return got.ID, got.Secret
}

// padded puts spaces inside an object until it has a length.
func padded(object string, length int) string {
	return object[:1] + strings.Repeat(" ", length-len(object)) + object[1:]
}

// openingRules are section 2.
var openingRules = []protocolRule{
	{"limits of hello", func(s *outsider) {
		for _, c := range helloCases() {
			w := s.open()
			w.send(s.hello().with(c.different))
			if c.code != 0 {
				s.t.Run(c.name, func(t *testing.T) { w.t = t; w.closes(c.code) })
				continue
			}
			s.t.Run(c.name, func(t *testing.T) { w.t = t; w.expect("welcome"); w.leave(1000) })
		}
	}},
	{"welcome", func(s *outsider) {
		w := s.connect(msg{"groups": []string{s.group}})
		w.welcome.has(s.t, msg{
			"ping_ms": rulePing.Milliseconds(), "timeout_ms": ruleTimeout.Milliseconds(), "grace_ms": ruleGrace.Milliseconds(),
		})
		if n := w.welcome["max_message_bytes"]; n != float64(frameLimit) {
			s.t.Errorf("max_message_bytes %v", n)
		}
		for _, k := range []string{"session", "resume", "worker"} {
			if v, _ := w.welcome[k].(string); v == "" {
				s.t.Errorf("no %s in %v", k, w.welcome)
			}
		}
		for k, want := range map[string][]any{"groups": {s.group}, "resumed": {}, "dropped": {}} {
			if got, ok := w.welcome[k].([]any); !ok || !slices.Equal(got, want) {
				s.t.Errorf("%s: %v, want %v", k, w.welcome[k], want)
			}
		}
	}},
	{"groups are a subset of the token's", func(s *outsider) {
		ctx := s.t.Context()
		bob, err := kit.Register(ctx, s.Server.URL, "bob", "a long password")
		must(s.t, err)
		one, err := bob.Group(ctx, "Difference engines")
		must(s.t, err)
		two, err := bob.Group(ctx, "Looms")
		must(s.t, err)
		three, err := bob.Group(ctx, "Pumps")
		must(s.t, err)
		_, secret := s.workerToken(bob, msg{"groups": []string{one, two}})
		for _, c := range []struct {
			groups, get []string
			code        int
		}{
			{nil, []string{one, two}, 0}, {[]string{two}, []string{two}, 0}, {[]string{two, one}, []string{one, two}, 0},
			{[]string{three}, nil, 4403}, {[]string{one, s.group}, nil, 4403}, {[]string{"nonsense"}, nil, 4403},
		} {
			w := s.openWith(secret)
			hello := s.hello()
			if c.groups != nil {
				hello["groups"] = c.groups
			}
			w.send(hello)
			if c.code != 0 {
				w.closes(c.code)
				continue
			}
			w.welcome = w.expect("welcome")
			w.welcome.has(s.t, msg{"groups": c.get})
			_, err := bob.Submit(ctx, one, msg{"kind": s.kind})
			must(s.t, err)
			if slices.Contains(c.get, one) {
				w.finish(w.expect("assign"))
			} else {
				w.quiet(silence)
			}
			w.leave(1000)
		}
	}},
	{"anything before hello closes with 4400", func(s *outsider) {
		for _, m := range []msg{{"type": "pong"}, {"type": "drain"}, {"type": "unknown"}, {}} {
			w := s.open()
			w.send(m, s.hello())
			w.closes(4400)
		}
	}},
	{"a second hello closes with 4400", func(s *outsider) {
		w := s.connect(nil)
		w.send(s.hello())
		w.closes(4400)
	}},
	{"no hello within 10 s closes with 4400", func(s *outsider) {
		w, began := s.open(), time.Now()
		w.closes(4400)
		if d := time.Since(began); d < 9500*time.Millisecond || d > 12*time.Second {
			s.t.Errorf("after %s", d)
		}
	}},
	{"several sessions of one worker add up", func(s *outsider) {
		one, two := s.connect(nil), s.connect(nil)
		if one.welcome["worker"] != two.welcome["worker"] || one.welcome["session"] == two.welcome["session"] {
			s.t.Errorf("%v and %v, want one worker and two sessions", one.welcome, two.welcome)
		}
		if other := s.connect(msg{"name": "another"}); other.welcome["worker"] == one.welcome["worker"] {
			s.t.Error("another name is the same worker")
		} else {
			other.leave(1000)
		}
		s.task(nil)
		s.task(nil)
		a, b := one.expect("assign"), two.expect("assign")
		one.finish(a)
		two.finish(b)
	}},
}

type helloCase struct {
	name      string
	different msg
	code      int
}

func helloCases() []helloCase {
	long := func(n int) string { return strings.Repeat("é", n) }
	kinds := func(n int) (ks []string) {
		for i := range n {
			ks = append(ks, fmt.Sprint("none-", i))
		}
		return ks
	}
	labels := func(n int) msg {
		m := msg{}
		for _, k := range kinds(n) {
			m[k] = ""
		}
		return m
	}
	cases := []helloCase{
		{"shortest name", msg{"name": "n"}, 0},
		{"longest name", msg{"name": long(64)}, 0},
		{"name too long", msg{"name": long(65)}, 4400},
		{"empty name", msg{"name": ""}, 4400},
		{"no name", msg{"name": nil}, 4400},
		{"a number as name", msg{"name": 1}, 4400},
		{"no kinds", msg{"kinds": nil}, 4400},
		{"empty kinds", msg{"kinds": kinds(0)}, 4400},
		{"64 kinds", msg{"kinds": kinds(64)}, 0},
		{"65 kinds", msg{"kinds": kinds(65)}, 4400},
		{"longest kind", msg{"kinds": []string{strings.Repeat("k", 64)}}, 0},
		{"all characters of a kind", msg{"kinds": []string{"0a._-z9"}}, 0},
		{"no slots to give", msg{"slots": 0}, 0},
		{"1024 slots", msg{"slots": 1024}, 0},
		{"1025 slots", msg{"slots": 1025}, 4400},
		{"-1 slots", msg{"slots": -1}, 4400},
		{"half a slot", msg{"slots": 1.5}, 4400},
		{"64 labels", msg{"labels": labels(64)}, 0},
		{"65 labels", msg{"labels": labels(65)}, 4400},
		{"longest label", msg{"labels": msg{long(64): long(200)}}, 0},
		{"label's name too long", msg{"labels": msg{long(65): ""}}, 4400},
		{"label's name empty", msg{"labels": msg{"": ""}}, 4400},
		{"label's value too long", msg{"labels": msg{"l": long(201)}}, 4400},
		{"longest sdk", msg{"sdk": long(200)}, 0},
		{"sdk too long", msg{"sdk": long(201)}, 4400},
		{"unknown fields", msg{"colour": "blue", "running_since": msg{}}, 0},
	}
	for _, k := range []string{"", "A", ".a", "-a", "_a", "a b", "é", "a\n", strings.Repeat("k", 65)} {
		cases = append(cases, helloCase{fmt.Sprintf("kind %.10q", k), msg{"kinds": []string{k}}, 4400})
	}
	return cases
}
