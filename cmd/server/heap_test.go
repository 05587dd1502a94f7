package main

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 3100, 1 << 20: 3100, 8 << 20: 300, 16 << 20: 100, 17 << 20: 100, 1 << 40: 100,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("with %d bytes in use the heap may grow by %d %%, want %d", live, got, want)
		}
	}
}
