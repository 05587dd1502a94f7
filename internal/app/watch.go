package app

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/metrics"
)

// watch shows the parts to the metrics.
func (a *App) watch() {
	a.metrics.Watch(metrics.Parts{
		Clients: a.live.Clients, WriteDelay: a.store.QueueDelay, Writes: a.store.Writes, Unaudited: a.audit.Failed,
		Redis: a.redis.Ping,
		Workers: func() (w metrics.Workers) {
			for _, s := range a.hub.Snapshot() {
				w.Sessions++
				w.Slots += s.Slots
				w.Busy += len(s.Open)
			}
			return w
		},
		Tasks: func(ctx context.Context) (metrics.Tasks, error) {
			o, err := a.store.Overview(ctx, time.Now())
			return metrics.Tasks{Scheduled: o.Scheduled, Queued: o.Queued, Running: o.Running}, err
		},
	})
}
