package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
)

// auditSlack is how much older than the last entry out a due task's stamp must
// be to count as lost: servers' clocks and handlers differ by less.
const auditSlack = 5 * time.Second

// stamps knows the stamp of the last entry out of each queue.
type stamps struct {
	mu   sync.Mutex
	last [queue.Lanes]time.Time // its stamp
	at   [queue.Lanes]time.Time // when it came out
}

func (s *stamps) out(lane int, stamp time.Time) {
	s.mu.Lock()
	s.last[lane], s.at[lane] = stamp, time.Now()
	s.mu.Unlock()
}

// sameSince reports whether nothing came out of a queue since t.
func (s *stamps) sameSince(lane int, t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[lane].Before(t)
}

// since returns the last stamp out of a queue if it came out after t.
func (s *stamps) since(lane int, t time.Time) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[lane], s.at[lane].After(t)
}

// auditAge finds what a queue that never runs dry has lost. Entries leave in the
// order of their stamps, so a due task stamped well before the last one out is
// not in the queue any more. Of a queue that overflows, those never stamped wait
// for refill: the window is full, and they would hide the lost ones.
func (c *consumer) auditAge(ctx context.Context) {
	began := time.Now().Add(-c.times.audit)
	states, err := c.queue.States(ctx, c.pair)
	if err != nil {
		return // Redis is away; the gate says so
	}
	for i, pr := range tasks.Priorities {
		last, ok := c.stamps.since(i, began)
		if !ok {
			continue // nothing moves: it is empty, which refill sees, or paused
		}
		// Without the lock, which a busy refill may hold for long: the stamps are
		// set by compare-and-set, so a second server finds nothing to do.
		missing := c.tasks.Refill
		if states[i].Overflow {
			missing = c.tasks.Restamp
		}
		_, err := missing(ctx, c.pair, pr, last.Add(-auditSlack), refillPortion)
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "age audit", "error", err)
		}
	}
}
