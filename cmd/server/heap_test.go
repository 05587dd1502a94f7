package main

import (
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]struct{ idle, busy int }{
		0: {1900, 6300}, 1 << 20: {1900, 6300}, 5 << 20: {300, 1180}, 10 << 20: {100, 540}, 11 << 20: {100, 481},
		32 << 20: {100, 100}, 1 << 40: {100, 100},
	} {
		if got := gcPercent(live, busyInterval); got != want.idle {
			t.Errorf("with %d bytes in use the heap may grow by %d %%, want %d", live, got, want.idle)
		}
		if got := gcPercent(live, busyInterval/2); got != want.busy {
			t.Errorf("with %d bytes in use and many collections the heap may grow by %d %%, want %d", live, got, want.busy)
		}
	}
}

// TestFirstCollection: at the start there was none before.
func TestFirstCollection(t *testing.T) {
	if since := time.Since(collected{}.at); since < busyInterval {
		t.Errorf("%s ago", since)
	}
}
