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
// dozens of times a second. An idle server reaches minHeap too, within minutes, and is
// to stay below 60 MB in all (docs/numbers.md, P9); one that collects more often than
// every busyInterval may use busyHeap, until it no longer does.
const (
	minHeap      = 20 << 20
	busyHeap     = 64 << 20
	busyInterval = time.Second
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

// collected is a collection: when it was, and which percentage was set then.
type collected struct {
	at      time.Time
	percent int
	calm    *time.Timer // gives memory back
}

// next sets the goal of the next collection by what this one has left and how long ago
// the one before it was, and has itself called after it.
func (before collected) next() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	now := before.then(time.Now(), live[0].Value.Uint64())
	if now.percent != before.percent {
		debug.SetGCPercent(now.percent)
	}
	runtime.AddCleanup(new([64]byte), collected.next, now) // garbage, that the next collection finds
}

// then is a collection at a time that has left so many bytes.
func (before collected) then(at time.Time, live uint64) collected {
	since := at.Sub(before.at)
	if since < calmInterval { // not the one that calm makes
		before.calm.Reset(calmInterval)
	}
	return collected{at: at, percent: gcPercent(live, since), calm: before.calm}
}

// gcPercent is by how many percent the heap may grow from live bytes, where the last
// collection was since ago: to minHeap or busyHeap, at least to its double, or by half
// where collections are seldom.
func gcPercent(live uint64, since time.Duration) int {
	heap, least := uint64(minHeap), 100
	switch {
	case since < busyInterval:
		heap = busyHeap
	case since >= calmInterval:
		least = 50
	}
	return max(least, int(heap*100/max(live, 1<<20))-100)
}
