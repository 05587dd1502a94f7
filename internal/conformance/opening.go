package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// openingCases are section 2, and what of section 1 comes before it.
var openingCases = []Case{
	{Name: "hello", Rule: "2: hello comes first, has every required field, and names the kinds it serves", play: func(s *scene) {
		c := s.connection(arrival)
		for _, kind := range []string{"echo", "sleep"} {
			if !slices.Contains(c.hello.Kinds, kind) {
				s.fail("expected a hello whose kinds have %q, got %v; conformance needs echo and sleep", kind, c.hello.Kinds)
			}
		}
		if c.hello.Slots < 1 {
			s.fail("expected a hello with at least 1 slot, got %d", c.hello.Slots)
		}
		if c.hello.Session != "" && s.program != nil {
			s.fail("expected a first hello without session, got session %s", c.hello.Session)
		}
		c.welcome()
		c.echo(`1`)
	}},
	{Name: "one-hello", Rule: "2: hello is sent once on a connection, however long the welcome takes", play: func(s *scene) {
		c := s.connection(arrival)
		c.silent(2*time.Second, "before welcome")
		c.welcome()
		c.echo(`1`)
	}},
	{Name: "same-hello", Rule: "2: a worker is (owner, name): it comes back with the same name and kinds", play: func(s *scene) {
		before := s.first()
		before.cut()
		after := s.again()
		if before.hello.Name != after.hello.Name || !slices.Equal(sorted(before.hello.Kinds), sorted(after.hello.Kinds)) {
			s.fail("expected the name %q and kinds %v as before, got %q and %v",
				before.hello.Name, before.hello.Kinds, after.hello.Name, after.hello.Kinds)
		}
	}},
	{Name: "resume", Rule: "2, 5: after a lost line hello has session, resume and, as running, all attempts without an ack", play: playResume},
	{Name: "newest-session", Rule: "2: a hello resumes what the newest welcome named", play: func(s *scene) {
		first := s.first()
		first.cut()
		second := s.again() // a new session: too late for the first one
		second.cut()
		third := s.connection(back)
		if third.hello.Session != second.session.Session || third.hello.Resume != second.session.Resume {
			s.fail("expected session %s and its secret, got session %q", second.session.Session, third.hello.Session)
		}
	}},
	{Name: "dropped", Rule: "2: what welcome names as dropped is stopped, and answered all the same", play: func(s *scene) {
		c := s.first()
		a := c.assign("sleep", `{"ms": 60000}`)
		c.settle()
		c.cut()
		c = s.connection(back)
		c.lists(a)
		c.welcome(dropped(c.hello))
		c.stopped(a, "being dropped")
		c.refuse(a, protocol.StaleAttempt)
		c.echo(`1`)
	}},
	{Name: "dropped-result", Rule: "2, 3: a finished attempt that was dropped is answered too, and forgotten once refused", play: func(s *scene) {
		c := s.first()
		a := c.assign("echo", `"late"`)
		c.succeeded(a, `"late"`)
		c.cut()
		c = s.connection(back)
		c.lists(a)
		c.welcome(dropped(c.hello))
		c.result(a, answer)
		c.refuse(a, protocol.StaleAttempt)
		c.ping()
		c.cut()
		s.connection(back).lists()
	}},
}

func playResume(s *scene) {
	c := s.first()
	acked := c.assign("echo", `"acknowledged"`)
	c.succeeded(acked, `"acknowledged"`)
	c.ack(acked)
	done := c.assign("echo", `"done"`)
	c.succeeded(done, `"done"`)
	runs := c.assign("sleep", `{"ms": 1500}`)
	c.settle()
	c.cut()
	old := c.session
	c = s.connection(back)
	if c.hello.Session != old.Session || c.hello.Resume != old.Resume {
		s.fail("expected a hello with session %s and its secret, got session %q", old.Session, c.hello.Session)
	}
	c.lists(done, runs)
	c.welcome(resumed(c.hello))
	c.succeeded(done, `"done"`)
	c.ack(done)
	c.succeeded(runs, `{"slept_ms": 1500}`)
	c.ack(runs)
	c.echo(`1`)
}

// lists makes sure that the hello has exactly these attempts as running.
func (c *conn) lists(want ...protocol.AttemptRef) {
	got := slices.DeleteFunc(slices.Clone(c.hello.Running), func(r protocol.AttemptRef) bool { return c.stray[r] })
	if refNames(got) != refNames(want) {
		c.scene.fail("expected a hello with running: %s, got: %s", refNames(want), refNames(got))
	}
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// transportCases are section 1.
var transportCases = []Case{
	{Name: "several-objects", Rule: "1: a frame holds one or more objects, separated by newlines", play: func(s *scene) {
		c := s.connection(arrival)
		welcome := c.prepareWelcome()
		one, two := c.newAttempt("echo", `"one"`), c.newAttempt("echo", `"two"`)
		c.send(welcome, one)
		c.startPings()
		c.succeeded(refOf(one), `"one"`)
		c.send(protocol.Ack{Task: one.Task, Attempt: one.Attempt, Accepted: true}, two, protocol.Bare{Type: protocol.TypePing})
		c.succeeded(refOf(two), `"two"`)
		c.ack(refOf(two))
	}},
	{Name: "order", Rule: "1: the order of messages is kept: a cancel comes after the assign before it", play: func(s *scene) {
		c := s.first()
		a := c.newAttempt("sleep", `{"ms": 60000}`)
		c.send(a, protocol.Cancel{Task: a.Task, Attempt: a.Attempt, Reason: protocol.CancelRequested})
		c.stopped(refOf(a), "a cancel in the same frame")
		c.ack(refOf(a))
		c.echo(`1`)
	}},
	{Name: "unknown-type", Rule: "1: a message of an unknown type is ignored; the connection stays", play: func(s *scene) {
		c := s.first()
		c.sendText([]byte(`{"type":"weather","task":"x","attempt":"seven","sky":{"clouds":[]}}`))
		c.sendText([]byte(`{"type":"weather"}` + "\n" + `{"type":"ping"}`))
		c.ping()
		c.echo(`1`)
	}},
	{Name: "unknown-fields", Rule: "1: unknown fields are ignored, in every message", play: func(s *scene) {
		const more = `"mood":{"good":[true,null]},"revision":7,"notes":""`
		c := s.connection(arrival)
		c.sendText(with(c.prepareWelcome(), more))
		c.startPings()
		a := c.newAttempt("echo", `"x"`)
		c.sendText(with(a, more))
		c.succeeded(refOf(a), `"x"`)
		c.sendText(with(protocol.Ack{Task: a.Task, Attempt: 1, Accepted: true}, more))
		b := c.assign("sleep", `{"ms": 1000}`)
		c.sendText(with(protocol.Cancel{Task: b.Task, Attempt: 1, Reason: protocol.CancelRequested}, more))
		c.result(b, answer)
		c.ack(b)
		c.sendText(with(protocol.Groups{Groups: []string{group}}, more))
		c.sendText(with(protocol.Error{Code: "bad_field", Message: "nothing is wrong"}, more))
		c.sendText(with(protocol.Bare{Type: protocol.TypePing}, more))
		c.ping()
		c.cut()
		s.connection(back).lists()
	}},
	{Name: "exact-names", Rule: "1: names are exact: Attempt is not attempt but an unknown field", play: func(s *scene) {
		c := s.first()
		a := c.newAttempt("echo", `"x"`)
		c.sendText(with(a, `"Attempt":7,"TASK":"other","Input":"y","KIND":3`))
		c.succeeded(refOf(a), `"x"`)
		c.ack(refOf(a))
	}},
	{Name: "big-frame", Rule: "1: input and output are up to 1 MiB each, a frame up to max_message_bytes", play: func(s *scene) {
		c := s.first()
		big := bigString(protocol.MaxPayloadBytes)
		one := c.newAttempt("echo", big)
		if c.hello.Slots == 1 {
			c.send(one)
			c.succeeded(refOf(one), big)
			c.ack(refOf(one))
			return
		}
		two := c.newAttempt("echo", big)
		c.send(one, two)
		c.succeeded(refOf(one), big)
		c.succeeded(refOf(two), big)
		c.ack(refOf(one))
		c.ack(refOf(two))
	}},
	{Name: "frame-limit", Rule: "1: no frame is above max_message_bytes of the newest welcome, however much waits", play: func(s *scene) {
		c := s.first()
		part := bigString(40_000)
		var all []protocol.AttemptRef
		for range 3 {
			a := c.assign("echo", part)
			c.succeeded(a, part)
			all = append(all, a)
		}
		c.cut()
		c = s.connection(back)
		c.welcome(resumed(c.hello), func(w *protocol.Welcome) { w.MaxMessageBytes = 64 << 10 })
		for _, a := range all {
			c.succeeded(a, part)
			c.ack(a)
		}
		c.echo(`1`)
	}},
	{Name: "any-json", Rule: "3: input is any JSON, and comes back as it was", play: func(s *scene) {
		c := s.first()
		for _, input := range []string{
			`null`, `false`, `0`, `-0.5e-300`, `1.7976931348623157e308`, `""`, `[]`, `{}`,
			`"Zoë \u2028 \u0000 \ud83d\ude00 \" \\ </b>"`, `[[[[[[[[]]]]]]]]`, `{"":{"type":"ping","task":null}}`, `"a\nb"`,
		} {
			c.echo(input)
		}
	}},
}

func refOf(a protocol.Assign) protocol.AttemptRef {
	return protocol.AttemptRef{Task: a.Task, Attempt: a.Attempt}
}

// bigString is a JSON string of a length in bytes.
func bigString(length int) string {
	return fmt.Sprintf(`"%0*d"`, length-2, 7)
}
