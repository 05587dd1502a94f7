package failover

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/workers"
)

// serverWatch notices servers whose heartbeat stands still, by this server's own
// clock, and puts their sessions into grace. Every server watches, so that
// whoever holds the lease knows at once.
type serverWatch struct {
	r *Runner

	mu   sync.Mutex // guards seen
	seen map[string]sighting
}

// sighting is a heartbeat and when it was first seen.
type sighting struct {
	beat  int64
	since time.Time
}

func newServerWatch(r *Runner) *serverWatch {
	return &serverWatch{r: r, seen: map[string]sighting{}}
}

func (w *serverWatch) run(ctx context.Context) error {
	servers, err := w.r.Cluster.Servers(ctx)
	if err != nil || w.r.beat.late() {
		// Who cannot read the others' heartbeats, or write his own, cannot tell
		// who is dead: after a store's outage everybody gets his time again.
		w.forget()
		return err
	}
	stale := w.observe(servers, time.Now())
	if len(stale) == 0 {
		return nil
	}
	if _, ok := w.r.holds(ctx, "servers", time.Second); !ok {
		return nil
	}
	var errs []error
	for _, id := range stale {
		errs = append(errs, w.bury(ctx, id))
	}
	return errors.Join(errs...)
}

func (w *serverWatch) forget() {
	w.mu.Lock()
	clear(w.seen)
	w.mu.Unlock()
}

// observe notes the heartbeats and returns the ids of servers that stand still.
func (w *serverWatch) observe(servers []workers.Server, now time.Time) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	fresh := make(map[string]sighting, len(servers))
	var stale []string
	for _, s := range servers {
		was, known := w.seen[s.ID]
		if !known || was.beat != s.Beat {
			was = sighting{s.Beat, now}
		}
		fresh[s.ID] = was
		if s.ID != w.r.Server.ID && now.Sub(was.since) >= staleAfter {
			stale = append(stale, s.ID)
		}
	}
	w.seen = fresh
	return stale
}

// bury gives the sessions of a dead server their grace and forgets the server.
func (w *serverWatch) bury(ctx context.Context, id string) error {
	sessions, err := w.r.Sessions.List(ctx, workers.Filter{Server: id, States: []workers.State{workers.Connected}})
	if err != nil {
		return err
	}
	w.r.Log.WarnContext(ctx, "server is dead", "server", id, "sessions", len(sessions))
	if err := PartAll(ctx, w.r.Sessions, sessions, w.r.Grace); err != nil {
		return err
	}
	w.r.ServerLost()
	return w.r.Cluster.RemoveServer(ctx, id)
}

// PartAll puts sessions that a server lost into grace.
func PartAll(ctx context.Context, store workers.Store, sessions []workers.Session, grace time.Duration) error {
	until := time.Now().Add(grace)
	for _, s := range sessions {
		if _, err := store.Part(ctx, s.ID, s.Epoch, until, s.LastHeard, true); err != nil {
			return err
		}
	}
	return nil
}
