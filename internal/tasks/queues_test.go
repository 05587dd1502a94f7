package tasks_test

import (
	"encoding/json"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
)

func TestPausesAreTold(t *testing.T) {
	f := newFixture(t)
	var told atomic.Int64
	f.PausesChanged = func() { told.Add(1) }
	ctx := t.Context()
	for _, kind := range []string{"", "A", "a b", "a/b"} {
		for name, do := range map[string]func() error{
			"pause":  func() error { return f.PauseQueue(ctx, "group", kind) },
			"resume": func() error { return f.ResumeQueue(ctx, "group", kind) },
			"empty":  func() error { _, err := f.EmptyQueue(ctx, "group", kind, true); return err },
		} {
			if err := do(); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s %q: %v", name, kind, err)
			}
		}
	}
	if told.Load() != 0 {
		t.Error("told of what was refused")
	}
	for i, err := range []error{
		f.PauseQueue(ctx, "group", "echo"), f.ResumeQueue(ctx, "group", "echo"), f.PauseQueue(ctx, "group", "mean"), f.ForgetPauses(ctx, "group"),
	} {
		if err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if paused, err := f.Paused(ctx); err != nil || len(paused) != 0 || told.Load() != 4 {
		t.Errorf("told %d times, %v is paused, %v", told.Load(), paused, err)
	}
}

// TestPartsOfPausedQueuesDoNotExpire: it is not their worker that stays away.
func TestPartsOfPausedQueuesDoNotExpire(t *testing.T) {
	f := newFixture(t)
	f.wire.connected = []string{"worker-s"}
	p := f.submit(t, tasks.Spec{Kind: "echo", Input: json.RawMessage(`1`), Broadcast: true, StartWithinS: 1})
	part := f.children(t, p.ID, 1)[0]
	if _, ok, err := f.store.Apply(t.Context(), tasks.Transition{
		Task: part.ID, Set: []tasks.Assign{tasks.Set(tasks.ColRunAt, part.RunAt.Add(-time.Minute))},
	}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	expire := func(pause func() error) {
		t.Helper()
		for _, step := range []func() error{pause, func() error { return f.ExpireUnstarted(t.Context()) }} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	expire(func() error { return f.PauseQueue(t.Context(), "group", "echo") })
	if got := f.get(t, part.ID); got.Status != tasks.Queued {
		t.Fatalf("expired in a paused queue: %+v", got)
	}
	expire(func() error { return f.ResumeQueue(t.Context(), "group", "echo") })
	f.ended(t, part.ID, tasks.Failed)
}

// TestEmptyQueueInPortions empties more than one portion holds, while others
// claim: what has begun goes on.
func TestEmptyQueueInPortions(t *testing.T) {
	f := newFixture(t)
	specs := make([]tasks.Spec, 2500)
	for i := range specs {
		specs[i] = tasks.Spec{Kind: "echo", Input: json.RawMessage(`1`), Priority: tasks.Priorities[i%3]}
	}
	var all []tasks.Task
	for _, o := range f.Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, specs) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		all = append(all, o.Task)
	}
	claimed := make(chan int)
	go func() {
		n := 0
		for _, task := range slices.Backward(all) {
			if _, ok, err := f.Claim(t.Context(), tasks.TicketOf(task), tasks.Owner{Server: "s1", Session: "s", Epoch: 1, Worker: "w", User: "u"}); err == nil && ok {
				n++
			}
			if n == 50 {
				break
			}
		}
		claimed <- n
	}()
	count, err := f.EmptyQueue(t.Context(), "group", "echo", false)
	if err != nil {
		t.Fatal(err)
	}
	began := <-claimed
	by := map[tasks.Status]int{}
	for _, task := range all {
		now := f.get(t, task.ID)
		if now.Status == tasks.Running && !now.CancelRequestedAt.IsZero() {
			t.Error("a running task was told to end")
		}
		by[now.Status]++
	}
	if by[tasks.Running] != began || by[tasks.Cancelled] != count || count+began != len(all) {
		t.Errorf("cancelled %d, began %d, of %d: %v", count, began, len(all), by)
	}
}
