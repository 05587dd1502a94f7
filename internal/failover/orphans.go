package failover

import (
	"context"
	"slices"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// sweepOrphans takes back running tasks whose session is lost or unknown, or has
// a newer epoch, so that a crash between two steps heals. Sessions of servers
// that are no longer listed, which nobody watches, get their grace.
func (r *Runner) sweepOrphans(ctx context.Context) error {
	owned, err := r.Tasks.Owned(ctx)
	if err != nil || len(owned) == 0 {
		return err
	}
	ids := make([]string, 0, len(owned))
	for _, o := range owned {
		ids = append(ids, o.Session)
	}
	sessions, err := r.Sessions.Sessions(ctx, ids...)
	if err != nil {
		return err
	}
	if err := r.partUnwatched(ctx, sessions); err != nil {
		return err
	}
	known := make(map[string]workers.Session, len(sessions))
	for _, s := range sessions {
		known[s.ID] = s
	}
	for _, o := range owned {
		s, found := known[o.Session]
		switch {
		case !found || s.State == workers.Lost:
			err = r.Tasks.Lost(ctx, o.Session, tasks.Loss{
				LastHeard: s.LastHeard, ByServer: s.ByServer, Reason: "its worker's session had ended",
			})
		case o.Epoch < s.Epoch:
			err = r.Tasks.LostEpochs(ctx, o.Session, s.Epoch)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// partUnwatched puts connected sessions of unknown servers into grace. A server
// is listed before its first session, so the list is read after the sessions.
func (r *Runner) partUnwatched(ctx context.Context, sessions []workers.Session) error {
	servers, err := r.Cluster.Servers(ctx)
	if err != nil {
		return err
	}
	listed := make(map[string]bool, len(servers))
	for _, s := range servers {
		listed[s.ID] = true
	}
	left := slices.DeleteFunc(slices.Clone(sessions), func(s workers.Session) bool {
		return s.State != workers.Connected || listed[s.Server]
	})
	return PartAll(ctx, r.Sessions, left, r.Grace)
}
