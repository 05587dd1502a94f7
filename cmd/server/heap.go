package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How large the heap becomes, in bytes, before it is collected. A few MB of it are in
// use in most servers: at twice that, which is Go's own rule, a busy one would collect
// dozens of times a second. It may be as large as what is allocated in busyInterval,
// up to busyHeap. An idle server reaches minHeap too, within minutes, and is to stay
// below 60 MB in all (docs/numbers.md, P9).
const (
	minHeap      = 20 << 20
	busyHeap     = 160 << 20
	busyInterval = 2 * time.Second
)

// calmInterval is how long there is no collection after some that followed each other
// within it, until memory goes back to the system. Go itself does so over minutes, and
// keeps twice the heap.
const calmInterval = 10 * time.Second

// spaceCollections keeps collections of garbage apart while the heap is small. A
// large one is collected by Go's own rule, and all are where the operator sets
// GOGC.
func spaceCollections() {
	if os.Getenv("GOGC") == "" {
		calm := time.AfterFunc(calmInterval, debug.FreeOSMemory) // of the start
		collected{calm: calm}.next()
	}
}

// collected is a collection: when it was, how much had been allocated until then, and
// which percentage was set.
type collected struct {
	at        time.Time
	allocated uint64
	percent   int
	calm      *time.Timer // gives memory back
}

// next sets the goal of the next collection by what this one has left and what was
// allocated since the one before it, and has itself called after it.
func (before collected) next() {
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(heap)
	now := before.then(time.Now(), heap[0].Value.Uint64(), heap[1].Value.Uint64())
	if now.percent != before.percent {
		debug.SetGCPercent(now.percent)
	}
	runtime.AddCleanup(new([64]byte), collected.next, now) // garbage, that the next collection finds
}

// then is a collection at a time that has left live of all bytes allocated so far.
func (before collected) then(at time.Time, live, allocated uint64) collected {
	since := at.Sub(before.at)
	if since < calmInterval { // not the one that calm makes
		before.calm.Reset(calmInterval)
	}
	rate := float64(allocated-before.allocated) / max(since.Seconds(), 1e-3)
	return collected{at: at, allocated: allocated, percent: gcPercent(live, rate, since), calm: before.calm}
}

// gcPercent is by how many percent the heap may grow from live bytes, where rate bytes
// a second were allocated since the last collection, since ago: to what is allocated in
// busyInterval, within minHeap and busyHeap, at least to its double, or by a quarter where
// collections are seldom.
func gcPercent(live uint64, rate float64, since time.Duration) int {
	least := 100
	if since >= calmInterval {
		least = 25
	}
	heap := min(max(rate*busyInterval.Seconds(), minHeap), busyHeap)
	return max(least, int(heap*100/float64(max(live, 1<<20)))-100)
}
