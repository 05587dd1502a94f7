package dispatch

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
)

const (
	refillPortion = 1000            // tasks at once
	missingAfter  = 2 * time.Second // a due task stamped longer ago is missed in an empty queue
)

// refill looks at those queues whose turn it is: one that has run dry at once
// and then every times.refill, one with work every second, as it may overflow.
// None is looked at twice in a second.
func (c *consumer) refill(ctx context.Context) {
	now, empty := time.Now(), c.gate.empties()
	var due [queue.Lanes]bool
	for i := range due {
		wait := c.times.refillBusy
		if empty[i] && c.stamps.sameSince(i, c.asked[i]) {
			wait = c.times.refill
		}
		due[i] = now.Sub(c.asked[i]) >= wait
	}
	if due == ([queue.Lanes]bool{}) {
		return
	}
	states, err := c.queue.States(ctx, c.pair)
	if err != nil {
		return // Redis is away; the gate says so
	}
	for i, pr := range tasks.Priorities {
		if !due[i] {
			continue
		}
		ours, err := c.refillQueue(ctx, pr, states[i])
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "refill", "error", err)
		}
		if ours || err != nil { // else again at the next tick
			c.asked[i] = now
		}
	}
}

// refillQueue puts back what the store holds and the queue lacks, under the lock
// that lets one server do it at a time; ours is false where another has it.
func (c *consumer) refillQueue(ctx context.Context, pr tasks.Priority, s queue.State) (ours bool, err error) {
	dry := s.Len == 0 && !s.Paused && refills
	if !dry && !(s.Overflow && c.queue.Low(s)) {
		return true, nil
	}
	release, ours, err := c.queue.RefillLock(ctx, c.pair, pr)
	if err != nil || !ours {
		return false, err
	}
	defer release()
	var before time.Time
	if dry {
		before = time.Now().Add(-missingAfter)
	}
	// More than one portion while the lock is surely ours, as workers take meanwhile.
	for began := time.Now(); ; {
		n, err := c.tasks.Refill(ctx, c.pair, pr, before, refillPortion)
		if err != nil {
			return true, err
		}
		if n == 0 && s.Overflow {
			return true, c.queue.MarkClear(ctx, c.pair, pr)
		}
		if n < refillPortion || time.Since(began) >= time.Second {
			return true, nil
		}
		states, err := c.queue.States(ctx, c.pair)
		if s = states[queue.Lane(pr)]; err != nil || !c.queue.Low(s) {
			return true, err
		}
	}
}
