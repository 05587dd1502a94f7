package workers

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// While the store is away a loss is tried again, with growing pauses.
const (
	firstRetry = 100 * time.Millisecond
	longRetry  = 2 * time.Second
)

// lose takes a session whose connection has ended from connected to lost
// (docs/state-machine.md, Session): at once if the worker left, else through
// the grace, in which it may resume. Cron does the same for servers that die
// in between.
func (h *Hub) lose(p *peer, e ending, at time.Time) {
	heard := p.lastHeard().UTC().Truncate(time.Millisecond)
	var until time.Time // zero: no grace
	if e.left {
		// Results that came before the worker left are dealt with first.
		select {
		case <-p.in.idle:
		case <-time.After(h.o.Grace):
		}
	} else {
		parted, ok := h.startGrace(p, e, heard)
		if !ok {
			return
		}
		until = parted
		p.mu.Lock()
		groups, kinds := p.session.Groups, p.session.Kinds
		p.mu.Unlock()
		h.changed(groups, kinds) // for those who list workers: only now the store has it
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-h.stopping.Done():
			return
		}
	}
	var s Session
	var lost bool
	done := h.insist(p, "lose session", func(ctx context.Context) (err error) {
		s, lost, err = h.o.Store.Lose(ctx, p.id, p.epoch, until)
		return err
	})
	if !done || !lost {
		return // resumed, or cron was first
	}
	h.changed(s.Groups, s.Kinds) // as above
	p.logger().Info("session lost", "reason", e.loss, "after", time.Since(at).Round(time.Millisecond))
	if h.o.OnLost != nil && s.Unexpected() && !e.left && !e.revoked {
		h.o.OnLost(s)
	}
	h.insist(p, "take back tasks of lost session", func(ctx context.Context) error {
		return h.o.Tasks.Lost(ctx, p.id, tasks.Loss{
			LastHeard: heard, ByServer: e.byServer || s.ByServer && !e.left, Cause: e.cause, Reason: e.loss,
		})
	})
}

// startGrace moves the session to grace. The grace counts from the moment the
// store has it: before that nobody could resume.
func (h *Hub) startGrace(p *peer, e ending, heard time.Time) (until time.Time, ok bool) {
	done := h.insist(p, "part session", func(ctx context.Context) (err error) {
		until = time.Now().UTC().Truncate(time.Millisecond).Add(h.o.Grace)
		ok, err = h.o.Store.Part(ctx, p.id, p.epoch, until, heard, e.byServer)
		return err
	})
	return until, done && ok
}

// insist calls f until it succeeds or the hub has stopped.
func (h *Hub) insist(p *peer, what string, f func(context.Context) error) bool {
	for pause := firstRetry; ; pause = min(2*pause, longRetry) {
		err := f(h.life)
		if err == nil {
			return true
		}
		if h.life.Err() != nil {
			return false
		}
		p.logger().Warn("store is away, trying again", "what", what, "error", err)
		select {
		case <-time.After(pause):
		case <-h.life.Done():
			return false
		}
	}
}
