package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

func TestSpecLimits(t *testing.T) {
	f := newFixture(t)
	ms := func(n int) *int { return &n }
	far := time.Now().Add(tasks.MaxRunAtAhead + time.Hour)
	big := func(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }
	for name, c := range map[string]struct {
		sp   tasks.Spec
		kind fault.Kind // of the fault; 0: accepted
	}{
		"least":                    {tasks.Spec{Kind: "k"}, 0},
		"kind empty":               {tasks.Spec{}, fault.Invalid},
		"kind of 64":               {tasks.Spec{Kind: strings.Repeat("k", 64)}, 0},
		"kind of 65":               {tasks.Spec{Kind: strings.Repeat("k", 65)}, fault.Invalid},
		"title of 200":             {tasks.Spec{Kind: "k", Title: strings.Repeat("ö", 200)}, 0},
		"title of 201":             {tasks.Spec{Kind: "k", Title: strings.Repeat("ö", 201)}, fault.Invalid},
		"title with control":       {tasks.Spec{Kind: "k", Title: "a\x00b"}, fault.Invalid},
		"25 attempts":              {tasks.Spec{Kind: "k", MaxAttempts: 25}, 0},
		"26 attempts":              {tasks.Spec{Kind: "k", MaxAttempts: 26}, fault.Invalid},
		"timeout of a day":         {tasks.Spec{Kind: "k", TimeoutS: 86400}, 0},
		"timeout above":            {tasks.Spec{Kind: "k", TimeoutS: 86401}, fault.Invalid},
		"priority":                 {tasks.Spec{Kind: "k", Priority: "urgent"}, fault.Invalid},
		"run_at too far":           {tasks.Spec{Kind: "k", RunAt: &far}, fault.Invalid},
		"retention of none":        {tasks.Spec{Kind: "k", ResultRetentionS: ms(0)}, 0},
		"retention below":          {tasks.Spec{Kind: "k", ResultRetentionS: ms(-1)}, fault.Invalid},
		"input of 1 MiB":           {tasks.Spec{Kind: "k", Input: big(tasks.MaxInputBytes)}, 0},
		"input above 1 MiB":        {tasks.Spec{Kind: "k", Input: big(tasks.MaxInputBytes + 1)}, fault.TooLarge},
		"split input of 8 MiB":     {tasks.Spec{Kind: "mean", Input: big(tasks.MaxParentBytes), Split: &tasks.SplitSpec{Parts: 2}}, 0},
		"split input above":        {tasks.Spec{Kind: "mean", Input: big(tasks.MaxParentBytes + 1), Split: &tasks.SplitSpec{Parts: 2}}, fault.TooLarge},
		"one of inputs above":      {tasks.Spec{Kind: "k", Inputs: []json.RawMessage{big(tasks.MaxInputBytes + 1)}}, fault.TooLarge},
		"no inputs":                {tasks.Spec{Kind: "k", Inputs: []json.RawMessage{}}, fault.Invalid},
		"10,000 inputs":            {tasks.Spec{Kind: "k", Inputs: inputs(10_000)}, 0},
		"10,001 inputs":            {tasks.Spec{Kind: "k", Inputs: inputs(10_001)}, fault.Invalid},
		"split and inputs":         {tasks.Spec{Kind: "mean", Inputs: inputs(1), Split: &tasks.SplitSpec{Parts: 1}}, fault.Invalid},
		"split of unknown kind":    {tasks.Spec{Kind: "k", Split: &tasks.SplitSpec{Parts: 1}}, fault.Invalid},
		"split into none":          {tasks.Spec{Kind: "mean", Split: &tasks.SplitSpec{}}, fault.Invalid},
		"split for no workers":     {tasks.Spec{Kind: "mean", Split: &tasks.SplitSpec{Workers: true}}, fault.Conflict},
		"reduce without fan-out":   {tasks.Spec{Kind: "k", Reduce: "sum"}, fault.Invalid},
		"unknown reduce":           {tasks.Spec{Kind: "k", Inputs: inputs(1), Reduce: "product"}, fault.Invalid},
		"failures without fan-out": {tasks.Spec{Kind: "k", AllowFailures: 1}, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			out := f.Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, []tasks.Spec{c.sp})[0]
			if c.kind == 0 && out.Err != nil {
				t.Fatal(out.Err)
			}
			if c.kind != 0 && (out.Err == nil || fault.KindOf(out.Err) != c.kind) {
				t.Fatalf("got %v, want kind %v", out.Err, c.kind)
			}
		})
	}
}

func TestBatchKeepsGoodEntries(t *testing.T) {
	f := newFixture(t)
	out := f.Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, []tasks.Spec{{Kind: "a"}, {Kind: "NO"}, {Kind: "b"}})
	if out[0].Err != nil || out[1].Err == nil || out[2].Err != nil || out[2].Task.Kind != "b" {
		t.Fatalf("%+v", out)
	}
}

func TestIdempotencyKey(t *testing.T) {
	f := newFixture(t)
	first := f.submit(t, tasks.Spec{Kind: "k", IdempotencyKey: "key"})
	again := f.Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, []tasks.Spec{{Kind: "k", Input: json.RawMessage(`{}`), IdempotencyKey: "key"}})[0]
	if !again.Existed || again.Task.ID != first.ID {
		t.Fatalf("%+v", again)
	}
	other := f.Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, []tasks.Spec{{Kind: "other", IdempotencyKey: "key"}})[0]
	if fault.KindOf(other.Err) != fault.Conflict {
		t.Fatalf("another body: %+v", other)
	}
	foreign := f.Submit(t.Context(), tasks.Submitter{User: "somebody", Group: "group"}, []tasks.Spec{{Kind: "other", IdempotencyKey: "key"}})[0]
	if foreign.Err != nil || foreign.Existed {
		t.Fatalf("another user: %+v", foreign)
	}
	if n := len(f.queue.take()); n != 2 {
		t.Fatalf("%d tickets, want 2", n)
	}
}

func TestScheduledTaskIsNotClaimedEarly(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(time.Hour)
	task := f.submit(t, tasks.Spec{Kind: "k", RunAt: &at})
	if task.Status != tasks.Scheduled || !task.EnqueuedAt.Equal(task.RunAt) {
		t.Fatalf("%+v", task)
	}
	f.queue.take()
	if _, ok := f.claim(t, task, "s", 1); ok {
		t.Fatal("claimed before its time")
	}
	if ts := f.queue.take(); len(ts) != 1 || !ts[0].RunAt.Equal(task.RunAt) {
		t.Fatalf("not pushed again: %+v", ts)
	}
}

func TestFailuresUseUpAttempts(t *testing.T) {
	f := newFixture(t)
	task := f.submit(t, tasks.Spec{Kind: "k", MaxAttempts: 2})
	before := time.Now()
	f.run(t, task, protocol.Failed, "one")
	again := f.get(t, task.ID)
	if again.Status != tasks.Queued || again.RunAt.Before(before.Add(400*time.Millisecond)) || again.Error == nil {
		t.Fatalf("no backoff: %+v", again)
	}
	if _, _, err := f.store.Apply(t.Context(), tasks.Transition{
		Task: task.ID, Set: []tasks.Assign{tasks.Set(tasks.ColRunAt, task.RunAt)},
	}); err != nil {
		t.Fatal(err)
	}
	f.run(t, f.get(t, task.ID), protocol.Failed, "two")
	got := f.ended(t, task.ID, tasks.Failed)
	if got.Failures != 2 || got.Error.Code != "boom" {
		t.Fatalf("%+v", got)
	}
}

func TestLossesUseUpReassignments(t *testing.T) {
	f := newFixture(t)
	task := f.submit(t, tasks.Spec{Kind: "k"})
	for i := range 6 {
		if _, ok := f.claim(t, f.get(t, task.ID), "s", 1); !ok {
			t.Fatalf("loss %d: not claimed", i)
		}
		if err := f.Lost(t.Context(), "s", tasks.Loss{ByServer: true}); err != nil { // not counted
			t.Fatal(err)
		}
		f.claim(t, f.get(t, task.ID), "s", 1)
		if err := f.Lost(t.Context(), "s", tasks.Loss{Reason: "gone"}); err != nil {
			t.Fatal(err)
		}
	}
	got := f.ended(t, task.ID, tasks.Failed)
	if got.Error.Code != tasks.CodeWorkerLost || got.Failures != 0 {
		t.Fatalf("%+v", got)
	}
}

func TestLateResultIsNotedOnce(t *testing.T) {
	f := newFixture(t)
	task := f.submit(t, tasks.Spec{Kind: "k"})
	first, _ := f.claim(t, task, "slow", 1)
	if err := f.Lost(t.Context(), "slow", tasks.Loss{}); err != nil {
		t.Fatal(err)
	}
	second, _ := f.claim(t, f.get(t, task.ID), "fast", 1)
	for range 3 {
		if a := f.result(t, first.Task, protocol.Succeeded, `"late"`); a.Reason != protocol.StaleAttempt {
			t.Fatalf("%+v", a)
		}
	}
	f.result(t, second.Task, protocol.Succeeded, `"in time"`)
	es, err := f.Timeline(t.Context(), f.get(t, task.ID))
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, e := range es {
		if e.Event == tasks.EvLateRefused {
			late++
		}
	}
	if late != 1 {
		t.Fatalf("%d late results on the timeline: %+v", late, es)
	}
}

// TestResultSentAgainIsToldAgain: who took the result may have died before it told
// anybody of the end.
func TestResultSentAgainIsToldAgain(t *testing.T) {
	f := newFixture(t)
	task := f.submit(t, tasks.Spec{Kind: "k"})
	own, _ := f.claim(t, task, "s", 1)
	f.result(t, own.Task, protocol.Succeeded, `1`)
	for len(f.events.changed) > 0 {
		<-f.events.changed
	}
	if a := f.result(t, own.Task, protocol.Succeeded, `1`); !a.Accepted {
		t.Fatalf("%+v", a)
	}
	select {
	case told := <-f.events.changed:
		if told.ID != task.ID || told.Status != tasks.Succeeded {
			t.Errorf("told of %s, %s", told.ID, told.Status)
		}
	default:
		t.Error("nobody was told")
	}
}

func TestTimeoutIsAFailureAndTellsTheWorker(t *testing.T) {
	f := newFixture(t)
	task := f.submit(t, tasks.Spec{Kind: "k", MaxAttempts: 1, TimeoutS: 60})
	f.claim(t, task, "s", 1)
	if err := f.TimeOutOverdue(t.Context()); err != nil || f.get(t, task.ID).Status != tasks.Running {
		t.Fatal("timed out before its deadline", err)
	}
	past := time.Now().Add(-time.Minute)
	if _, _, err := f.store.Apply(t.Context(), tasks.Transition{
		Task: task.ID, Set: []tasks.Assign{tasks.Set(tasks.ColDeadline, past)},
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.TimeOutOverdue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.ended(t, task.ID, tasks.Failed); got.Error.Code != tasks.CodeTimeout {
		t.Fatalf("%+v", got.Error)
	}
	if want := task.ID + " timeout"; len(f.wire.cancels) != 1 || f.wire.cancels[0] != want {
		t.Fatalf("cancels %v, want %s", f.wire.cancels, want)
	}
}

func TestPayloadsAreDroppedInTime(t *testing.T) {
	f := newFixture(t)
	none := 0
	task := f.submit(t, tasks.Spec{Kind: "k", ResultRetentionS: &none})
	kept := f.submit(t, tasks.Spec{Kind: "k"})
	f.run(t, task, protocol.Succeeded, `1`)
	f.run(t, kept, protocol.Succeeded, `1`)
	if err := f.DropExpired(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Output(t.Context(), f.get(t, task.ID)); !errors.Is(err, tasks.ErrDropped) {
		t.Fatalf("output after retention: %v", err)
	}
	if _, err := f.Output(t.Context(), f.get(t, kept.ID)); err != nil {
		t.Fatal(err)
	}
	failed := f.submit(t, tasks.Spec{Kind: "k", MaxAttempts: 1})
	f.run(t, failed, protocol.Failed, "no")
	cancelled := f.submit(t, tasks.Spec{Kind: "k"})
	if _, err := f.Cancel(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]time.Duration{kept.ID: 24 * time.Hour, cancelled.ID: 24 * time.Hour, failed.ID: 7 * 24 * time.Hour} {
		if got := f.get(t, id); got.DropAt.Sub(got.FinishedAt) != want {
			t.Errorf("%s: kept for %s, want %s", got.Status, got.DropAt.Sub(got.FinishedAt), want)
		}
	}
}

func TestOverflowWaitsForRefill(t *testing.T) {
	f := newFixture(t)
	f.queue.full = true
	task := f.submit(t, tasks.Spec{Kind: "k"})
	if !task.EnqueuedAt.IsZero() || len(f.queue.take()) != 0 {
		t.Fatal("pushed into a full queue")
	}
	f.queue.full = false
	n, err := f.Refill(t.Context(), task.Pair(), task.Priority, time.Time{}, 10)
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if ts := f.queue.take(); len(ts) != 1 || ts[0].Task != task.ID || !ts[0].Stamp.Equal(f.get(t, task.ID).EnqueuedAt) {
		t.Fatalf("%+v", ts)
	}
	if n, _ := f.Refill(t.Context(), task.Pair(), task.Priority, time.Time{}, 10); n != 0 {
		t.Fatal("refilled twice")
	}
	if n, _ := f.Refill(t.Context(), task.Pair(), task.Priority, time.Now().Add(time.Second), 10); n != 1 {
		t.Fatal("a stamped task whose ticket was lost stays lost")
	}
}

func TestBulkCancelWithDryRun(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.submit(t, tasks.Spec{Kind: "a"})
	}
	f.submit(t, tasks.Spec{Kind: "b"})
	filter := tasks.ListFilter{Group: "group", Kind: "a"}
	if n, err := f.CancelAll(t.Context(), filter, true); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := f.CancelAll(t.Context(), filter, false); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := f.CancelAll(t.Context(), filter, false); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := f.RetryAll(t.Context(), filter, false); n != 3 || err != nil {
		t.Fatal(n, err)
	}
}

func TestQueueAwayDoesNotRefuseTasks(t *testing.T) {
	f := newFixture(t)
	f.queue.away = errors.New("connection refused")
	if task := f.submit(t, tasks.Spec{Kind: "k"}); task.Status != tasks.Queued {
		t.Fatalf("%+v", task)
	}
}

// Restamp brings back what an overflowing queue lost, and leaves alone what
// waits outside its window.
func TestRestampLeavesTheNeverStamped(t *testing.T) {
	f := newFixture(t)
	lost := f.submit(t, tasks.Spec{Kind: "k"})
	f.queue.full = true
	f.submit(t, tasks.Spec{Kind: "k"})
	f.queue.take()
	n, err := f.Restamp(t.Context(), lost.Pair(), lost.Priority, time.Now().Add(time.Second), 10)
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if ts := f.queue.take(); len(ts) != 1 || ts[0].Task != lost.ID {
		t.Fatalf("%+v", ts)
	}
}

// fullStore takes only the first tasks of an insert.
type fullStore struct {
	tasks.Store
	room int
}

func (s fullStore) Insert(ctx context.Context, ts ...tasks.New) ([]tasks.Inserted, error) {
	in, err := s.Store.Insert(ctx, ts[:s.room]...)
	return in, errors.Join(err, errors.New("disk is full"))
}

// What a store took before it failed is accepted: who submits it again would
// have it twice.
func TestSubmitOfWhichTheStoreTakesAPart(t *testing.T) {
	f := newFixture(t)
	d := f.Deps
	d.Store = fullStore{f.store, 2}
	specs := make([]tasks.Spec, 3)
	for i := range specs {
		specs[i] = tasks.Spec{Kind: "k"}
	}
	out := tasks.NewService(d).Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, specs)
	if out[0].Err != nil || out[1].Err != nil || out[2].Err == nil {
		t.Fatalf("%v, %v, %v", out[0].Err, out[1].Err, out[2].Err)
	}
	if ts := f.queue.take(); len(ts) != 2 || ts[1].Task != out[1].Task.ID {
		t.Fatalf("pushed %+v", ts)
	}
}

// leftStore's callers leave while it writes.
type leftStore struct {
	tasks.Store
	leave context.CancelFunc
}

func (s leftStore) Insert(ctx context.Context, ts ...tasks.New) ([]tasks.Inserted, error) {
	s.leave()
	return s.Store.Insert(ctx, ts...)
}

func (s leftStore) Apply(ctx context.Context, tr tasks.Transition) (tasks.Task, bool, error) {
	s.leave()
	return s.Store.Apply(ctx, tr)
}

// A caller that leaves while its task is cancelled or queued again does not keep
// worker and queue from hearing of it; one that has left before changes nothing.
func TestChangesWhoseCallerLeaves(t *testing.T) {
	f := newFixture(t)
	running := f.submit(t, tasks.Spec{Kind: "k"})
	claimed, _ := f.claim(t, running, "session", 1)
	waiting := f.submit(t, tasks.Spec{Kind: "k"})
	f.queue.take()
	leaving := func() (*tasks.Service, context.Context) {
		ctx, leave := context.WithCancel(t.Context())
		d := f.Deps
		d.Store = leftStore{f.store, leave}
		return tasks.NewService(d), ctx
	}
	s, ctx := leaving()
	if _, err := s.Cancel(ctx, claimed.Task); err != nil {
		t.Error(err)
	}
	if len(f.wire.cancels) != 1 {
		t.Errorf("workers heard of %q", f.wire.cancels)
	}
	s, ctx = leaving()
	cancelled, err := s.Cancel(ctx, waiting)
	if err != nil || cancelled.Status != tasks.Cancelled {
		t.Fatal(cancelled.Status, err)
	}
	s, ctx = leaving()
	if _, err := s.Retry(ctx, cancelled); err != nil {
		t.Error(err)
	}
	if ts := f.queue.take(); len(ts) != 1 || ts[0].Task != waiting.ID {
		t.Errorf("pushed %+v", ts)
	}
	if _, err := s.Cancel(ctx, f.get(t, waiting.ID)); !errors.Is(err, context.Canceled) || f.get(t, waiting.ID).Status != tasks.Queued {
		t.Errorf("cancelled for a caller that had left: %v", err)
	}
}

// A caller that leaves while its tasks are written does not stop them from being
// queued, nor others from hearing of them.
func TestSubmitWhoseCallerLeaves(t *testing.T) {
	f := newFixture(t)
	ctx, leave := context.WithCancel(t.Context())
	d := f.Deps
	d.Store = leftStore{f.store, leave}
	out := tasks.NewService(d).Submit(ctx, tasks.Submitter{User: "user", Group: "group"}, []tasks.Spec{{Kind: "k"}})
	if out[0].Err != nil {
		t.Fatal(out[0].Err)
	}
	if ts := f.queue.take(); len(ts) != 1 || ts[0].Task != out[0].Task.ID {
		t.Errorf("pushed %+v", ts)
	}
	select {
	case told := <-f.events.changed:
		if told.ID != out[0].Task.ID {
			t.Errorf("told of %s", told.ID)
		}
	default:
		t.Error("nobody was told")
	}
}

// slowStore answers Get only once a time has come.
type slowStore struct {
	tasks.Store
	at time.Time
}

func (s slowStore) Get(ctx context.Context, id string) (tasks.Task, error) {
	<-time.After(time.Until(s.at))
	return s.Store.Get(ctx, id)
}

// A ticket that was refused because it came too early goes back to its queue,
// also where its time comes while that is found out.
func TestTicketThatIsEarlyByAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		soon := time.Now().Add(300 * time.Millisecond)
		task := f.submit(t, tasks.Spec{Kind: "k", RunAt: &soon})
		f.queue.take()
		d := f.Deps
		d.Store = slowStore{f.store, soon.Add(time.Millisecond)}
		_, ok, err := tasks.NewService(d).Claim(t.Context(), tasks.TicketOf(task), tasks.Owner{Session: "s"})
		if ok || err != nil {
			t.Fatalf("claimed: %v, %v", ok, err)
		}
		if ts := f.queue.take(); len(ts) != 1 || ts[0].Task != task.ID {
			t.Fatalf("pushed again: %+v", ts)
		}
	})
}

// A task that is cancelled while it waits for another attempt ran for nobody at
// its end: the attempt before was left behind.
func TestCancelOfATaskThatWaitsAgainCountsNoRun(t *testing.T) {
	f := newFixture(t)
	task := f.submit(t, tasks.Spec{Kind: "k"})
	c, _ := f.claim(t, task, "s", 1)
	f.result(t, c.Task, protocol.Failed, "no")
	if _, err := f.Cancel(t.Context(), f.get(t, task.ID)); err != nil {
		t.Fatal(err)
	}
	got, err := f.Stats(t.Context(), "group", time.Hour)
	if err != nil || len(got.Members) != 1 || got.Members[0].Member != "" || got.Members[0].Cancelled != 1 {
		t.Fatalf("%+v, %v", got.Members, err)
	}
	if len(got.Run) != 0 || len(got.Wait) != 0 {
		t.Fatalf("waiting %v, running %v", got.Wait, got.Run)
	}
}
