package tasks_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

// children returns a parent's parts once there are n.
func (f *fixture) children(tb testing.TB, parent string, n int) []tasks.Task {
	tb.Helper()
	f.until(tb, parent, func(t tasks.Task) bool { return t.Phase != tasks.Splitting })
	cs, err := f.Children(tb.Context(), parent, -1, 10_000)
	if err != nil {
		tb.Fatal(err)
	}
	if len(cs) != n {
		tb.Fatalf("%d parts, want %d", len(cs), n)
	}
	return cs
}

// run claims a task and ends it.
func (f *fixture) run(tb testing.TB, t tasks.Task, status protocol.ResultStatus, output string) {
	tb.Helper()
	c, ok := f.claim(tb, t, "s", 1)
	if !ok {
		tb.Fatalf("not claimed: %+v", f.get(tb, t.ID))
	}
	if a := f.result(tb, c.Task, status, output); !a.Accepted {
		tb.Fatalf("result refused: %+v", a)
	}
}

func (f *fixture) ended(tb testing.TB, id string, want tasks.Status) tasks.Task {
	tb.Helper()
	t := f.until(tb, id, func(t tasks.Task) bool { return t.Status.Ended() })
	if t.Status != want {
		tb.Fatalf("task is %s, want %s: %+v", t.Status, want, t.Error)
	}
	return t
}

func inputs(n int) []json.RawMessage {
	in := make([]json.RawMessage, n)
	for i := range in {
		in[i] = json.RawMessage(fmt.Sprint(i))
	}
	return in
}

func TestEveryReduce(t *testing.T) {
	for name, want := range map[string]string{
		"":        `[0,1,2]`, // collect is the default of inputs
		"collect": `[0,1,2]`,
		"sum":     `3`,
		"none":    `null`,
	} {
		t.Run("reduce "+name, func(t *testing.T) {
			f := newFixture(t)
			p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(3), Reduce: name})
			for _, c := range f.children(t, p.ID, 3) {
				f.run(t, c, protocol.Succeeded, fmt.Sprint(c.Index))
			}
			out, err := f.Output(t.Context(), f.ended(t, p.ID, tasks.Succeeded))
			if err != nil || string(out) != want {
				t.Fatalf("output %s, %v; want %s", out, err, want)
			}
		})
	}
}

func TestReduceOnWorker(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(2), ReduceKind: "glue"})
	for _, c := range f.children(t, p.ID, 2) {
		f.run(t, c, protocol.Succeeded, fmt.Sprint(c.Index))
	}
	f.until(t, p.ID, func(t tasks.Task) bool { return t.Phase == tasks.Reducing })
	c := f.glue(t, p.ID)
	if string(c.Input) != `[0,1]` {
		t.Fatalf("the reduce was given %s", c.Input)
	}
	counts, err := f.ChildCounts(t.Context(), p.ID)
	if err != nil || counts[tasks.Succeeded] != 2 || counts[tasks.Running] != 0 {
		t.Fatalf("the reduce counts among the parts: %v, %v", counts, err)
	}
	f.result(t, c.Task, protocol.Succeeded, `"glued"`)
	out, err := f.Output(t.Context(), f.ended(t, p.ID, tasks.Succeeded))
	if err != nil || string(out) != `"glued"` {
		t.Fatalf("output %s, %v", out, err)
	}
}

// TestReduceLimits: eight outputs of 8 MiB with the commas and brackets around
// them, or one byte more; 1 MiB and a level of nesting less for a worker.
func TestReduceLimits(t *testing.T) {
	text := func(bytes int) string { return `"` + strings.Repeat("x", bytes-2) + `"` }
	deep := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	const mib, commas = 1 << 20, 7
	for name, c := range map[string]struct {
		parts       int
		output, own string // of all parts but the first, and of that
		kind        string // that reduces
		code        string // of the error; empty: none
	}{
		"8 MiB":                {8, text(mib), text(mib - 2 - commas), "", ""},
		"8 MiB and a byte":     {8, text(mib), text(mib - 1 - commas), "", "result_too_large"},
		"1 MiB for a worker":   {1, "", text(mib - 2), "glue", ""},
		"more for a worker":    {1, "", text(mib - 1), "glue", "input_too_large"},
		"63 levels":            {1, "", deep(63), "", ""},
		"63 in a worker's":     {1, "", deep(62), "glue", ""},
		"too deep for workers": {1, "", deep(63), "glue", "input_too_deep"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(c.parts), ReduceKind: c.kind})
			for i, part := range f.children(t, p.ID, c.parts) {
				output := c.output
				if i == 0 {
					output = c.own
				}
				f.run(t, part, protocol.Succeeded, output)
			}
			if c.code != "" {
				if got := f.ended(t, p.ID, tasks.Failed); got.Error.Code != c.code {
					t.Errorf("error %+v, want %s", got.Error, c.code)
				}
				return
			}
			if c.kind != "" {
				f.glue(t, p.ID)
				return
			}
			if _, err := f.Output(t.Context(), f.ended(t, p.ID, tasks.Succeeded)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestParentFailsWithItsChildren(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(4), AllowFailures: 1, MaxAttempts: 1})
	cs := f.children(t, p.ID, 4)
	f.run(t, cs[0], protocol.Failed, "first")
	if got := f.get(t, p.ID); got.Status.Ended() {
		t.Fatal("one failure was allowed")
	}
	running, _ := f.claim(t, cs[2], "s", 1)
	f.run(t, cs[1], protocol.Failed, "second")
	got := f.ended(t, p.ID, tasks.Failed)
	if got.Error.Code != tasks.CodeChildFailed || !strings.Contains(got.Error.Message, "first") {
		t.Fatalf("error %+v", got.Error)
	}
	f.ended(t, cs[3].ID, tasks.Cancelled)
	f.until(t, running.Task.ID, func(t tasks.Task) bool { return !t.CancelRequestedAt.IsZero() })
	<-f.wire.sent
	f.wire.mu.Lock()
	defer f.wire.mu.Unlock()
	if len(f.wire.cancels) != 1 || f.wire.cancels[0] != running.Task.ID+" requested" {
		t.Fatalf("cancels sent: %v", f.wire.cancels)
	}
}

func TestAllowedFailureLeavesNull(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(2), AllowFailures: 1, MaxAttempts: 1})
	cs := f.children(t, p.ID, 2)
	f.run(t, cs[0], protocol.Failed, "no")
	f.run(t, cs[1], protocol.Succeeded, `1`)
	out, err := f.Output(t.Context(), f.ended(t, p.ID, tasks.Succeeded))
	if err != nil || string(out) != `[null,1]` {
		t.Fatalf("output %s, %v", out, err)
	}
}

func TestCancelAndRetryOfAParent(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(3)})
	cs := f.children(t, p.ID, 3)
	f.run(t, cs[0], protocol.Succeeded, `"kept"`)
	if _, err := f.Cancel(t.Context(), f.get(t, p.ID)); err != nil {
		t.Fatal(err)
	}
	got := f.ended(t, p.ID, tasks.Cancelled)
	f.ended(t, cs[1].ID, tasks.Cancelled)
	f.ended(t, cs[2].ID, tasks.Cancelled)
	if _, err := f.Retry(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	f.until(t, p.ID, func(t tasks.Task) bool { return t.Phase == tasks.Open })
	for _, c := range cs[1:] {
		f.run(t, f.get(t, c.ID), protocol.Succeeded, `"again"`)
	}
	out, err := f.Output(t.Context(), f.ended(t, p.ID, tasks.Succeeded))
	if err != nil || string(out) != `["kept","again","again"]` {
		t.Fatalf("output %s, %v", out, err)
	}
}

func TestSplitOfBadInputFails(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{
		Kind: "factorize", Input: json.RawMessage(`{"n":"one"}`), Split: &tasks.SplitSpec{Parts: 3},
	})
	if got := f.ended(t, p.ID, tasks.Failed); got.Error.Code != "bad_input" {
		t.Fatalf("error %+v", got.Error)
	}
}

func TestBroadcastNamesItsWorkers(t *testing.T) {
	f := newFixture(t)
	spec := tasks.Spec{Kind: "echo", Input: json.RawMessage(`"hello"`), Broadcast: true}
	if out := f.Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, []tasks.Spec{spec}); out[0].Err == nil {
		t.Fatal("a broadcast without workers was accepted")
	}
	f.wire.connected = []string{"worker-s", "worker-other"}
	p := f.submit(t, spec)
	cs := f.children(t, p.ID, 2)
	if _, ok := f.claim(t, cs[1], "s", 1); ok {
		t.Fatal("a worker took another one's part")
	}
	f.run(t, cs[0], protocol.Succeeded, `"hi"`)
	if got := f.get(t, p.ID); got.Status.Ended() {
		t.Fatal("ended without the other worker")
	}
}

func TestInterruptedSplitIsDoneAgain(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(20)})
	cs := f.children(t, p.ID, 20)
	// As after a crash between the last insert and the opening.
	if _, ok, err := f.store.Apply(t.Context(), tasks.Transition{
		Task: p.ID, If: tasks.Where{tasks.Eq(tasks.ColPhase, tasks.Open)},
		Set: []tasks.Assign{tasks.Set(tasks.ColPhase, tasks.Splitting)},
	}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	f.queue.take()
	if err := f.MoveParents(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := f.children(t, p.ID, 20)
	for i := range cs {
		if cs[i].ID != again[i].ID {
			t.Fatal("a part was inserted twice")
		}
	}
}

func TestChildIsRetriedOnlyWhileTheParentIsOpen(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(2), MaxAttempts: 1, AllowFailures: 1})
	cs := f.children(t, p.ID, 2)
	f.run(t, cs[0], protocol.Failed, "once")
	gen := f.get(t, p.ID).Gen
	if _, err := f.Retry(t.Context(), f.get(t, cs[0].ID)); err != nil {
		t.Fatal(err)
	}
	if f.get(t, p.ID).Gen == gen {
		t.Fatal("gen was not raised")
	}
	f.run(t, f.get(t, cs[0].ID), protocol.Failed, "twice")
	f.run(t, cs[1], protocol.Succeeded, `1`)
	f.ended(t, p.ID, tasks.Succeeded)
	if _, err := f.Retry(t.Context(), f.get(t, cs[0].ID)); err == nil {
		t.Fatal("a part of an ended parent was retried alone")
	}
}

// A worker that started its part and then left for good must not keep the parent
// open for ever.
func TestBroadcastPartExpiresAfterALoss(t *testing.T) {
	f := newFixture(t)
	f.wire.connected = []string{"worker-s"}
	p := f.submit(t, tasks.Spec{Kind: "echo", Input: json.RawMessage(`1`), Broadcast: true, StartWithinS: 60})
	c, ok := f.claim(t, f.children(t, p.ID, 1)[0], "s", 1)
	if !ok {
		t.Fatal("not claimed")
	}
	if err := f.Lost(t.Context(), "s", tasks.Loss{Reason: "gone"}); err != nil {
		t.Fatal(err)
	}
	if err := f.ExpireUnstarted(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting := f.get(t, c.Task.ID)
	if waiting.Status != tasks.Queued {
		t.Fatalf("expired before its time: %+v", waiting)
	}
	if _, ok, err := f.store.Apply(t.Context(), tasks.Transition{
		Task: c.Task.ID, Set: []tasks.Assign{tasks.Set(tasks.ColRunAt, waiting.RunAt.Add(-time.Minute))},
	}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := f.ExpireUnstarted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.ended(t, c.Task.ID, tasks.Failed); got.Error.Code != tasks.CodeExpired {
		t.Fatalf("error %+v", got.Error)
	}
	f.ended(t, p.ID, tasks.Failed)
}

// A child whose cancel is under way when its parent is retried is queued again
// once the worker has answered; the parent does not fail of it.
func TestRetryOfAParentWaitsForCancelsUnderWay(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(2)})
	cs := f.children(t, p.ID, 2)
	c, ok := f.claim(t, cs[0], "s", 1)
	if !ok {
		t.Fatal("not claimed")
	}
	if _, err := f.Cancel(t.Context(), f.get(t, p.ID)); err != nil {
		t.Fatal(err)
	}
	f.until(t, cs[0].ID, func(t tasks.Task) bool { return !t.CancelRequestedAt.IsZero() })
	f.ended(t, cs[1].ID, tasks.Cancelled)
	if _, err := f.Retry(t.Context(), f.get(t, p.ID)); err != nil {
		t.Fatal(err)
	}
	f.until(t, cs[1].ID, func(t tasks.Task) bool { return t.Status == tasks.Queued })
	if a := f.result(t, c.Task, protocol.Cancelled, ""); !a.Accepted {
		t.Fatalf("result refused: %+v", a)
	}
	f.until(t, cs[0].ID, func(t tasks.Task) bool { return t.Status == tasks.Queued })
	for _, c := range f.children(t, p.ID, 2) {
		f.run(t, c, protocol.Succeeded, fmt.Sprint(c.Index))
	}
	f.ended(t, p.ID, tasks.Succeeded)
}

// What failed while the first split was interrupted has failed for good: doing
// the split again is no retry.
func TestFirstSplitRetriesNothing(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(2), MaxAttempts: 1, AllowFailures: 1})
	cs := f.children(t, p.ID, 2)
	f.run(t, cs[0], protocol.Failed, "once")
	if _, ok, err := f.store.Apply(t.Context(), tasks.Transition{
		Task: p.ID, Set: []tasks.Assign{tasks.Set(tasks.ColPhase, tasks.Splitting)},
	}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := f.MoveParents(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.children(t, p.ID, 2)[0]; got.Status != tasks.Failed {
		t.Fatalf("a part that failed for good is %s", got.Status)
	}
}

// glue waits for the child that reduces on a worker and claims it.
func (f *fixture) glue(t *testing.T, parent string) tasks.Claimed {
	t.Helper()
	var waiting []tasks.Task // the ticket comes after the last event, so it cannot be waited for
	f.until(t, parent, func(tasks.Task) bool {
		var err error
		waiting, err = f.store.Find(t.Context(), tasks.Query{Where: tasks.Where{
			tasks.Eq(tasks.ColParent, parent), tasks.Eq(tasks.ColKind, "glue"), tasks.Eq(tasks.ColStatus, tasks.Queued),
		}})
		if err != nil {
			t.Fatal(err)
		}
		return len(waiting) == 1
	})
	c, ok := f.claim(t, waiting[0], "s", 1)
	if !ok {
		t.Fatal("the reduce was not claimed")
	}
	return c
}

// The reduce of a retried parent gets the outputs as they are now.
func TestRetriedParentReducesOnWorkerAnew(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(2), ReduceKind: "glue", AllowFailures: 1, MaxAttempts: 1})
	cs := f.children(t, p.ID, 2)
	f.run(t, cs[0], protocol.Failed, "no")
	f.run(t, cs[1], protocol.Succeeded, `1`)
	first := f.glue(t, p.ID)
	if string(first.Input) != `[null,1]` {
		t.Fatalf("the reduce was given %s", first.Input)
	}
	f.result(t, first.Task, protocol.Failed, "no glue")
	if _, err := f.Retry(t.Context(), f.ended(t, p.ID, tasks.Failed)); err != nil {
		t.Fatal(err)
	}
	f.until(t, p.ID, func(t tasks.Task) bool { return t.Phase == tasks.Open })
	f.run(t, f.get(t, cs[0].ID), protocol.Succeeded, `0`)
	again := f.glue(t, p.ID)
	if string(again.Input) != `[0,1]` {
		t.Fatalf("the reduce was given %s", again.Input)
	}
	f.result(t, again.Task, protocol.Succeeded, `"glued"`)
	f.ended(t, p.ID, tasks.Succeeded)
}

func TestTooMuchForAReduceOnAWorker(t *testing.T) {
	f := newFixture(t)
	p := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(9), ReduceKind: "glue"})
	large := `"` + strings.Repeat("x", 1<<20-2) + `"`
	for _, c := range f.children(t, p.ID, 9) { // more than a reduce on a server takes, too
		f.run(t, c, protocol.Succeeded, large)
	}
	if got := f.ended(t, p.ID, tasks.Failed); got.Error.Code != "input_too_large" {
		t.Fatalf("error %+v", got.Error)
	}
}

// TestPanicInASplitFailsTheParent: a kind with a fault takes nobody along.
func TestPanicInASplitFailsTheParent(t *testing.T) {
	f := newFixture(t)
	f.Kinds["faulty"] = workload.Kind{
		Name: "faulty", Split: func(json.RawMessage, int) ([]json.RawMessage, error) { panic("boom") },
	}
	p := f.submit(t, tasks.Spec{Kind: "faulty", Split: &tasks.SplitSpec{Parts: 2}})
	if got := f.ended(t, p.ID, tasks.Failed); got.Error.Code != tasks.CodePanic {
		t.Fatalf("%+v", got.Error)
	}
	next := f.submit(t, tasks.Spec{Kind: "echo", Inputs: inputs(1)})
	f.children(t, next.ID, 1)
}
