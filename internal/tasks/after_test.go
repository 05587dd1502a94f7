package tasks_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// TestAfterIsWhatTheStoreHolds applies every transition that decide may give a
// From, and compares what it returned with the row.
func TestAfterIsWhatTheStoreHolds(t *testing.T) {
	f := newFixture(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	failure := protocol.TaskError{Code: "boom", Message: "m", Retryable: true}
	final := protocol.TaskError{Code: "boom"}
	running := func() tasks.Task {
		c, ok := f.claim(t, f.submit(t, tasks.Spec{Kind: "k"}), "s", 1)
		if !ok {
			t.Fatal("not claimed")
		}
		return c.Task
	}
	asked := func() tasks.Task {
		after, err := f.Cancel(t.Context(), running())
		if err != nil {
			t.Fatal(err)
		}
		return after
	}
	waiting := func() tasks.Task { return f.submit(t, tasks.Spec{Kind: "k"}) }
	ended := func() tasks.Task {
		after, err := f.Cancel(t.Context(), waiting())
		if err != nil {
			t.Fatal(err)
		}
		return after
	}
	for name, c := range map[string]struct {
		from func() tasks.Task
		tr   func(tasks.Task) tasks.Transition
	}{
		"succeed":           {running, func(v tasks.Task) tasks.Transition { return tasks.Succeed(v, []byte(`{}`), now) }},
		"fail, retried":     {running, func(v tasks.Task) tasks.Transition { return tasks.FailAttempt(v, failure, now) }},
		"fail for good":     {running, func(v tasks.Task) tasks.Transition { return tasks.FailAttempt(v, final, now) }},
		"reject":            {running, func(v tasks.Task) tasks.Transition { return tasks.RejectAttempt(v, now) }},
		"lose":              {running, func(v tasks.Task) tasks.Transition { return tasks.Lose(v, tasks.Loss{}, now) }},
		"lose, by server":   {running, func(v tasks.Task) tasks.Transition { return tasks.Lose(v, tasks.Loss{ByServer: true}, now) }},
		"time out":          {running, func(v tasks.Task) tasks.Transition { return tasks.TimeOut(v, v.Deadline.Add(time.Second)) }},
		"cancel running":    {running, func(v tasks.Task) tasks.Transition { return tasks.CancelRunning(v, now) }},
		"accept cancel":     {asked, func(v tasks.Task) tasks.Transition { return tasks.AcceptCancel(v, now) }},
		"lose, cancelled":   {asked, func(v tasks.Task) tasks.Transition { return tasks.Lose(v, tasks.Loss{}, now) }},
		"cancel unanswered": {asked, func(v tasks.Task) tasks.Transition { return tasks.CancelUnanswered(v, now.Add(time.Minute)) }},
		"cancel waiting":    {waiting, func(v tasks.Task) tasks.Transition { return tasks.CancelWaiting(v, now) }},
		"expire":            {waiting, func(v tasks.Task) tasks.Transition { return tasks.Expire(v, now) }},
		"retry":             {ended, func(v tasks.Task) tasks.Transition { return tasks.RetryByHand(v, now) }},
	} {
		t.Run(name, func(t *testing.T) {
			from := c.from()
			tr := c.tr(from)
			tr.From = &from
			got, ok, err := f.store.Apply(t.Context(), tr)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			if row := f.get(t, from.ID); !reflect.DeepEqual(got, row) {
				t.Errorf("returned %+v\nbut the row is %+v", got, row)
			}
		})
	}
}
