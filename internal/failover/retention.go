package failover

import (
	"context"
	"time"
)

// retention deletes expired logins, old notifications, the metadata of tasks that ended long ago, and
// hourly statistics older than that; daily ones stay for good.
func (r *Runner) retention(ctx context.Context) error {
	if _, err := r.SweepLogins(ctx); err != nil {
		return err
	}
	if err := r.SweepNotifications(ctx); err != nil {
		return err
	}
	before := time.Now().Add(-r.KeepMetadata)
	if err := r.Tasks.DeleteOld(ctx, before); err != nil {
		return err
	}
	return r.PruneStats(ctx, before)
}
