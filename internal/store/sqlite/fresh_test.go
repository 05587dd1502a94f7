package sqlite

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

func owner() tasks.Owner {
	return tasks.Owner{Server: "s", Session: "session", Epoch: 3, Worker: "w", WorkerName: "worker", User: "u"}
}

// claimTask claims an attempt, and wants what the claim returned to be what is in the
// database.
func claimTask(t *testing.T, db *DB, n tasks.New) tasks.Task {
	t.Helper()
	got, input, ok, err := db.Claim(t.Context(), tasks.Claim(n.ID, n.Attempt, owner(), time.Minute, n.RunAt.Add(time.Second)))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if want, err := db.Get(t.Context(), n.ID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("claimed %+v, but there is %+v (%v)", got, want, err)
	}
	if string(input) != string(n.Input) {
		t.Errorf("input %q, want %q", input, n.Input)
	}
	return got
}

// TestFreshTasks: a task that is claimed without being read is what is in the
// database, whatever happened to it since it was inserted.
func TestFreshTasks(t *testing.T) {
	db := openTest(t)
	for name, c := range map[string]struct {
		change func(*tasks.New)
		kept   bool
	}{
		"as most are": {func(*tasks.New) {}, true},
		"with all that it may have": {func(n *tasks.New) {
			hour := time.Hour
			n.Priority, n.Trace, n.ResultRetention = tasks.High, "trace", &hour
			n.Target, n.Parent, n.Key, n.Index = owner().Worker, "parent", "1", 1
		}, true},
		"without input":         {func(n *tasks.New) { n.Input = nil }, true},
		"with a large input":    {func(n *tasks.New) { n.Input = []byte(`"` + strings.Repeat("x", freshInput) + `"`) }, false},
		"that is not yet to be": {func(n *tasks.New) { n.Status, n.RunAt = tasks.Scheduled, n.RunAt.Add(time.Hour) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := benchTask()
			c.change(&n)
			if _, err := db.Insert(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			if kept := db.writer.tx.fresh.tasks[n.ID] != nil; kept != c.kept {
				t.Errorf("kept: %t", kept)
			}
			claimTask(t, db, n)
			if db.writer.tx.fresh.tasks[n.ID] != nil {
				t.Error("it is kept after its claim")
			}
		})
	}
	t.Run("changed before", func(t *testing.T) {
		n := benchTask()
		if _, err := db.Insert(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		_, ok, err := db.Apply(t.Context(), tasks.Transition{Task: n.ID, Set: []tasks.Assign{tasks.Set(tasks.ColPriority, tasks.Low)}})
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if got := claimTask(t, db, n); got.Priority != tasks.Low {
			t.Errorf("priority %q", got.Priority)
		}
	})
	t.Run("refused before", func(t *testing.T) {
		n := benchTask()
		if _, err := db.Insert(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if _, _, ok, err := db.Claim(t.Context(), tasks.Claim(n.ID, 7, owner(), time.Minute, n.RunAt)); ok || err != nil {
			t.Fatal(ok, err)
		}
		claimTask(t, db, n)
	})
}

func TestFreshForgetsTheOldest(t *testing.T) {
	f := fresh{tasks: map[string]*tasks.New{}}
	const more = 3
	for i := range freshTasks + more {
		n := benchTask()
		n.ID = strconv.Itoa(i)
		f.add(&n)
	}
	if len(f.tasks) != freshTasks || f.take(strconv.Itoa(more-1)) != nil || f.take(strconv.Itoa(more)) == nil {
		t.Errorf("%d kept", len(f.tasks))
	}
}
