package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
)

// holdFirstPush makes the first push wait until release is called; held is closed
// when it does.
func (f *fixture) holdFirstPush() (held <-chan struct{}, release func()) {
	first, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.queue.before = func() { once.Do(func() { close(first); <-free }) }
	return first, func() { close(free) }
}

// many are specs that go through in several portions.
func many() []tasks.Spec {
	specs := make([]tasks.Spec, 2000)
	for i := range specs {
		specs[i] = tasks.Spec{Kind: "k"}
	}
	return specs
}

func TestLargeSubmissionsTakeTurns(t *testing.T) {
	f := newFixture(t)
	held, release := f.holdFirstPush()
	var submits sync.WaitGroup
	defer submits.Wait()
	ended := make(chan string, 2)
	submit := func(name string, specs []tasks.Spec) {
		submits.Go(func() {
			for _, o := range f.Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, specs) {
				if o.Err != nil {
					t.Error(o.Err)
				}
			}
			ended <- name
		})
	}
	submit("many", many())
	<-held
	submit("one", []tasks.Spec{{Kind: "k"}})
	release()
	if first := <-ended; first != "one" {
		t.Error("one task waited until all of a large submission were in")
	}
}

// TestSubmitLag: what the refusal of submits goes by is how long they wait for
// their turn and then for their queue.
func TestSubmitLag(t *testing.T) {
	f := newFixture(t)
	if lag := f.SubmitLag(); lag != 0 {
		t.Fatalf("%s before the first submit", lag)
	}
	held, release := f.holdFirstPush()
	var submits sync.WaitGroup
	submit := func(n int) {
		submits.Go(func() { f.Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, many()[:n]) })
	}
	submit(tasks.SubmitPortion) // nobody else has a turn while its push is held
	<-held
	const wait = 200 * time.Millisecond
	if lag := f.SubmitLag(); lag > wait/2 {
		t.Errorf("%s before anybody waited", lag)
	}
	submit(1)
	<-time.After(wait)
	release()
	submits.Wait()
	// The second, whose push was quick, was in line for most of the time.
	if lag := f.SubmitLag(); lag < wait/2 {
		t.Errorf("%s after a wait of %s in line", lag, wait)
	}
}

func TestSubmitLagCountsThePush(t *testing.T) {
	f := newFixture(t)
	const wait = 50 * time.Millisecond
	f.queue.before = func() { <-time.After(wait) }
	f.submit(t, tasks.Spec{Kind: "k"})
	if lag := f.SubmitLag(); lag < wait {
		t.Errorf("%s after a push that took %s", lag, wait)
	}
}

// TestSubmitToAGroupThatIsBeingDeleted: what was inserted after the deletion had
// looked for tasks does not live, and its submitter hears that the group is gone.
func TestSubmitToAGroupThatIsBeingDeleted(t *testing.T) {
	f := newFixture(t)
	gone := fault.New(fault.NotFound, "group_not_found", "There is no such group.")
	f.GroupExists = func(context.Context, string) error { return gone } // it was there when the submit began
	parts := []json.RawMessage{[]byte(`1`), []byte(`2`)}
	for i, o := range f.Submit(t.Context(), tasks.Submitter{User: "user", Group: "group"}, []tasks.Spec{{Kind: "k"}, {Kind: "k", Inputs: parts}, {}}) {
		if bad := i == 2; bad != (fault.KindOf(o.Err) == fault.Invalid) || !bad && !errors.Is(o.Err, gone) {
			t.Errorf("%d: %+v", i, o)
		}
	}
	ts, _, err := f.List(t.Context(), tasks.ListFilter{Group: "group"}, "", 10)
	if err != nil || len(ts) != 2 {
		t.Fatalf("%d tasks, %v", len(ts), err)
	}
	for _, task := range ts {
		if task.Status != tasks.Cancelled {
			t.Errorf("lives on: %+v", task)
		}
	}
}
