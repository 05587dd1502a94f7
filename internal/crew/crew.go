// Package crew runs short functions on goroutines that are used again.
package crew

import "time"

// rest is how long a goroutine waits for the next function before it ends.
const rest = 10 * time.Second

// Crew is what starting a goroutine for each function would be, but that one which
// has been used has a stack that is large enough: a new one's grows, and is copied, two
// or three times on the way of a task through a server, a twentieth of its time.
type Crew struct {
	work chan func()
	over <-chan struct{}
}

// New returns a crew whose goroutines end when they are idle and over is closed.
func New(over <-chan struct{}) *Crew { return &Crew{work: make(chan func()), over: over} }

// Go runs f at once, on a goroutine that rests or else on a new one, also when the crew is
// over.
func (c *Crew) Go(f func()) {
	select {
	case c.work <- f:
	default:
		go c.member(f)
	}
}

func (c *Crew) member(f func()) {
	idle := time.NewTimer(rest)
	defer idle.Stop()
	for {
		f()
		f = nil // or it would be kept as long as nothing follows
		idle.Reset(rest)
		select {
		case f = <-c.work:
		case <-idle.C:
			return
		case <-c.over:
			return
		}
	}
}
