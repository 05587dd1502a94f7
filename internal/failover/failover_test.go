package failover

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/store/sqlite"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a Runner on the real embedded store, with the hub and the queue as
// the test plays them.
type fixture struct {
	*Runner
	t       *testing.T
	store   *sqlite.DB
	hub     *hub
	cluster *cluster
	told    []string // sessions of lost workers
	buried  int      // servers that were found dead
	removed []string // groups whose queues are gone
	away    error    // what removing queues returns
}

func (f *fixture) removeQueues(_ context.Context, groups ...string) error {
	if f.away == nil {
		f.removed = append(f.removed, groups...)
	}
	return f.away
}

// cluster is the store's, with a switch that makes its heartbeat fail.
type cluster struct {
	workers.Cluster
	away error
}

func (c *cluster) Beat(ctx context.Context, s workers.Server) error {
	if c.away != nil {
		return c.away
	}
	return c.Cluster.Beat(ctx, s)
}

type hub struct {
	stalled  bool
	dropped  int
	sessions []workers.SessionInfo
	known    map[protocol.AttemptRef]bool
}

func (h *hub) Stalled(s bool)                            { h.stalled = s }
func (h *hub) DropForeign(context.Context) error         { h.dropped++; return nil }
func (h *hub) Snapshot() []workers.SessionInfo           { return h.sessions }
func (h *hub) Knows(string) map[protocol.AttemptRef]bool { return h.known }

type noQueue struct{}

func (noQueue) Admits(context.Context, tasks.Pair, tasks.Priority) bool { return true }
func (noQueue) Push(context.Context, ...tasks.Ticket) error             { return nil }

type noEvents struct{}

func (noEvents) TaskChanged(tasks.Task)                 {}
func (noEvents) TaskProgress(tasks.Task)                {}
func (noEvents) TaskLogged(tasks.Task, []tasks.LogLine) {}

type noWorkers struct{}

func (noWorkers) Cancel(tasks.Task, string)                                   {}
func (noWorkers) Connected(context.Context, string, string) ([]string, error) { return nil, nil }

func setUp(t *testing.T) *fixture {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db := sqlitetest.Open(t)
	service := tasks.NewService(tasks.Deps{
		Store: db, Payloads: db, Counts: db, Queues: db, Queue: noQueue{}, Events: noEvents{}, Workers: noWorkers{},
		Kinds: workload.Builtin(workload.Options{}), Server: "here", Logger: log,
		GroupExists: func(context.Context, string) error { return nil },
	})
	f := &fixture{t: t, store: db, hub: &hub{}, cluster: &cluster{Cluster: db}}
	f.Runner = New(Deps{
		Server: workers.Server{ID: "here", Started: time.Now()}, Tasks: service, Sessions: db.Sessions(),
		Cluster: f.cluster, Hub: f.hub, Grace: time.Second, KeepMetadata: 24 * time.Hour,
		PruneStats:         db.PruneStats,
		SweepLogins:        func(context.Context) (int64, error) { return 0, nil },
		SweepNotifications: func(context.Context) error { return nil },
		WorkerLost:         func(s workers.Session) { f.told = append(f.told, s.ID) }, Log: log,
		ServerLost: func() { f.buried++ },
		Devices:    devsync.NewService(devsync.Options{Store: db, Now: time.Now}),
		Tombstones: db, RemoveQueues: f.removeQueues,
	})
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// session opens a session of a server.
func (f *fixture) session(id, server string) workers.Session {
	f.t.Helper()
	s, err := f.Sessions.Open(f.t.Context(), workers.Session{
		ID: id, Name: id, Owner: "user", Token: "token", Server: server, SecretHash: "h",
		Groups: []string{"group"}, Kinds: []string{"k"}, Slots: 1, ConnectedAt: time.Now(),
	})
	must(f.t, err)
	return s
}

// running makes a task that a session runs.
func (f *fixture) running(session string, epoch int64) tasks.Task {
	f.t.Helper()
	out := f.Tasks.Submit(f.t.Context(), tasks.Submitter{User: "user", Group: "group"}, []tasks.Spec{{Kind: "k"}})
	must(f.t, out[0].Err)
	c, ok, err := f.Tasks.Claim(f.t.Context(), tasks.TicketOf(out[0].Task), tasks.Owner{
		Server: "there", Session: session, Epoch: epoch, Worker: "w", WorkerName: "w", User: "user",
	})
	must(f.t, err)
	if !ok {
		f.t.Fatal("not claimed")
	}
	return c.Task
}

func (f *fixture) status(t tasks.Task) tasks.Status {
	f.t.Helper()
	got, err := f.Tasks.Get(f.t.Context(), t.ID)
	must(f.t, err)
	return got.Status
}

func (f *fixture) state(id string) workers.State {
	f.t.Helper()
	ss, err := f.Sessions.Sessions(f.t.Context(), id)
	must(f.t, err)
	if len(ss) != 1 {
		f.t.Fatalf("session %s: %v", id, ss)
	}
	return ss[0].State
}

// TestStaleIsMeasuredByTheObserversClock: only standstill counts, not what the
// other server says of the time.
func TestStaleIsMeasuredByTheObserversClock(t *testing.T) {
	f := setUp(t)
	at := time.Now()
	beat := func(n int64) []workers.Server {
		return []workers.Server{{ID: "there", Beat: n, Started: at.Add(-time.Hour)}, {ID: "here", Beat: 1}}
	}
	for _, step := range []struct {
		after time.Duration
		beat  int64
		stale int
	}{
		{0, 7, 0}, {5 * time.Second, 7, 0}, {5500 * time.Millisecond, 8, 0},
		{11 * time.Second, 8, 0}, {11500 * time.Millisecond, 8, 1},
	} {
		if got := f.watcher.observe(beat(step.beat), at.Add(step.after)); len(got) != step.stale {
			t.Errorf("after %s: stale %v, want %d", step.after, got, step.stale)
		}
	}
}

func TestDeadServersSessionsGetGraceAndThenLoseTheirTasks(t *testing.T) {
	f := setUp(t)
	f.session("s", "there")
	task := f.running("s", 1)
	must(t, f.store.Beat(t.Context(), workers.Server{ID: "there", Beat: 1}))
	must(t, f.bury("there"))
	if f.buried != 1 {
		t.Errorf("%d losses of a server were told", f.buried)
	}
	if got := f.state("s"); got != workers.Grace {
		t.Fatalf("session is %s", got)
	}
	must(t, f.sweepSessions(t.Context()))
	if f.state("s") != workers.Grace || f.status(task) != tasks.Running {
		t.Fatal("its grace was not waited for")
	}
	ss, err := f.Sessions.Sessions(t.Context(), "s")
	must(t, err)
	if _, ok, err := f.Sessions.Lose(t.Context(), "s", ss[0].Epoch, ss[0].Until); !ok || err != nil {
		t.Fatal(ok, err) // as sweepSessions does once the time has come, then a crash
	}
	must(t, f.sweepOrphans(t.Context()))
	if got := f.status(task); got != tasks.Queued {
		t.Fatalf("the task of a lost session is %s", got)
	}
	again, err := f.Tasks.Get(t.Context(), task.ID)
	must(t, err)
	if again.Reassignments != 0 {
		t.Error("a loss that a server caused was counted")
	}
}

func (f *fixture) bury(id string) error { return f.watcher.bury(f.t.Context(), id) }

func TestGraceEndsInTime(t *testing.T) {
	f := setUp(t)
	s := f.session("s", "here")
	task := f.running("s", 1)
	_, err := f.Sessions.Part(t.Context(), "s", s.Epoch, time.Now().Add(-time.Millisecond), time.Now(), false)
	must(t, err)
	must(t, f.sweepSessions(t.Context()))
	if f.state("s") != workers.Lost || f.status(task) != tasks.Queued {
		t.Fatalf("session %s, task %s", f.state("s"), f.status(task))
	}
	must(t, f.sweepSessions(t.Context()))
	if !slices.Equal(f.told, []string{"s"}) {
		t.Errorf("told of the loss of %v", f.told)
	}
}

// TestLossesThatAreNoNews: the owner of a worker is not told that a server lost
// it, nor that it went after it said so.
func TestLossesThatAreNoNews(t *testing.T) {
	f := setUp(t)
	at := time.Now().Add(-time.Millisecond)
	draining := f.session("draining", "here")
	draining.Draining = true
	if ok, err := f.Sessions.Update(t.Context(), draining); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, s := range []workers.Session{draining, f.session("left by its server", "there")} {
		_, err := f.Sessions.Part(t.Context(), s.ID, s.Epoch, at, at, !s.Draining)
		must(t, err)
	}
	must(t, f.sweepSessions(t.Context()))
	if f.state("draining") != workers.Lost || f.state("left by its server") != workers.Lost || len(f.told) > 0 {
		t.Errorf("told of the loss of %v", f.told)
	}
}

func TestOrphans(t *testing.T) {
	f := setUp(t)
	f.session("live", "there")
	keeps, unknown := f.running("live", 1), f.running("nobody knows", 1)
	f.session("resumed", "there")
	old := f.running("resumed", 1)
	_, err := f.Sessions.Resume(t.Context(), workers.Session{ID: "resumed", Owner: "user", Name: "resumed", Server: "here", SecretHash: "h"})
	must(t, err)
	must(t, f.sweepOrphans(t.Context()))
	for task, want := range map[*tasks.Task]tasks.Status{&keeps: tasks.Running, &unknown: tasks.Queued, &old: tasks.Queued} {
		if got := f.status(*task); got != want {
			t.Errorf("task of session %q is %s, want %s", task.Session, got, want)
		}
	}
}

// TestAudit takes back what the hub does not know, once it is settled.
func TestAudit(t *testing.T) {
	f := setUp(t)
	s := f.session("s", "here")
	f.hub.sessions = []workers.SessionInfo{{Session: s}}
	known, forgotten := f.running("s", 1), f.running("s", 1)
	f.hub.known = map[protocol.AttemptRef]bool{{Task: known.ID, Attempt: 1}: true}
	must(t, f.auditOwn(t.Context()))
	if f.status(forgotten) != tasks.Running {
		t.Fatal("a claim that may be under way was taken back")
	}
	old := tasks.Transition{Task: forgotten.ID, Set: []tasks.Assign{
		tasks.Set(tasks.ColStartedAt, time.Now().UTC().Add(-2*settled)),
	}}
	if _, _, err := f.store.Apply(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	must(t, f.auditOwn(t.Context()))
	if f.status(forgotten) != tasks.Queued || f.status(known) != tasks.Running {
		t.Fatalf("forgotten %s, known %s", f.status(forgotten), f.status(known))
	}
}

// TestAuditLeavesASessionThatJustLeft: its connection ended between the audit's
// two looks, and it may resume.
func TestAuditLeavesASessionThatJustLeft(t *testing.T) {
	f := setUp(t)
	f.hub.sessions = []workers.SessionInfo{{Session: f.session("s", "here")}}
	task := f.running("s", 1)
	if _, _, err := f.store.Apply(t.Context(), tasks.Transition{Task: task.ID, Set: []tasks.Assign{
		tasks.Set(tasks.ColStartedAt, time.Now().UTC().Add(-2*settled)),
	}}); err != nil {
		t.Fatal(err)
	}
	must(t, f.auditOwn(t.Context()))
	if got := f.status(task); got != tasks.Running {
		t.Fatalf("the task is %s", got)
	}
}

// TestBlindServerBuriesNobody: while it cannot write its own heartbeat nobody
// else's may be written either.
func TestBlindServerBuriesNobody(t *testing.T) {
	f := setUp(t)
	f.session("s", "there")
	must(t, f.store.Beat(t.Context(), workers.Server{ID: "there", Beat: 1}))
	must(t, f.watcher.run(t.Context()))
	long := f.watcher.seen["there"]
	long.since = long.since.Add(-2 * staleAfter)
	f.watcher.seen["there"] = long
	f.beat.last = time.Now().Add(-2 * stallAfter)
	must(t, f.watcher.run(t.Context()))
	must(t, f.beat.run(t.Context())) // the store takes heartbeats again
	must(t, f.watcher.run(t.Context()))
	if got := f.state("s"); got != workers.Connected {
		t.Fatalf("the session of a server that may live is %s", got)
	}
	f.watcher.seen["there"] = long
	must(t, f.watcher.run(t.Context()))
	if got := f.state("s"); got != workers.Grace {
		t.Fatalf("the session of a dead server is %s", got)
	}
}

// TestSessionsOfUnlistedServersGetGrace: nobody watches a server that is not
// listed, so its sessions would stay connected for ever.
func TestSessionsOfUnlistedServersGetGrace(t *testing.T) {
	f := setUp(t)
	must(t, f.store.Beat(t.Context(), workers.Server{ID: "listed", Beat: 1}))
	f.session("left", "gone")
	f.session("lives", "listed")
	f.running("left", 1)
	f.running("lives", 1)
	must(t, f.sweepOrphans(t.Context()))
	if f.state("left") != workers.Grace || f.state("lives") != workers.Connected {
		t.Fatalf("left %s, lives %s", f.state("left"), f.state("lives"))
	}
}

// TestStalledServerClaimsNothing follows a heartbeat that cannot be written, in
// the time of synctest.
func TestStalledServerClaimsNothing(t *testing.T) {
	f := setUp(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeat(f.Runner)
		f.cluster.Cluster = noCluster{}
		beat := func(want error) {
			t.Helper()
			if err := h.run(t.Context()); !errors.Is(err, want) {
				t.Fatalf("beat: %v, want %v", err, want)
			}
		}
		beat(nil)
		f.cluster.away = errors.New("store away")
		<-time.After(3 * time.Second)
		beat(f.cluster.away)
		if f.hub.stalled {
			t.Fatal("stalled too early")
		}
		<-time.After(2 * time.Second)
		beat(f.cluster.away)
		if !f.hub.stalled {
			t.Fatal("still gives out slots after 5 s without a heartbeat")
		}
		f.cluster.away = nil
		<-time.After(2 * time.Second)
		beat(nil)
		if f.hub.stalled || f.hub.dropped != 1 {
			t.Fatalf("stalled %v, dropped %d times", f.hub.stalled, f.hub.dropped)
		}
	})
}

// TestHangingStoreStallsInTime: the stall does not wait for a write under way.
func TestHangingStoreStallsInTime(t *testing.T) {
	f := setUp(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeat(f.Runner)
		began := time.Now()
		f.cluster.Cluster = hangingCluster{}
		<-time.After(beatEvery)
		if err := h.run(t.Context()); err == nil || !f.hub.stalled || time.Since(began) != stallAfter {
			t.Fatalf("stalled %v after %s: %v", f.hub.stalled, time.Since(began), err)
		}
	})
}

type hangingCluster struct{ workers.Cluster }

func (hangingCluster) Beat(ctx context.Context, _ workers.Server) error {
	<-ctx.Done()
	return ctx.Err()
}

// noCluster keeps heartbeats nowhere, so that no real time is waited for.
type noCluster struct{ workers.Cluster }

func (noCluster) Beat(context.Context, workers.Server) error { return nil }

// TestJobsAreDoneByOneServer: the lease lets one of two servers through, and the
// other one once it has run out.
func TestJobsAreDoneByOneServer(t *testing.T) {
	f := setUp(t)
	other := New(f.Deps)
	other.Server.ID = "there"
	holds := func(r *Runner) bool { _, ok := r.holds(t.Context(), "job", time.Minute); return ok }
	if !holds(f.Runner) || holds(other) {
		t.Fatal("two servers hold one lease")
	}
	if !holds(f.Runner) {
		t.Fatal("the holder lost its lease")
	}
	now := time.Now().Add(time.Minute)
	if _, ok, err := f.Cluster.Lease(t.Context(), "job", "there", now, now.Add(leaseTime)); ok || err != nil {
		t.Fatalf("the lease was taken when the next run was due: %v", err)
	}
	now = now.Add(2 * leaseTime)
	fence, ok, err := f.Cluster.Lease(t.Context(), "job", "there", now, now.Add(leaseTime))
	if err != nil || !ok || fence < 2 {
		t.Fatal(fence, ok, err)
	}
}

// TestRunEndsWithItsLease: a job that takes long keeps its lease, and is cancelled
// when another server has it all the same.
func TestRunEndsWithItsLease(t *testing.T) {
	f := setUp(t)
	synctest.Test(t, func(t *testing.T) {
		c := &countingCluster{}
		f.Cluster = c
		began := time.Now()
		f.runJob(t.Context(), job{"job", time.Second, true, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		if took := time.Since(began); took < 3*leaseTime || took > 5*leaseTime || c.taken < 4 {
			t.Errorf("cancelled after %s, having renewed the lease %d times", took, c.taken)
		}
	})
}

// countingCluster gives the lease a few times, and then to somebody else.
type countingCluster struct {
	workers.Cluster
	taken int
}

func (c *countingCluster) Lease(context.Context, string, string, time.Time, time.Time) (int64, bool, error) {
	c.taken++
	return 1, c.taken <= 4, nil
}

func TestRetentionDeletesOldTasksAndKeepsTheRest(t *testing.T) {
	f := setUp(t)
	end := func() tasks.Task {
		task := f.running("s", 1)
		_, err := f.Tasks.Result(t.Context(), task, protocol.Result{
			Task: task.ID, Attempt: 1, Status: protocol.Succeeded, Output: []byte(`1`),
		})
		must(t, err)
		return task
	}
	old, fresh := end(), end()
	_, _, err := f.store.Apply(t.Context(), tasks.Transition{Task: old.ID, Set: []tasks.Assign{
		tasks.Set(tasks.ColFinishedAt, time.Now().UTC().Add(-48*time.Hour)),
	}})
	must(t, err)
	must(t, f.retention(t.Context()))
	if _, err := f.Tasks.Get(t.Context(), old.ID); !errors.Is(err, tasks.ErrNotFound) {
		t.Errorf("old task: %v", err)
	}
	if got := f.status(fresh); got != tasks.Succeeded {
		t.Errorf("fresh task: %s", got)
	}
}

// TestStartAndStop runs the real schedule and leaves nothing behind.
func TestStartAndStop(t *testing.T) {
	f := setUp(t)
	must(t, f.Start(t.Context()))
	servers, err := f.Cluster.Servers(t.Context())
	must(t, err)
	if len(servers) != 1 || servers[0].ID != "here" {
		t.Fatalf("servers %v", servers)
	}
	must(t, f.Stop(t.Context()))
	must(t, f.Stop(t.Context()))
	if servers, _ = f.Cluster.Servers(t.Context()); len(servers) != 0 {
		t.Fatalf("left behind: %v", servers)
	}
}
