package e2e

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// fenceRules are section 4, and the acknowledgements.
var fenceRules = []protocolRule{
	{"the same result again is accepted again", func(s *outsider) {
		w, a := s.busy(nil, nil)
		w.finish(a)
		w.finish(a)
		w.cut()
		again := s.connect(w.resumption(a)) // as if the ack had been lost
		again.finish(a)
		var out string
		must(s.t, s.Output(s.t.Context(), a.id(), &out))
		if out != "y" {
			s.t.Errorf("output %q", out)
		}
	}},
	{"stale attempt", func(s *outsider) {
		old, a := s.busy(msg{"name": "old"}, nil)
		old.leave(1000)
		w := s.connect(nil)
		b := w.expect("assign")
		w.late(a, "stale_attempt")
		third := s.connect(msg{"name": "third"})
		third.late(a, "stale_attempt")
		if got := s.status(a.id()); got.Status != "running" || got.Attempt != 2 {
			s.t.Errorf("a late result changed the task: %+v", got)
		}
		w.finish(b)
		third.late(a, "stale_attempt") // there was a newer one
		es, err := s.Timeline(s.t.Context(), a.id())
		must(s.t, err)
		for _, e := range es {
			if e.Event == "late_result_refused" {
				return
			}
		}
		s.t.Errorf("no late result on the timeline: %+v", es)
	}},
	{"stale before the newer attempt", func(s *outsider) {
		w, a := s.busy(nil, nil)
		w.answer(a, msg{"status": "rejected"})
		s.connect(msg{"name": "other", "slots": 0}).late(a, "stale_attempt")
	}},
	{"not the owner", func(s *outsider) {
		w, a := s.busy(nil, nil)
		other := s.connect(msg{"slots": 0})
		other.late(a, "not_owner")
		w.finish(a)
		other.late(a, "not_owner")
	}},
	{"already finished", func(s *outsider) {
		w, a := s.busy(nil, nil)
		s.cancel(a)
		w.expect("cancel")
		s.wait(a.id(), "cancelled")
		w.late(a, "already_finished")
		w.late(a, "already_finished") // final, however often
	}},
	{"unknown task", func(s *outsider) {
		s.connect(nil).late(msg{"task": uuid.Must(uuid.NewV7()).String(), "attempt": 1}, "unknown_task")
	}},
	{"attempts rise, and losses do not use up max_attempts", func(s *outsider) {
		task := s.task(msg{"max_attempts": 1})
		for n := 1; n <= 6; n++ { // the first and max_reassignments more
			w := s.connect(nil)
			w.expect("assign").has(s.t, msg{"task": task.ID, "attempt": n})
			w.leave(1000)
		}
		if got := s.wait(task.ID, "failed"); got.Error == nil || got.Error.Code != "worker_lost" {
			s.t.Errorf("%+v", got)
		}
	}},
}

// livenessRules are section 5.
var livenessRules = []protocolRule{
	{"a ping every ping_ms", func(s *outsider) {
		w := s.connect(nil)
		first := <-w.pings
		const more = 5
		last := first
		for range more {
			last = <-w.pings
		}
		within(s.t, "pings", last.Sub(first)/more, rulePing*7/10, rulePing*2)
	}},
	{"silence closes with 4508, and grace follows", func(s *outsider) {
		w, a := s.busy(nil, nil)
		w.mute.Store(true)
		w.send(msg{"type": "pong"})
		began := time.Now()
		w.closes(4508)
		within(s.t, "closed", time.Since(began), ruleTimeout-rulePing, ruleTimeout+time.Second)
		again := s.connect(w.resumption(a))
		again.welcome.has(s.t, msg{"resumed": refs(a)})
		again.finish(a)
	}},
	{"any frame is life", func(s *outsider) {
		w, a := s.busy(nil, nil)
		w.mute.Store(true)
		for began := time.Now(); time.Since(began) < ruleTimeout*3/2; <-w.pings {
			w.send(a.of("progress", msg{"percent": 1}))
		}
		w.finish(a)
	}},
	{"closed by the worker: reassigned at once", func(s *outsider) {
		for _, code := range []int{1000, 1001} {
			w, a := s.busy(nil, nil)
			next := s.connect(msg{"name": "next"})
			began := time.Now()
			w.leave(code)
			b := next.expect("assign")
			within(s.t, "reassigned", time.Since(began), 0, atOnce)
			b.has(s.t, msg{"task": a["task"], "attempt": 2})
			next.finish(b)
			next.leave(1000)
			if got := s.status(a.id()); got.Reassignments != 1 {
				s.t.Errorf("%d reassignments", got.Reassignments)
			}
		}
	}},
	{"resumed within grace", func(s *outsider) {
		for name, lose := range map[string]func(*conn){
			"line cut": (*conn).cut, "close frame without a code": func(w *conn) { w.leave(1005) },
		} {
			s.t.Run(name, func(t *testing.T) {
				s := newOutsider(t, &s.cluster, s.kind)
				w, a := s.busy(nil, nil)
				next := s.connect(msg{"name": "next"})
				lose(w)
				again := s.connect(w.resumption(a))
				again.welcome.has(t, msg{"session": w.welcome["session"], "worker": w.welcome["worker"], "resumed": refs(a), "dropped": refs()})
				next.quiet(ruleGrace + silence)
				next.leave(1000)
				again.finish(a)
				if got := s.wait(a.id(), "succeeded"); got.Attempt != 1 || got.Reassignments != 0 {
					t.Errorf("%+v", got)
				}
				again.leave(1000)
			})
		}
	}},
	{"cancel reaches the resumed session", func(s *outsider) {
		w, a := s.busy(nil, nil)
		w.cut()
		s.cancel(a)
		again := s.connect(w.resumption(a))
		again.expect("cancel").has(s.t, msg{"task": a["task"], "reason": "requested"})
		again.answer(a, msg{"status": "cancelled"}).has(s.t, msg{"accepted": true})
		s.wait(a.id(), "cancelled")
	}},
	{"what the worker does not list is queued again", func(s *outsider) {
		w, a := s.busy(nil, nil)
		w.cut()
		again := s.connect(w.resumption())
		again.welcome.has(s.t, msg{"session": w.welcome["session"], "resumed": refs(), "dropped": refs()})
		b := again.expect("assign")
		b.has(s.t, msg{"task": a["task"], "attempt": 2})
		again.finish(b)
	}},
	{"a wrong secret opens a new session", func(s *outsider) {
		w, a := s.busy(nil, nil)
		w.cut()
		began := time.Now()
		again := s.connect(w.resumption(a).with(msg{"resume": "guessed"}))
		again.welcome.has(s.t, msg{"resumed": refs(), "dropped": refs(a)})
		if again.welcome["session"] == w.welcome["session"] {
			s.t.Error("resumed with a wrong secret")
		}
		next := s.connect(msg{"name": "next"})
		b := next.expect("assign") // again has no slot: the dropped attempt holds it
		within(s.t, "reassigned", time.Since(began), ruleGrace-50*time.Millisecond, ruleGrace+2*time.Second)
		b.has(s.t, msg{"task": a["task"], "attempt": 2})
		s.task(nil)
		again.quiet(silence)
		again.late(a, "stale_attempt")
		again.finish(again.expect("assign"))
		next.finish(b)
	}},
	{"after grace it is too late", func(s *outsider) {
		w, a := s.busy(nil, nil)
		next := s.connect(msg{"name": "next"})
		began := time.Now()
		w.cut()
		b := next.expect("assign")
		within(s.t, "reassigned", time.Since(began), ruleGrace-50*time.Millisecond, ruleGrace+2*time.Second)
		b.has(s.t, msg{"task": a["task"], "attempt": 2})
		again := s.connect(w.resumption(a))
		again.welcome.has(s.t, msg{"resumed": refs(), "dropped": refs(a)})
		again.late(a, "stale_attempt")
		next.finish(b)
	}},
	{"the old connection closes with 4409", func(s *outsider) {
		w, a := s.busy(nil, nil)
		again := s.connect(w.resumption(a))
		w.closes(4409)
		again.welcome.has(s.t, msg{"session": w.welcome["session"], "resumed": refs(a)})
		again.quiet(ruleGrace + silence) // the old one's end means nothing
		again.finish(a)
	}},
}

// refs is how welcome lists attempts.
func refs(as ...msg) []any {
	all := []any{}
	for _, a := range as {
		all = append(all, map[string]any{"task": a["task"], "attempt": a["attempt"]})
	}
	return all
}

// TestProtocolServerLeaves: a server that is told to stop lets workers finish.
func TestProtocolServerLeaves(t *testing.T) {
	s := newOutsider(t, start(t), "leaving")
	w, a := s.busy(nil, nil)
	w.welcome.has(t, msg{"ping_ms": 2500, "timeout_ms": 7000, "grace_ms": 3000})
	idle := s.connect(msg{"name": "idle"})
	s.task(nil)
	idle.finish(idle.expect("assign"))
	stopped := make(chan error, 1)
	go func() { stopped <- s.Server.Stop(20 * time.Second) }()
	idle.expect("drain")
	idle.closes(1001)
	w.expect("drain")
	w.quiet(silence)
	w.finish(a)
	w.closes(1001)
	must(t, <-stopped)
	must(t, s.Server.Restart())
	s.wait(a.id(), "succeeded")
	s.connect(nil)
}
