package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/tasks"
)

// withGroups has the tasks' service ask for groups, as the app does.
func (f *fixture) withGroups() *groups.Service {
	s := groups.NewService(f.store, f.store, auth.NewThrottle(time.Now), time.Now)
	f.Tasks.GroupExists = func(ctx context.Context, group string) error {
		_, err := s.Get(ctx, group)
		return err
	}
	return s
}

func (f *fixture) user(name string) auth.Caller {
	f.t.Helper()
	u := auth.User{ID: "id of " + name, Username: name, Email: name + "@example.org"}
	must(f.t, f.store.InsertUser(f.t.Context(), u))
	return auth.Caller{UserID: u.ID, Username: name}
}

// submit submits to a group, whatever comes of it.
func (f *fixture) submit(group string, specs ...tasks.Spec) []tasks.Outcome {
	return f.Tasks.Submit(f.t.Context(), tasks.Submitter{User: "user", Group: group}, specs)
}

// claim has a session run a task.
func (f *fixture) claim(t tasks.Task) bool {
	_, ok, err := f.Tasks.Claim(f.t.Context(), tasks.TicketOf(t), tasks.Owner{
		Server: "here", Session: "s", Epoch: 1, Worker: "w", WorkerName: "w", User: "user",
	})
	if err != nil {
		f.t.Error(err)
	}
	return ok
}

// alive lists tasks of a group that nobody has told to end.
func (f *fixture) alive(group string) []tasks.Task {
	f.t.Helper()
	all, err := f.Tasks.Store.Find(f.t.Context(), tasks.Query{
		Where: tasks.Where{tasks.Eq(tasks.ColGroup, group), tasks.In(tasks.ColStatus, tasks.Unfinished...)}, Limit: 1000,
	})
	must(f.t, err)
	return slices.DeleteFunc(all, func(t tasks.Task) bool { return !t.CancelRequestedAt.IsZero() || t.Parent != "" })
}

func TestDeletedGroupIsSwept(t *testing.T) {
	f := setUp(t)
	s, ada := f.withGroups(), f.user("ada")
	g, err := s.Create(t.Context(), ada, "lab", "", nil)
	must(t, err)
	other, err := s.Create(t.Context(), ada, "other", "", nil)
	must(t, err)
	later := time.Now().Add(time.Hour)
	for _, group := range []string{g.ID, other.ID} {
		for _, o := range f.submit(group, tasks.Spec{Kind: "k"}, tasks.Spec{Kind: "k"}, tasks.Spec{Kind: "k", RunAt: &later},
			tasks.Spec{Kind: "k", Inputs: []json.RawMessage{[]byte(`1`), []byte(`2`)}}) {
			must(t, o.Err)
		}
	}
	running := f.alive(g.ID)[0]
	if !f.claim(running) {
		t.Fatal("not claimed")
	}
	for _, group := range []string{g.ID, other.ID} {
		must(t, f.Tasks.PauseQueue(t.Context(), group, "k"))
	}
	must(t, s.Delete(t.Context(), ada, g.ID))
	must(t, f.sweepGroups(t.Context()))
	paused, err := f.Tasks.Paused(t.Context())
	must(t, err)
	if want := []tasks.Pair{{Group: other.ID, Kind: "k"}}; !slices.Equal(paused, want) {
		t.Errorf("paused: %v, want %v", paused, want)
	}
	if left := f.alive(g.ID); len(left) != 0 {
		t.Errorf("alive: %+v", left)
	}
	if left := f.alive(other.ID); len(left) != 4 {
		t.Errorf("of the other group %d tasks are alive", len(left))
	}
	if got, err := f.Tasks.Get(t.Context(), running.ID); err != nil || got.Status != tasks.Running || got.CancelRequestedAt.IsZero() {
		t.Errorf("the running one: %+v, %v", got, err)
	}
	if err := f.submit(g.ID, tasks.Spec{Kind: "k"})[0].Err; !errors.Is(err, groups.ErrNoGroup) {
		t.Errorf("submit to a deleted group: %v", err)
	}
	if len(f.removed) != 0 {
		t.Errorf("queues were removed while there may be consumers: %v", f.removed)
	}
}

// TestDeletedHereIsSweptAtOnce, without waiting for the job's turn.
func TestDeletedHereIsSweptAtOnce(t *testing.T) {
	f := setUp(t)
	s, ada := f.withGroups(), f.user("ada")
	ended := make(chan struct{}, 16)
	f.Tasks.Events = endings{ended: ended}
	s.Listen(f.Runner)
	g, err := s.Create(t.Context(), ada, "lab", "", nil)
	must(t, err)
	must(t, f.submit(g.ID, tasks.Spec{Kind: "k"})[0].Err)
	must(t, f.Start(t.Context()))
	t.Cleanup(func() { must(t, f.Stop(context.Background())) })
	must(t, s.Leave(t.Context(), ada, g.ID))
	select {
	case <-ended:
	case <-time.After(sweepGroupsEvery / 2):
		t.Error("not swept before the job had its turn")
	}
}

// endings tells of tasks that ended.
type endings struct {
	noEvents
	ended chan struct{}
}

func (e endings) TaskChanged(t tasks.Task) {
	if t.Status.Ended() {
		e.ended <- struct{}{}
	}
}

// TestSweepsOfATombstone: ever less often, for a day; queues when they are quiet,
// and again until it works.
func TestSweepsOfATombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		s, ada := f.withGroups(), f.user("ada")
		g, err := s.Create(t.Context(), ada, "lab", "", nil)
		must(t, err)
		must(t, s.Delete(t.Context(), ada, g.ID))
		began, sweeps := time.Now(), 0
		due := func() bool {
			ts, err := f.Tombstones.DueTombstones(t.Context(), time.Now(), 10)
			must(t, err)
			return len(ts) > 0
		}
		for time.Since(began) < 48*time.Hour {
			if due() {
				f.away = nil
				if age := time.Since(began); age < 2*time.Minute {
					f.away = errors.New("redis is away")
				}
				if err := f.sweepGroups(t.Context()); (err != nil) != (f.away != nil && time.Since(began) >= queuesQuiet) {
					t.Fatalf("after %v: %v", time.Since(began), err)
				}
				sweeps++
			}
			time.Sleep(sweepGroupsEvery) //nolint:forbidigo // of the bubble
		}
		if sweeps < 15 || sweeps > 40 {
			t.Errorf("%d sweeps", sweeps)
		}
		if len(f.removed) < 5 || slices.ContainsFunc(f.removed, func(id string) bool { return id != g.ID }) {
			t.Errorf("queues removed of %v", f.removed)
		}
		all, err := f.Tombstones.DueTombstones(t.Context(), time.Now().Add(1000*time.Hour), 10)
		if must(t, err); len(all) != 0 {
			t.Errorf("not forgotten: %+v", all)
		}
	})
}

// TestNothingOfADeletedGroupRuns: whatever happens at the same time, once it is
// quiet and swept, no task of a group that is gone waits or runs untold.
func TestNothingOfADeletedGroupRuns(t *testing.T) {
	f := setUp(t)
	s := f.withGroups()
	must(t, f.Tasks.Start(t.Context()))
	t.Cleanup(func() { must(t, f.Tasks.Stop(context.Background())) })
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		people := []auth.Caller{f.user(fmt.Sprintf("ada-%d", round)), f.user(fmt.Sprintf("bob-%d", round))}
		g, err := s.Create(t.Context(), people[0], "lab", "", nil)
		must(t, err)
		must(t, f.store.AddMember(t.Context(), groups.Membership{
			ID: fmt.Sprintf("m-%d", round), Group: g.ID, User: people[1].UserID, Role: auth.Member, JoinedAt: time.Now(),
		}))
		parts := []json.RawMessage{[]byte(`1`), []byte(`2`)}
		do := map[string]func(who auth.Caller){
			"submit":  func(auth.Caller) { f.submit(g.ID, tasks.Spec{Kind: "k"}, tasks.Spec{Kind: "k"}) },
			"fan-out": func(auth.Caller) { f.submit(g.ID, tasks.Spec{Kind: "k", Inputs: parts}) },
			"run": func(auth.Caller) {
				for _, t := range f.alive(g.ID) {
					f.claim(t)
				}
			},
			"retry":  func(auth.Caller) { _, _ = f.Tasks.RetryAll(t.Context(), tasks.ListFilter{Group: g.ID}, false) },
			"leave":  func(who auth.Caller) { _ = s.Leave(t.Context(), who, g.ID) },
			"delete": func(who auth.Caller) { _ = s.Delete(t.Context(), who, g.ID) },
			"sweep":  func(auth.Caller) { _ = f.sweepGroups(t.Context()) },
		}
		names := []string{"submit", "submit", "fan-out", "run", "retry", "leave", "delete", "sweep"}
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			var wg sync.WaitGroup
			for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 6).Draw(rt, "at once") {
				who := people[rapid.IntRange(0, 1).Draw(rt, "who")]
				wg.Go(func() { do[name](who) })
			}
			wg.Wait()
		}
		if _, err := s.Get(t.Context(), g.ID); !errors.Is(err, groups.ErrNoGroup) {
			return
		}
		must(t, f.store.SweepTombstone(t.Context(), g.ID, time.UnixMilli(1)))
		must(t, f.sweepGroups(t.Context()))
		if left := f.alive(g.ID); len(left) != 0 {
			rt.Fatalf("alive in a deleted group: %+v", left)
		}
	})
}
