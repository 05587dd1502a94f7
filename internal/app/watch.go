package app

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/metrics"
	"github.com/firmlight/firmlight/internal/tasks"
)

// watchedQueues is of how many queues a scrape asks how long they wait.
const watchedQueues = 100

// watch shows the parts to the metrics.
func (a *App) watch() {
	a.metrics.Watch(metrics.Parts{
		Clients: a.live.Clients, WriteDelay: a.store.QueueDelay, Writes: a.store.Writes, Unaudited: a.audit.Failed,
		Spans: a.tracing.Spans,
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
		Queues: func(ctx context.Context) ([]tasks.QueueState, error) {
			return a.store.LongestQueues(ctx, watchedQueues, time.Now())
		},
	})
}
