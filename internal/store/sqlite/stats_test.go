package sqlite

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

func TestPruneStats(t *testing.T) {
	db, ctx := openTest(t), context.Background()
	midnight := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	for _, ended := range []time.Duration{-47 * time.Hour, -25 * time.Hour, -time.Hour, time.Hour, 5 * time.Hour} {
		n := benchTask()
		n.Group = "g"
		if _, err := db.Insert(ctx, n); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := db.Apply(ctx, tasks.CancelWaiting(n.Task, midnight.Add(ended))); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	since := []time.Duration{-72 * time.Hour, -48 * time.Hour, -26 * time.Hour, -time.Hour, 0, 2 * time.Hour, 6 * time.Hour}
	wants := func(when string, want ...int64) {
		t.Helper()
		got := make([]int64, len(since))
		for i, d := range since {
			members, _, err := db.Stats(ctx, "g", midnight.Add(d))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range members {
				got[i] += m.Cancelled
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	wants("by hours", 5, 5, 4, 3, 2, 1, 0)
	for range 2 {
		if err := db.PruneStats(ctx, midnight.Add(3*time.Hour)); err != nil {
			t.Fatal(err)
		}
		wants("by days before midnight", 5, 5, 5, 3, 2, 1, 0)
	}
	if err := db.PruneStats(ctx, midnight.Add(-40*time.Hour)); err != nil { // clocks may go back
		t.Fatal(err)
	}
	wants("after an earlier one", 5, 5, 5, 3, 2, 1, 0)
	var hours int
	if err := db.readRow(ctx, "SELECT count(*) FROM stats_members WHERE span = 'h'", nil, (*intCol)(&hours)); err != nil || hours != 2 {
		t.Errorf("%d rows of hours left, %v, want 2", hours, err)
	}
}

// TestPruneQueues: minutes go after a day, and queues that say nothing.
func TestPruneQueues(t *testing.T) {
	db, ctx := openTest(t), context.Background()
	now := time.Now().UTC().Truncate(time.Minute)
	for i, kind := range []string{"waits", "over", "paused"} {
		n := benchTask()
		n.Group, n.Kind = "g", kind
		if _, err := db.Insert(ctx, n); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue
		}
		if _, ok, err := db.Apply(ctx, tasks.CancelWaiting(n.Task, now.Add(time.Duration(-20*i)*time.Hour))); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	if err := db.PauseQueue(ctx, tasks.Pair{Group: "g", Kind: "paused"}, now); err != nil {
		t.Fatal(err)
	}
	if err := db.PruneStats(ctx, now.Add(-40*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		"SELECT count(*) FROM queues":                     2,
		"SELECT count(*) FROM queues WHERE kind = 'over'": 0,
		"SELECT count(*) FROM stats_minutes":              1,
		"SELECT sum(cancelled) FROM stats_minutes":        1,
	} {
		var n int
		if err := db.readRow(ctx, query, nil, (*intCol)(&n)); err != nil || n != want {
			t.Errorf("%s: %d, %v, want %d", query, n, err, want)
		}
	}
}
