package sqlite

import (
	"sync/atomic"
	"testing"
	"time"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// TestObserve: each read and each commit is told of, and the events that shared one.
func TestObserve(t *testing.T) {
	db := openTest(t)
	var reads, commits, events atomic.Int64
	count := func(n *atomic.Int64) func(time.Duration) {
		return func(took time.Duration) {
			if took <= 0 {
				t.Errorf("took %v", took)
			}
			n.Add(1)
		}
	}
	db.Observe(count(&reads), count(&commits), func(n int) { events.Add(int64(n)) })
	if _, err := db.Append(t.Context(), "group", []devsync.Event{benchEvent(0, 9), benchEvent(1, 9), benchEvent(2, 9)}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Servers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reads.Load() != 1 || commits.Load() != 1 || events.Load() != 3 {
		t.Errorf("%d reads, %d commits, %d events", reads.Load(), commits.Load(), events.Load())
	}
}
