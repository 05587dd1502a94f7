package e2e

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// workRules are section 3.
var workRules = []protocolRule{
	{"assign of a task", func(s *outsider) {
		task := s.task(msg{"input": msg{"a": 1}, "timeout_s": 40})
		w := s.connect(nil)
		a := w.expect("assign")
		a.has(s.t, msg{"task": task.ID, "attempt": 1, "kind": s.kind, "group": s.group, "input": msg{"a": 1}, "timeout_ms": 40_000})
		members(s.t, a, "task", "attempt", "kind", "group", "input", "timeout_ms", "deadline")
		deadline, _ := a["deadline"].(string)
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(deadline) {
			s.t.Errorf("deadline %q", deadline)
		}
		at, err := time.Parse(time.RFC3339, deadline)
		if left := time.Until(at); err != nil || left > 40*time.Second || left < 30*time.Second {
			s.t.Errorf("deadline in %s (%v)", left, err)
		}
		w.finish(a)
	}},
	{"assign of a part", func(s *outsider) {
		w := s.connect(nil)
		parent := s.submit(msg{"kind": s.kind, "inputs": []string{"p0", "p1", "p2"}, "reduce": "collect"})
		seen := map[any]bool{}
		for range 3 {
			a := w.expect("assign")
			a.has(s.t, msg{"parent": parent.ID, "count": 3, "input": fmt.Sprint("p", a["index"])})
			members(s.t, a, "task", "attempt", "kind", "group", "input", "timeout_ms", "deadline", "parent", "index", "count")
			seen[a["index"]] = true
			w.finish(a)
		}
		if len(seen) != 3 {
			s.t.Errorf("indexes %v", seen)
		}
		s.wait(parent.ID, "succeeded")
	}},
	{"never more than slots", func(s *outsider) {
		w := s.connect(msg{"slots": 2})
		for range 5 {
			s.task(nil)
		}
		one, two := w.expect("assign"), w.expect("assign")
		for range 3 {
			w.quiet(silence)
			w.finish(one)
			one, two = two, w.expect("assign")
		}
		w.finish(one)
		w.finish(two)
	}},
	{"slots pauses and raises", func(s *outsider) {
		w := s.connect(nil)
		w.send(msg{"type": "slots", "slots": 0})
		w.sync()
		for range 3 {
			s.task(nil)
		}
		w.quiet(silence)
		w.send(msg{"type": "slots", "slots": 3})
		open := []msg{w.expect("assign"), w.expect("assign"), w.expect("assign")}
		w.send(msg{"type": "slots", "slots": 1}) // what is open stays
		w.sync()
		s.task(nil)
		for _, a := range open {
			w.quiet(silence)
			w.finish(a)
		}
		w.finish(w.expect("assign"))
		w.send(msg{"type": "slots", "slots": 1025})
		w.refused("bad_field")
	}},
	{"progress and log are seen", func(s *outsider) {
		w, a := s.busy(nil, nil)
		w.send(
			a.of("progress", msg{"percent": 12.5, "message": "half a quarter"}),
			a.of("log", msg{"stream": "stdout", "lines": []string{"one", "two"}}),
			a.of("log", msg{"stream": "stderr", "lines": []string{"three"}}),
		)
		w.sync()
		eventually(s.t, patience, "progress is shown", func() bool {
			p := s.status(a.id()).Progress
			return p != nil && p.Percent != nil && *p.Percent == 12.5 && p.Message == "half a quarter"
		})
		var got logPage
		eventually(s.t, patience, "log lines are shown", func() bool { got = s.log(a); return len(got.Items) == 3 })
		if fmt.Sprint(got) != "{[{1 stdout one} {1 stdout two} {1 stderr three}] 0}" {
			s.t.Errorf("log %v", got)
		}
		w.finish(a)
	}},
	{"the log drops its oldest lines", func(s *outsider) {
		w, a := s.busy(nil, nil)
		lines := make([]string, 600)
		for i := range lines {
			lines[i] = fmt.Sprint(i)
		}
		w.send(a.of("log", msg{"stream": "log", "lines": lines}), a.of("log", msg{"stream": "log", "lines": lines}))
		w.finish(a)
		var got logPage
		eventually(s.t, patience, "all lines are there", func() bool {
			got = s.log(a)
			return got.Dropped == 200 && len(got.Items) == 1000
		})
		if first, last := got.Items[0].Line, got.Items[999].Line; first != "200" || last != "599" {
			s.t.Errorf("lines %s to %s", first, last)
		}
	}},
	{"limits of fields", func(s *outsider) {
		w, a := s.busy(nil, nil)
		for _, c := range fieldCases() {
			s.t.Run(c.name, func(t *testing.T) {
				w.t = t
				w.send(a.of(c.kind, c.members))
				if c.code == "" {
					w.sync()
				} else {
					w.refused(c.code)
				}
			})
		}
		w.t = s.t
		w.answer(a, msg{"status": "succeeded", "output": jsonOf(1 << 20)}).has(s.t, msg{"accepted": true})
	}},
	{"the newest checkpoint goes to the next attempt", func(s *outsider) {
		w, a := s.busy(nil, nil)
		w.send(a.of("checkpoint", msg{"data": 1}), a.of("checkpoint", msg{"data": msg{"at": []int{2}}}))
		w.sync()
		w.leave(1000)
		next := s.connect(nil)
		b := next.expect("assign")
		b.has(s.t, msg{"attempt": 2, "checkpoint": msg{"at": []any{2}}})
		next.finish(b)
	}},
	{"a failure is tried again if it may be", func(s *outsider) {
		w, a := s.busy(nil, nil)
		failed := msg{"status": "failed", "error": msg{"code": "broken", "message": "it broke", "retryable": true}}
		w.answer(a, failed).has(s.t, msg{"accepted": true})
		b := w.expect("assign")
		b.has(s.t, msg{"task": a["task"], "attempt": 2})
		w.answer(b, msg{"status": "failed", "error": msg{"code": "wrong", "message": "for good", "retryable": false}}).
			has(s.t, msg{"accepted": true})
		if e := s.wait(a.id(), "failed").Error; e == nil || e.Code != "wrong" || e.Message != "for good" {
			s.t.Errorf("error %+v", e)
		}
	}},
	{"rejected", func(s *outsider) {
		other := s.kind + ".other"
		w, a := s.busy(msg{"kinds": []string{s.kind, other}}, msg{"max_attempts": 1})
		began := time.Now()
		w.answer(a, msg{"status": "rejected"}).has(s.t, msg{"accepted": true})
		next := s.connect(msg{"name": "taker"})
		b := next.expect("assign")
		b.has(s.t, msg{"task": a["task"], "attempt": 2})
		within(s.t, "queued again", time.Since(began), 900*time.Millisecond, 4*time.Second)
		next.finish(b) // had it counted as a failure, the task would have ended
		next.leave(1000)

		mine := s.task(nil)
		s.submit(msg{"kind": other})
		c := w.expect("assign")
		c.has(s.t, msg{"kind": other}) // only the rejected kind is held back
		w.finish(c)
		d := w.expect("assign")
		d.has(s.t, msg{"task": mine.ID})
		within(s.t, "offered again", time.Since(began), 4900*time.Millisecond, 9*time.Second)
		w.finish(d)
	}},
	{"cancel requested", func(s *outsider) {
		w, a := s.busy(nil, nil)
		s.cancel(a)
		w.expect("cancel").has(s.t, msg{"task": a["task"], "attempt": 1, "reason": "requested"})
		w.answer(a, msg{"status": "cancelled"}).has(s.t, msg{"accepted": true})
		s.wait(a.id(), "cancelled")
		s.task(nil)
		w.finish(w.expect("assign"))
	}},
	{"a result on its way wins over cancel", func(s *outsider) {
		w, a := s.busy(nil, nil)
		s.cancel(a)
		w.expect("cancel")
		w.finish(a)
		s.wait(a.id(), "succeeded")
	}},
	{"ignoring cancel blocks the slot", func(s *outsider) {
		w, a := s.busy(nil, nil)
		s.cancel(a)
		w.expect("cancel")
		s.wait(a.id(), "cancelled")
		s.task(nil)
		w.quiet(silence)
		w.late(a, "already_finished")
		w.finish(w.expect("assign"))
	}},
	{"cancel for timeout, then the next attempt", func(s *outsider) {
		w, a := s.busy(nil, msg{"timeout_s": 1, "max_attempts": 2})
		w.expect("cancel").has(s.t, msg{"task": a["task"], "attempt": 1, "reason": "timeout"})
		w.quiet(silence) // it holds its slot
		w.late(a, "stale_attempt")
		b := w.expect("assign")
		b.has(s.t, msg{"task": a["task"], "attempt": 2})
		w.expect("cancel").has(s.t, msg{"attempt": 2, "reason": "timeout"})
		w.late(b, "already_finished")
		if e := s.wait(a.id(), "failed").Error; e == nil || e.Code != "timeout" {
			s.t.Errorf("error %+v", e)
		}
	}},
	{"parts of a broadcast are for their worker", func(s *outsider) {
		names := []string{"left", "right"}
		ws := []*conn{s.connect(msg{"name": names[0], "slots": 3}), s.connect(msg{"name": names[1], "slots": 3})}
		parent := s.submit(msg{"kind": s.kind, "input": "all", "broadcast": true, "reduce": "collect"})
		left, right := ws[0].expect("assign"), ws[1].expect("assign")
		for _, a := range []msg{left, right} {
			a.has(s.t, msg{"parent": parent.ID, "count": 2, "input": "all"})
		}
		if left["index"] == right["index"] {
			s.t.Errorf("both have index %v", left["index"])
		}
		ws[1].leave(1000)
		ws[0].finish(left)
		ws[0].quiet(silence)
		again := s.connect(msg{"name": names[1]})
		b := again.expect("assign")
		b.has(s.t, msg{"task": right["task"], "attempt": 2, "index": right["index"]})
		again.finish(b)
		s.wait(parent.ID, "succeeded")
	}},
	{"drain gets no more", func(s *outsider) {
		w, a := s.busy(msg{"slots": 2}, nil)
		w.send(msg{"type": "drain"})
		w.sync()
		task := s.task(nil)
		w.quiet(silence)
		w.finish(a)
		w.quiet(silence)
		next := s.connect(msg{"name": "next"})
		b := next.expect("assign")
		b.has(s.t, msg{"task": task.ID, "attempt": 1})
		next.finish(b)
	}},
}

func (s *outsider) cancel(a msg) {
	s.t.Helper()
	must(s.t, s.Do(s.t.Context(), "POST", "/tasks/"+a.id()+"/cancel", nil, nil))
}

type logPage struct {
	Items []struct {
		Attempt int
		Stream  string
		Line    string
	}
	Dropped int
}

func (s *outsider) log(a msg) (got logPage) {
	s.t.Helper()
	q := url.Values{"limit": {"1000"}}
	must(s.t, s.Do(s.t.Context(), "GET", "/tasks/"+a.id()+"/logs?"+q.Encode(), nil, &got))
	return got
}

// members says that a message has these and no others.
func members(t testing.TB, m msg, names ...string) {
	t.Helper()
	rest := m.with(msg{"type": nil})
	for _, n := range names {
		if _, ok := rest[n]; !ok {
			t.Errorf("no %s in %v", n, m)
		}
		delete(rest, n)
	}
	if len(rest) > 0 {
		t.Errorf("what the page does not name: %v", rest)
	}
}

func within(t testing.TB, what string, d, from, to time.Duration) {
	t.Helper()
	if d < from || d > to {
		t.Errorf("%s after %s, want %s to %s", what, d, from, to)
	}
}

// jsonOf is a string that takes n bytes as JSON.
func jsonOf(n int) string { return strings.Repeat("x", n-2) }

type fieldCase struct {
	name, kind string
	members    msg
	code       string // empty: no error
}

func fieldCases() []fieldCase {
	long := func(n int) string { return strings.Repeat("é", n) }
	lines := func(text any) msg { return msg{"stream": "log", "lines": []any{text}} }
	const bad, large = "bad_field", "too_large"
	return []fieldCase{
		{"no percent done", "progress", msg{"percent": 0}, ""},
		{"all percent done", "progress", msg{"percent": 100}, ""},
		{"percent below", "progress", msg{"percent": -1}, bad},
		{"percent above", "progress", msg{"percent": 100.5}, bad},
		{"percent as text", "progress", msg{"percent": "1"}, bad},
		{"longest message", "progress", msg{"message": long(500)}, ""},
		{"message too long", "progress", msg{"message": long(501)}, large},
		{"no task", "progress", msg{"percent": 1, "task": nil}, bad},
		{"no attempt", "progress", msg{"percent": 1, "attempt": nil}, bad},
		{"attempt 0", "progress", msg{"percent": 1, "attempt": 0}, bad},
		{"another attempt", "progress", msg{"percent": 1, "attempt": 2}, bad},
		{"longest line", "log", lines(strings.Repeat("x", 4096)), ""},
		{"line too long", "log", lines(strings.Repeat("x", 4097)), large},
		{"unknown stream", "log", msg{"stream": "stdin", "lines": []string{"x"}}, bad},
		{"a line is no string", "log", lines(7), bad},
		{"largest checkpoint", "checkpoint", msg{"data": jsonOf(256 << 10)}, ""},
		{"checkpoint too large", "checkpoint", msg{"data": jsonOf(256<<10 + 1)}, large},
		{"no data", "checkpoint", msg{}, bad},
		{"output too large", "result", msg{"status": "succeeded", "output": jsonOf(1<<20 + 1)}, large},
		{"no output", "result", msg{"status": "succeeded"}, bad},
		{"no error", "result", msg{"status": "failed"}, bad},
		{"unknown status", "result", msg{"status": "done"}, bad},
	}
}
