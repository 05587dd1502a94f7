package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// minHeap is how large the heap becomes, in bytes, before it is collected. A few
// MB of it are in use in most servers: at twice that, which is Go's own rule, a
// busy one would collect dozens of times a second. An idle server reaches it too,
// within minutes, and is to stay below 60 MB in all (docs/numbers.md, P9).
const minHeap = 20 << 20

// spaceCollections keeps collections of garbage apart while the heap is small. A
// large one is collected by Go's own rule, and all are where the operator sets
// GOGC.
func spaceCollections() {
	if os.Getenv("GOGC") == "" {
		afterCollection(0)
	}
}

// afterCollection sets the goal of the next collection by what the last one left,
// and has itself called after it.
func afterCollection(before int) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := gcPercent(live[0].Value.Uint64())
	if percent != before {
		debug.SetGCPercent(percent)
	}
	runtime.AddCleanup(new([64]byte), afterCollection, percent) // garbage, that the next collection finds
}

// gcPercent is by how many percent the heap may grow from live bytes: to minHeap,
// at least to its double.
func gcPercent(live uint64) int {
	return max(100, int(minHeap*100/max(live, 1<<20))-100)
}
