package failover

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// keepLost is how long a lost session is remembered, so that a late worker is
// told so rather than "unknown".
const keepLost = time.Hour

// sweepSessions ends graces that nobody used, where the server that was to do it
// is gone, and takes their tasks back.
func (r *Runner) sweepSessions(ctx context.Context) error {
	now := time.Now()
	ended, err := r.Sessions.List(ctx, workers.Filter{States: []workers.State{workers.Grace}, GraceEnded: now, Limit: 1000})
	if err != nil {
		return err
	}
	for _, s := range ended {
		lost, ok, err := r.Sessions.Lose(ctx, s.ID, s.Epoch, now)
		if err != nil {
			return err
		}
		if !ok {
			continue // resumed, or ended by its own server
		}
		if lost.Unexpected() {
			r.WorkerLost(lost)
		}
		err = r.Tasks.Lost(ctx, s.ID, tasks.Loss{
			LastHeard: lost.LastHeard, ByServer: lost.ByServer, Reason: "its worker did not come back in time",
		})
		if err != nil {
			return err // sweepOrphans takes it up
		}
	}
	_, err = r.Sessions.Forget(ctx, now.Add(-keepLost))
	return err
}
