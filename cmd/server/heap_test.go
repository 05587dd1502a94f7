package main

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live, rate float64 // MB, MB/s
		since      time.Duration
		want       int
	}{
		{0, 0, time.Second, 1900}, {1, 0, time.Second, 1900}, {5, 0, time.Second, 300}, // to minHeap
		{5, 9.9, time.Second, 300}, {5, 25, time.Second, 900}, {5, 50, time.Second, 1900}, // for two seconds
		{5, 80, time.Second, 3100}, {5, 81, time.Second, 3100}, {5, 1e6, time.Millisecond, 3100}, // to busyHeap
		{11, 0, calmInterval - 1, 100}, {11, 0, calmInterval, 81}, {1e6, 1e6, calmInterval - 1, 100}, {1e6, 1e6, calmInterval, 25},
	} {
		if got := gcPercent(uint64(c.live*(1<<20)), c.rate*(1<<20), c.since); got != c.want {
			t.Errorf("%.0f MB in use, %.1f MB/s, %s after the last collection: the heap may grow by %d %%, want %d",
				c.live, c.rate, c.since, got, c.want)
		}
	}
}

// TestRateOfAllocation: it is that since the collection before.
func TestRateOfAllocation(t *testing.T) {
	start := time.Now()
	c := collected{at: start, allocated: 1000 << 20, calm: time.NewTimer(time.Hour)}
	c = c.then(start.Add(time.Second), 5<<20, 1050<<20)
	if c.percent != 1900 {
		t.Errorf("50 MB in a second: %d %%", c.percent)
	}
	c = c.then(start.Add(6*time.Second), 5<<20, 1100<<20)
	if c.percent != 300 {
		t.Errorf("50 MB in five seconds: %d %%", c.percent)
	}
	if c = c.then(start.Add(6*time.Second), 5<<20, 1101<<20); c.percent != 3100 {
		t.Errorf("at once: %d %%", c.percent)
	}
}

// TestMemoryGoesBackWhenABurstIsOver: once, and not again for the collection that this
// makes itself.
func TestMemoryGoesBackWhenABurstIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var last collected
		collect := func() {
			mu.Lock()
			defer mu.Unlock()
			last = last.then(time.Now(), 1<<20, 0)
		}
		var given atomic.Int64
		last.calm = time.AfterFunc(calmInterval, func() {
			given.Add(1)
			collect()
		})
		wait := func(d time.Duration, want int64) {
			t.Helper()
			time.Sleep(d) //nolint:forbidigo // of the bubble
			synctest.Wait()
			if got := given.Load(); got != want {
				t.Errorf("%d times, want %d", got, want)
			}
		}
		collect()
		wait(calmInterval, 1) // of the start
		wait(time.Hour, 1)
		collect()
		wait(time.Hour, 1) // a single one is no burst
		for range 20 {
			collect()
			wait(calmInterval-time.Second, 1)
		}
		wait(time.Second, 2)
		wait(time.Hour, 2)
	})
}

// TestFirstCollection: at the start there was none before.
func TestFirstCollection(t *testing.T) {
	if since := time.Since(collected{}.at); since < calmInterval {
		t.Errorf("%s ago", since)
	}
}
