package background

import "time"

// restTime is how long a goroutine waits for the next function before it ends.
const restTime = 10 * time.Second

// Crew runs functions as goroutines of their own would, but those are used again: the
// stack of a new one grows, and is copied, two or three times in dealing with a task's
// result, a twentieth of the server's time.
type Crew struct {
	work chan func()
	over <-chan struct{}
}

// NewCrew returns a crew whose goroutines end when they are idle and over is closed.
func NewCrew(over <-chan struct{}) *Crew { return &Crew{work: make(chan func()), over: over} }

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
	idle := time.NewTimer(restTime)
	defer idle.Stop()
	for {
		f()
		idle.Reset(restTime)
		select {
		case f = <-c.work:
		case <-idle.C:
			return
		case <-c.over:
			return
		}
	}
}
