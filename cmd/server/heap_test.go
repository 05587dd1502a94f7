package main

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]struct{ calm, usual, busy int }{
		0: {1900, 1900, 6300}, 1 << 20: {1900, 1900, 6300}, 5 << 20: {300, 300, 1180}, 10 << 20: {100, 100, 540},
		11 << 20: {81, 100, 481}, 32 << 20: {50, 100, 100}, 1 << 40: {50, 100, 100},
	} {
		for since, want := range map[time.Duration]int{
			calmInterval: want.calm, calmInterval - 1: want.usual, busyInterval: want.usual, busyInterval - 1: want.busy,
		} {
			if got := gcPercent(live, since); got != want {
				t.Errorf("with %d bytes in use, %s after the last collection, the heap may grow by %d %%, want %d", live, since, got, want)
			}
		}
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
			last = last.then(time.Now(), 1<<20)
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
