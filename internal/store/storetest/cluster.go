package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/workers"
)

func (f *fixture) servers() []workers.Server {
	f.Helper()
	ss, err := f.Cluster.Servers(f.ctx)
	f.ok(err)
	slices.SortFunc(ss, func(a, b workers.Server) int { return strings.Compare(a.ID, b.ID) })
	return ss
}

func testServers(f *fixture) {
	a := workers.Server{ID: "a", Address: "a:1", Started: f.now, BeatAt: f.now}
	b := workers.Server{ID: "b", Address: "b:1", Started: f.now.Add(time.Second)}
	f.ok(f.Cluster.Beat(f.ctx, a))
	f.ok(f.Cluster.Beat(f.ctx, b))
	before := f.servers()
	f.equal("servers", len(before), 2)
	f.equal("started", before[1].Started, b.Started)
	f.equal("address", before[0].Address, a.Address)
	f.equal("when it beat", before[0].BeatAt, f.now)
	a.BeatAt = f.now.Add(2 * time.Second)
	f.ok(f.Cluster.Beat(f.ctx, a))
	after := f.servers()
	f.equal("when it beat again", after[0].BeatAt, a.BeatAt)
	if after[0].Beat == before[0].Beat {
		f.Error("the beat of a does not change")
	}
	f.equal("another's", after[1], before[1])
	f.ok(f.Cluster.RemoveServer(f.ctx, "a"))
	f.ok(f.Cluster.RemoveServer(f.ctx, "nobody"))
	f.equal("left", f.servers(), after[1:])
}

func testLeases(f *fixture) {
	end := f.now.Add(time.Minute)
	var last int64
	for _, step := range []struct {
		name, server string
		now          time.Time
		ok, rises    bool
	}{
		{"first", "a", f.now, true, true},
		{"another's", "b", f.now, false, false},
		{"extended", "a", f.now.Add(time.Second), true, false},
		{"still another's", "b", end.Add(-time.Millisecond), false, false},
		{"its end", "b", end, true, true},
		{"the old holder", "a", end, false, false},
		{"back again", "a", end.Add(time.Minute), true, true},
	} {
		until := end
		if !step.now.Before(end) {
			until = step.now.Add(time.Minute)
		}
		fence, ok, err := f.Cluster.Lease(f.ctx, "job", step.server, step.now, until)
		f.ok(err)
		if ok != step.ok || ok && (fence > last) != step.rises || ok && fence < last {
			f.Errorf("%s: fence %d after %d, ok %v", step.name, fence, last, ok)
		}
		if ok {
			last = fence
		}
	}
	_, ok, err := f.Cluster.Lease(f.ctx, "other job", "b", f.now, end)
	f.ok(err)
	f.equal("another job", ok, true)
}

func testLeaseRace(f *fixture) {
	var last int64
	for round := range 20 {
		now := f.now.Add(time.Duration(round) * time.Minute)
		fences := make(chan int64, 16)
		won := f.together(16, func(i int) (bool, error) {
			// Nobody of an earlier round: the lease changes hands in each.
			fence, ok, err := f.Cluster.Lease(f.ctx, "job", name("server %d of round %d", i, round), now, now.Add(time.Minute))
			if ok {
				fences <- fence
			}
			return ok, err
		})
		f.equal("holders", won, 1)
		if fence := <-fences; fence <= last {
			f.Fatalf("fence %d after %d", fence, last)
		} else {
			last = fence
		}
	}
}
