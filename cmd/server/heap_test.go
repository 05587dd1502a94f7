package main

import (
	"testing"
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

// TestFirstCollection: at the start there was none before.
func TestFirstCollection(t *testing.T) {
	if since := time.Since(collected{}.at); since < calmInterval {
		t.Errorf("%s ago", since)
	}
}
