package mongo

import (
	"sync/atomic"
	"testing"
	"time"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// TestObserve: each command is told of, and the events that shared one.
func TestObserve(t *testing.T) {
	db := openTest(t)
	var reads, commits, events atomic.Int64
	count := func(n *atomic.Int64) func(time.Duration) { return func(time.Duration) { n.Add(1) } }
	db.Observe(count(&reads), count(&commits), func(n int) { events.Add(int64(n)) })
	before, _ := db.Writes()
	now := time.Now().UTC().Truncate(time.Millisecond)
	e := devsync.Event{Device: "d", At: now, ReceivedAt: now}
	if _, err := db.Append(t.Context(), "g", []devsync.Event{e, e}); err != nil {
		t.Fatal(err)
	}
	after, _ := db.Writes()
	if n := commits.Load(); n == 0 || n != after-before {
		t.Errorf("%d commits told of, %d counted", n, after-before)
	}
	if reads.Load() == 0 || events.Load() != 1 {
		t.Errorf("%d reads, %d events, want some and 1", reads.Load(), events.Load())
	}
}
