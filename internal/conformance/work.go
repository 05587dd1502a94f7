package conformance

import (
	"slices"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// workCases are sections 3 and 4.
var workCases = []Case{
	{Name: "optional-fields", Rule: "3: an assign may have parent, index, count, checkpoint and trace", play: func(s *scene) {
		c := s.first()
		first := 0
		a := c.assign("echo", `"part"`, func(a *protocol.Assign) {
			a.Parent, a.Index, a.Count, a.Checkpoint = newID(), &first, 10, []byte(`{"next":[2]}`)
			a.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		})
		c.succeeded(a, `"part"`)
		c.ack(a)
	}},
	{Name: "slots", Rule: "3: as many tasks run at a time as hello has slots", play: func(s *scene) {
		c := s.first()
		for range min(c.hello.Slots, 8) - 1 {
			c.assign("sleep", `{"ms": 60000}`)
		}
		c.echo(`"beside the others"`)
	}},
	{Name: "rejected", Rule: "3: a task that the worker cannot take is answered with status rejected", play: func(s *scene) {
		c := s.first()
		a := c.assign("no-such-kind", `1`)
		if r := c.result(a, answer); r.Status != protocol.Rejected {
			s.fail("expected a result with status rejected for a kind that the worker does not serve, got %s", describe(r))
		}
		c.ack(a)
		c.echo(`1`)
	}},
	{Name: "failed", Rule: "3: a task that cannot be done is answered with failed and its error", play: func(s *scene) {
		c := s.first()
		a := c.assign("sleep", `{"ms": "soon"}`)
		r := c.result(a, answer)
		if r.Status != protocol.Failed || r.Error.Code != "bad_input" || r.Error.Retryable {
			s.fail("expected a result failed with code bad_input, not retryable, got %s", describe(r))
		}
		c.ack(a)
		c.echo(`1`)
	}},
	{Name: "cancel", Rule: "3: a cancelled task is stopped, and answered with a result", play: func(s *scene) {
		c := s.first()
		a := c.assign("sleep", `{"ms": 60000}`)
		c.settle()
		c.cancel(a, protocol.CancelRequested)
		c.stopped(a, "a cancel")
		c.ack(a)
		c.echo(`1`)
	}},
	{Name: "cancel-crosses-result", Rule: "3: a result that is on its way wins over a cancel", play: func(s *scene) {
		c := s.first()
		a := c.assign("echo", `1`)
		c.succeeded(a, `1`)
		c.cancel(a, protocol.CancelRequested)
		c.ping() // another result, with another status, would break a rule
		c.ack(a)
		c.cancel(a, protocol.CancelRequested) // of which the worker knows nothing any more
		c.ping()
		c.echo(`1`)
	}},
	{Name: "timeout", Rule: "3, 4: a task whose time is up is cancelled, and may come again as the next attempt", play: func(s *scene) {
		c := s.first()
		a := c.newAttempt("sleep", `{"ms": 60000}`, func(a *protocol.Assign) { a.TimeoutMS = 500 })
		c.send(a)
		c.settle()
		c.cancel(refOf(a), protocol.CancelTimeout)
		c.stopped(refOf(a), "a cancel (timeout)")
		c.refuse(refOf(a), protocol.StaleAttempt)
		again := c.newAttempt("sleep", `{"ms": 1}`, func(next *protocol.Assign) { next.Task, next.Attempt = a.Task, 2 })
		c.send(again)
		c.succeeded(refOf(again), `{"slept_ms": 1}`)
		c.ack(refOf(again))
	}},
	{Name: "stale-attempt", Rule: "4: (task, attempt) names an attempt: a new one of the same task is another", play: func(s *scene) {
		c := s.first()
		old := c.newAttempt("echo", `"old"`)
		c.send(old)
		c.succeeded(refOf(old), `"old"`)
		c.refuse(refOf(old), protocol.StaleAttempt)
		next := c.newAttempt("echo", `"new"`, func(a *protocol.Assign) { a.Task, a.Attempt = old.Task, 5 })
		c.send(next)
		c.succeeded(refOf(next), `"new"`)
		c.cut()
		c = s.connection(back)
		c.lists(refOf(next))
		c.welcome(resumed(c.hello))
		c.succeeded(refOf(next), `"new"`)
		c.ack(refOf(next))
	}},
	{Name: "lost-ack", Rule: "3: a result without an ack is sent again after 10 s, and kept until then", play: func(s *scene) {
		c := s.first()
		a := c.assign("echo", `"once more"`)
		c.succeeded(a, `"once more"`)
		began := time.Now()
		if r := c.result(a, 15*time.Second); !sameJSON(r.Output, []byte(`"once more"`)) {
			s.fail("expected the same result again, got %s", describe(r))
		}
		if d := time.Since(began); d < 9*time.Second {
			s.fail("expected the result again after 10 s without an ack, got it after %s", d.Round(time.Millisecond))
		}
		c.ack(a)
		c.echo(`1`)
	}},
	{Name: "acks-in-any-order", Rule: "3: an ack is for the attempt it names", play: func(s *scene) {
		c := s.first()
		var all []protocol.AttemptRef
		for _, input := range []string{`1`, `2`, `3`} {
			a := c.assign("echo", input)
			c.succeeded(a, input)
			all = append(all, a)
		}
		c.ack(all[2])
		c.ack(all[0])
		c.ping()
		c.cut()
		c = s.connection(back)
		c.lists(all[1])
		c.welcome(resumed(c.hello))
		c.succeeded(all[1], `2`)
		c.ack(all[1])
	}},
	{Name: "refused-result", Rule: "3: accepted:false is final, whatever the reason: the result is dropped", play: func(s *scene) {
		c := s.first()
		for _, reason := range []string{
			protocol.StaleAttempt, protocol.AlreadyFinished, protocol.NotOwner, protocol.UnknownTask, "a_reason_of_the_future",
		} {
			a := c.assign("echo", `1`)
			c.succeeded(a, `1`)
			c.refuse(a, reason)
		}
		c.ping()
		c.cut()
		c = s.connection(back)
		c.lists()
		c.welcome()
		c.echo(`1`)
	}},
	{Name: "groups", Rule: "3: the groups may change, and there may be none: the worker stays", play: func(s *scene) {
		c := s.first()
		c.send(protocol.Groups{Groups: []string{}})
		c.send(protocol.Groups{Groups: []string{group, newID()}})
		c.ping()
		c.echo(`1`)
	}},
	{Name: "error", Rule: "3: an error says that a message was not used; the connection stays", play: func(s *scene) {
		c := s.first()
		for _, code := range []string{protocol.CodeUnknownType, protocol.CodeBadField, protocol.CodeTooLarge, protocol.CodeRate, "of_the_future"} {
			c.send(protocol.Error{Code: code, Message: "part of a test"})
		}
		c.ping()
		c.echo(`1`)
	}},
	{Name: "server-drains", Rule: "3: when the server drains, what runs is finished; then the worker connects elsewhere", play: func(s *scene) {
		c := s.first()
		a := c.assign("sleep", `{"ms": 1000}`)
		c.send(protocol.Bare{Type: protocol.TypeDrain})
		c.succeeded(a, `{"slept_ms": 1000}`)
		c.ack(a)
		c.left(answer, "when nothing runs after drain")
		s.again().echo(`1`)
	}},
	{Name: "worker-drains", Rule: "3: a worker that is told to leave sends drain, finishes what runs, and closes with 1000", needsProgram: true, play: playWorkerDrains},
}

// playWorkerDrains breaks the line in the middle of it: drain is said again.
func playWorkerDrains(s *scene) {
	c := s.first()
	a := c.assign("sleep", `{"ms": 2000}`)
	c.settle()
	if err := s.program.Drain(); err != nil {
		s.fail("the program could not be asked to end: %v", err)
	}
	c.drains()
	c.cut()
	c = s.connection(back)
	c.lists(a)
	c.welcome(resumed(c.hello))
	c.drains()
	c.succeeded(a, `{"slept_ms": 2000}`)
	c.ack(a)
	c.left(answer, "with nothing left to do")
	if code := c.closedWith(); code != protocol.CloseNormal {
		s.fail("expected the worker to close with 1000, but %s", c.ending())
	}
	timer := time.NewTimer(answer)
	defer timer.Stop()
	select {
	case <-s.program.Done():
	case <-timer.C:
		s.fail("expected the program to end within %s of its last task", answer)
	}
}

// drains waits for drain.
func (c *conn) drains() {
	m := c.next(answer, "drain")
	if _, ok := m.(*protocol.Bare); !ok { // which of those a worker sends only drain is
		c.scene.fail("expected drain, got %s", describe(m))
	}
}

// WithoutProgram returns those of the cases that can be played with a worker
// which somebody else starts.
func WithoutProgram(cases []Case) []Case {
	return slices.DeleteFunc(slices.Clone(cases), func(c Case) bool { return c.needsProgram })
}
