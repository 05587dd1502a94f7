// Package storetest is the conformance suite of the stores: what any adapter
// must do, whichever database is below it.
package storetest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/installation"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// Stores are the interfaces of one adapter, on one database.
type Stores struct {
	Tasks        tasks.Store
	Payloads     tasks.Payloads
	Stats        tasks.StatsStore
	Queues       tasks.QueueStore
	Sessions     workers.Store
	Roster       workers.Roster
	Cluster      workers.Cluster
	Installation installation.Store
	// Slow is of a test double to which large numbers say nothing more than small
	// ones: the suite asks for a fifth of what it does otherwise.
	Slow bool
}

// some is how many of n the suite does.
func (s Stores) some(n int) int {
	if s.Slow {
		return n / 5
	}
	return n
}

// Run runs the suite for tasks, sessions and servers. open returns stores on an
// empty database of their own and closes them with the test.
func Run(t *testing.T, open func(tb testing.TB) Stores) {
	for _, test := range []struct {
		name string
		run  func(*fixture)
	}{
		{"transitions", testTransitions},
		{"claims are for the target", testTarget},
		{"claims bring the input", testClaimInput},
		{"one of many claims", testClaimRace},
		{"stamp", testStamp},
		{"every column", testColumns},
		{"unknown columns are refused", testBadColumns},
		{"insert", testInsert},
		{"insert thousands", testInsertMany},
		{"idempotency keys", testIdempotency},
		{"one of many with a key", testIdempotencyRace},
		{"unique children", testChildren},
		{"one of many children", testChildRace},
		{"find agrees with a naive filter", testFind},
		{"words", testWords},
		{"common words", testCommonWords},
		{"pages while inserting", testCursor},
		{"running", testRunning},
		{"pairs", testPairs},
		{"children by status", testCountByStatus},
		{"delete", testDelete},
		{"input and output", testPayloads},
		{"one of many results", testOutputRace},
		{"outputs of parts", testOutputs},
		{"checkpoints are fenced", testCheckpoint},
		{"log", testLog},
		{"log limits", testLogLimits},
		{"drop", testDrop},
		{"history", testHistory},
		{"statistics", testStats},
		{"depth", testDepth},
		{"counts of queues", testQueueCounts},
		{"pauses", testPauses},
		{"the last minute and day", testMinutes},
		{"overview of workers", testOverviewOfWorkers},
		{"session life", testSession},
		{"sessions of one worker", testWorker},
		{"session lists", testSessionList},
		{"what is known of a worker", testRoster},
		{"settings", testSettings},
		{"removed workers", testRemoveWorker},
		{"removed while it connects", testRemoveRace},
		{"history of workers", testWorkerDays},
		{"resume or lost", testResumeOrLost},
		{"forget sessions", testForget},
		{"servers", testServers},
		{"leases", testLeases},
		{"one of many leases", testLeaseRace},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&fixture{
				T: t, Stores: open(t), ctx: context.Background(),
				now: time.Now().UTC().Truncate(time.Millisecond),
			})
		})
	}
}

// fixture is one test with its stores.
type fixture struct {
	*testing.T
	Stores
	ctx context.Context
	now time.Time // as stores keep it
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// equal compares as a whole; what says which value it is.
func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// build returns a task as submit makes it, then changed by mods.
func (f *fixture) build(mods ...func(*tasks.New)) tasks.New {
	n := tasks.New{Task: tasks.Task{
		ID: newID(), Group: "g", Kind: "k", Title: "A title", CreatedBy: "u", Priority: tasks.Normal,
		Status: tasks.Queued, CreatedAt: f.now, RunAt: f.now, EnqueuedAt: f.now,
		MaxAttempts: 3, MaxReassignments: 5, Timeout: time.Minute, Trace: "trace",
	}}
	for _, mod := range mods {
		mod(&n)
	}
	return n
}

// insert stores one task and returns it.
func (f *fixture) insert(mods ...func(*tasks.New)) tasks.Task {
	f.Helper()
	out, err := f.Tasks.Insert(f.ctx, f.build(mods...))
	f.ok(err)
	if len(out) != 1 || out[0].Existed {
		f.Fatalf("insert: %+v", out)
	}
	return out[0].Task
}

func (f *fixture) get(id string) tasks.Task {
	f.Helper()
	t, err := f.Tasks.Get(f.ctx, id)
	f.ok(err)
	return t
}

// apply runs a transition that must apply and returns the task after it.
func (f *fixture) apply(tr tasks.Transition) tasks.Task {
	f.Helper()
	t, ok, err := f.Tasks.Apply(f.ctx, tr)
	f.ok(err)
	if !ok {
		f.Fatalf("%s did not apply", tr.Name)
	}
	return t
}

// claim makes t run in a session.
func (f *fixture) claim(t tasks.Task, session string) tasks.Task {
	f.Helper()
	return f.apply(tasks.Claim(t.ID, t.Attempt, owner(session), t.Timeout, f.now))
}

func owner(session string) tasks.Owner {
	return tasks.Owner{
		Server: "server", Session: session, Epoch: 1, Worker: "w-" + session, WorkerName: "name", User: "owner",
	}
}

// together runs f(0) … f(n-1) at once and returns how many reported true.
func (f *fixture) together(n int, run func(i int) (bool, error)) int {
	f.Helper()
	var wg sync.WaitGroup
	start, won := make(chan struct{}), make(chan bool, n)
	for i := range n {
		wg.Go(func() {
			<-start
			ok, err := run(i)
			if err != nil {
				f.Error(err)
			}
			won <- ok
		})
	}
	close(start)
	wg.Wait()
	close(won)
	count := 0
	for ok := range won {
		if ok {
			count++
		}
	}
	return count
}

func name(format string, args ...any) string { return fmt.Sprintf(format, args...) }
