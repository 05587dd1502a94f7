package main

import (
	"maps"
	"strings"
	"testing"
)

const text = `goos: linux
pkg: example
BenchmarkGuardA-2   	 1000	     50.0 ns/op	      16 B/op	       2 allocs/op
BenchmarkGuardA-2   	 1000	     51.0 ns/op	      16 B/op	       1 allocs/op
BenchmarkGuardB     	  200	  50000 ns/op	 4000 B/op	     100 allocs/op
BenchmarkNoMemory-2 	  200	  50000 ns/op
PASS
`

func TestAllocations(t *testing.T) {
	if got, want := allocations([]byte(text)), map[string]int{"GuardA": 1, "GuardB": 100}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCompare(t *testing.T) {
	old := map[string]int{"A": 0, "B": 100, "C": 10}
	for name, c := range map[string]struct {
		now  map[string]int
		want string
	}{
		"the same":  {map[string]int{"A": 0, "B": 100, "C": 10}, ""},
		"fewer":     {map[string]int{"A": 0, "B": 80, "C": 9}, ""},
		"a little":  {map[string]int{"A": 0, "B": 105, "C": 10}, ""},
		"the first": {map[string]int{"A": 1, "B": 100, "C": 10}, "A: 1 allocations, 0"},
		"one of 10": {map[string]int{"A": 0, "B": 100, "C": 11}, "C: 11 allocations, 10"},
		"new":       {map[string]int{"A": 0, "B": 100, "C": 10, "D": 1}, "D is not in"},
		"gone":      {map[string]int{"A": 0, "B": 100}, "C did not run"},
	} {
		got := strings.Join(compare(old, c.now), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
