// Package failover is what runs by the clock: heartbeats, lost servers and
// sessions, deadlines, unanswered cancels, parents, retention. One short file
// for each job. Every server schedules all of them; those that concern the whole
// installation run only where the job's lease in the store is held.
package failover

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/firmlight/firmlight/internal/groups"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// Times that belong together: a server that cannot write its heartbeat stops
// claiming (stallAfter) before others declare it dead (staleAfter).
const (
	beatEvery  = 2 * time.Second
	stallAfter = 4 * time.Second
	staleAfter = 6 * time.Second
	leaseTime  = 5 * time.Second
	jobTimeout = time.Minute
)

// Hub is what the jobs need of this server's sessions.
type Hub interface {
	// Stalled stops (true) or allows reservations of slots.
	Stalled(bool)
	// DropForeign closes the sessions that the store says are no longer ours.
	DropForeign(ctx context.Context) error
	// Snapshot lists the sessions connected here.
	Snapshot() []workers.SessionInfo
	// Knows lists a session's open attempts and claims under way.
	Knows(session string) map[protocol.AttemptRef]bool
}

// Deps are what the jobs stand on.
type Deps struct {
	Server   workers.Server // this process; Beat is filled in
	Tasks    *tasks.Service
	Sessions workers.Store
	Cluster  workers.Cluster
	Hub      Hub
	Grace    time.Duration // of a session whose server died
	// KeepMetadata is how long ended tasks stay listed.
	KeepMetadata time.Duration
	// PruneStats removes hourly statistics from before a time.
	PruneStats func(ctx context.Context, before time.Time) error
	// SweepLogins deletes logins and tokens that have expired.
	SweepLogins func(ctx context.Context) (int64, error)
	// PruneAudit deletes the entries of the audit log whose retention is over.
	PruneAudit func(ctx context.Context) error
	// Devices, their events as long as KeepEvents.
	Devices    *devsync.Service
	KeepEvents time.Duration
	// SweepNotifications deletes old notifications.
	SweepNotifications func(ctx context.Context) error
	// ServerLost is called when another server is found dead: what it had to tell is
	// lost. It must not block.
	ServerLost func()
	// WorkerLost is told of sessions that were lost to a fault of their worker or
	// the line. It must not block.
	WorkerLost func(s workers.Session)
	// Tombstones are the deleted groups; RemoveQueues takes their queues away.
	Tombstones   groups.TombstoneStore
	RemoveQueues func(ctx context.Context, groups ...string) error
	Log          *slog.Logger
}

// job is one scheduled function. Alone means on one server of all at a time.
type job struct {
	name  string
	every time.Duration
	alone bool
	run   func(ctx context.Context) error
}

// Runner schedules the jobs between Start and Stop.
type Runner struct {
	Deps
	cron    *cron.Cron
	watcher *serverWatch
	beat    *heartbeat
	deleted chan struct{} // holds one when a group was deleted here

	mu     sync.Mutex // guards leases
	leases map[string]lease
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New returns a Runner.
func New(d Deps) *Runner {
	r := &Runner{Deps: d, leases: map[string]lease{}, deleted: make(chan struct{}, 1)}
	r.cron = cron.New()
	r.watcher = newServerWatch(r)
	r.beat = newHeartbeat(r)
	return r
}

func (r *Runner) jobs() []job {
	return []job{
		{"heartbeat", beatEvery, false, r.beat.run},
		{"servers", time.Second, false, r.watcher.run},
		{"sessions", time.Second, true, r.sweepSessions},
		{"orphans", beatEvery, true, r.sweepOrphans},
		{"audit", 5 * time.Second, false, r.auditOwn},
		{"deadlines", time.Second, true, r.Tasks.TimeOutOverdue},
		{"cancels", time.Second, true, r.Tasks.EndUnansweredCancels},
		{"parents", beatEvery, true, r.Tasks.MoveParents},
		{"unstarted", 10 * time.Second, true, r.Tasks.ExpireUnstarted},
		{"deleted groups", sweepGroupsEvery, true, r.sweepGroups},
		{"payloads", 10 * time.Second, true, r.Tasks.DropExpired},
		{"alerts", beatEvery, true, r.Devices.TellNews},
		{"silence", 30 * time.Second, true, r.Devices.OpenSilent},
		{"events", time.Minute, true, func(ctx context.Context) error { return r.Devices.DropOld(ctx, r.KeepEvents) }},
		{"retention", time.Hour, true, r.retention},
		{"audit-log", time.Hour, true, r.PruneAudit},
	}
}

// Start beats once, so that this server counts as alive before it serves, and
// schedules the jobs.
func (r *Runner) Start(ctx context.Context) error {
	if err := r.beat.run(ctx); err != nil {
		return err
	}
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, j := range r.jobs() {
		r.cron.Schedule(cron.Every(j.every), cron.NewChain(cron.SkipIfStillRunning(cron.DiscardLogger)).Then(
			cron.FuncJob(func() { r.runJob(ctx, j) })))
	}
	r.cron.Start()
	r.wg.Go(func() { r.watchDeleted(ctx) })
	return nil
}

// Stop ends the jobs, waits for those that run, and takes the heartbeat back.
func (r *Runner) Stop(ctx context.Context) error {
	if r.cancel == nil {
		return nil
	}
	done := r.cron.Stop()
	r.cancel()
	select {
	case <-done.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	r.wg.Wait()
	return r.Cluster.RemoveServer(ctx, r.Server.ID)
}

func (r *Runner) runJob(ctx context.Context, j job) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	if j.alone {
		r.runAlone(ctx, j)
		return
	}
	r.attempt(ctx, j)
}

func (r *Runner) attempt(ctx context.Context, j job) {
	if err := j.run(ctx); err != nil && ctx.Err() == nil {
		r.Log.WarnContext(ctx, "job failed, will run again", "job", j.name, "error", err)
	}
}
