package failover

import (
	"context"
	"sync"
	"time"
)

// heartbeat writes that this server lives. When it could not for stallAfter, the
// server gives out no slots; once it can again, it lets go of sessions that
// others took over meanwhile.
type heartbeat struct {
	r *Runner

	mu      sync.Mutex // guards the rest
	beat    int64
	last    time.Time
	stalled bool
}

func newHeartbeat(r *Runner) *heartbeat { return &heartbeat{r: r, last: time.Now()} }

// late reports whether this server's heartbeat is overdue.
func (h *heartbeat) late() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.last) > stallAfter
}

func (h *heartbeat) run(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.r.Server
	started := time.Now()
	s.Beat, s.BeatAt = h.beat+1, started
	late := started.Sub(h.last) > stallAfter
	by := h.last.Add(stallAfter) // a store that hangs must not hold up the stall
	if late {
		by = started.Add(stallAfter)
		h.r.Hub.Stalled(true) // before the write, which others may count as life
		h.stalled = true
	}
	beat, cancel := context.WithDeadline(ctx, by)
	defer cancel()
	if err := h.r.Cluster.Beat(beat, s); err != nil {
		if time.Since(h.last) >= stallAfter {
			h.r.Hub.Stalled(true)
			h.stalled = true
		}
		return err
	}
	h.beat, h.last = s.Beat, started
	if h.stalled {
		ctx, cancel := context.WithTimeout(ctx, stallAfter)
		defer cancel()
		if err := h.r.Hub.DropForeign(ctx); err != nil {
			return err
		}
		h.r.Log.WarnContext(ctx, "heartbeat is back; sessions taken over meanwhile were closed")
		h.stalled = false
		h.r.Hub.Stalled(false)
	}
	return nil
}
