package main

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 1900, 1 << 20: 1900, 5 << 20: 300, 10 << 20: 100, 11 << 20: 100, 1 << 40: 100,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("with %d bytes in use the heap may grow by %d %%, want %d", live, got, want)
		}
	}
}
