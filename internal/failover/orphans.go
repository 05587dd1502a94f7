package failover

import (
	"context"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// sweepOrphans takes back running tasks whose session is lost or unknown, or has
// a newer epoch, so that a crash between two steps heals.
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
