package conformance

import (
	"fmt"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// livenessCases are section 5.
var livenessCases = []Case{
	{Name: "ping", Rule: "5: ping is answered with pong at once, also while all slots are taken", play: func(s *scene) {
		c := s.first()
		for range c.hello.Slots {
			c.assign("sleep", `{"ms": 60000}`)
		}
		for range 3 {
			c.ping()
		}
	}},
	{Name: "any-frame-is-life", Rule: "5: any frame counts as life, not only pings", play: func(s *scene) {
		c := s.connection(arrival)
		c.send(c.prepareWelcome(quick)) // and no pings
		for range 8 {
			c.silent(500*time.Millisecond, "while other messages come")
			c.send(protocol.Groups{Groups: []string{group}})
		}
		c.echo(`1`)
	}},
	{Name: "silent-server", Rule: "5: a connection on which nothing came for timeout_ms is lost; the worker comes back and resumes", play: func(s *scene) {
		c := s.first(quick)
		a := c.assign("sleep", `{"ms": 60000}`)
		c.settle()
		c.stopPings()
		began := time.Now()
		c = s.connection(2*time.Second + back)
		if d := time.Since(began); d < 900*time.Millisecond {
			s.fail("expected the worker to stay for timeout_ms (2000 ms, pings every 500 ms), but it came again after %s", d.Round(time.Millisecond))
		}
		c.lists(a)
	}},
	{Name: "keeps-trying", Rule: "6: after a loss the first try comes at once, then at least one a second for 10 s", play: playKeepsTrying},
}

// quick are times that make a case short.
func quick(w *protocol.Welcome) { w.PingMS, w.TimeoutMS = 500, 2000 }

func playKeepsTrying(s *scene) {
	const tries = 5
	c := s.first()
	s.shutDoor(true)
	began := time.Now()
	c.cut()
	timer := time.NewTimer(tries * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
	// The first at once and then one a second; a busy machine may cost one of them.
	if n := len(s.knocksSince(began)); n < tries-1 {
		s.fail("expected at least %d tries in %d s, while the server answered 503, got %d", tries-1, tries, n)
	}
	s.shutDoor(false)
	s.again().echo(`1`)
}

// closingCases are section 6.
func closingCases() []Case {
	cases := []Case{{
		Name: "close-1009", Rule: "6: 1009: the worker comes back with a failed result, message_too_large, instead of the largest message",
		play: func(s *scene) {
			c := s.first()
			input := bigString(100_000)
			a := c.assign("echo", input)
			c.succeeded(a, input)
			c.close(protocol.CloseTooLarge)
			c = s.connection(back)
			c.lists(a)
			c.welcome(resumed(c.hello))
			r := c.result(a, answer)
			if r.Status != protocol.Failed || r.Error.Code != "message_too_large" || r.Error.Retryable {
				s.fail("expected a result failed with code message_too_large, not retryable, got %s", describe(r))
			}
			c.ack(a)
			c.echo(`1`)
		},
	}}
	for _, code := range []int{protocol.CloseMalformed, protocol.CloseUnauthorized, protocol.CloseGroup, protocol.CloseResumed, 4450} {
		cases = append(cases, Case{
			Name: fmt.Sprintf("close-%d", code), Rule: fmt.Sprintf("6: after %d the worker never connects again", code),
			play: func(s *scene) {
				s.first().close(code)
				s.nobody(away, fmt.Sprintf("after close code %d", code))
			},
		})
	}
	for _, code := range []int{protocol.CloseGoingAway, protocol.CloseInternal, protocol.CloseSilent, protocol.CloseSlow, 4999} {
		cases = append(cases, comesBack(code, 0, back, "at once, or nearly"))
	}
	for _, code := range []int{protocol.CloseTooMany, protocol.CloseDisconnected} {
		cases = append(cases, comesBack(code, 5*time.Second, 20*time.Second, "after at least 5 s"))
	}
	return cases
}

// comesBack is a case of a close code after which the worker connects again.
func comesBack(code int, least, most time.Duration, when string) Case {
	return Case{
		Name: fmt.Sprintf("close-%d", code), Rule: fmt.Sprintf("6: after %d the worker connects again, %s", code, when),
		play: func(s *scene) {
			c := s.first()
			began := time.Now()
			c.close(code)
			c = s.connection(most)
			if d := time.Since(began); d < least {
				s.fail("expected the worker to wait at least %s after %d, it came after %s", least, code, d.Round(time.Millisecond))
			}
			c.welcome()
			c.echo(`1`)
		},
	}
}
