package storetest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// testStats ends tasks in all ways over two days and compares the sums with
// those counted by hand.
func testStats(f *fixture) {
	const seed = 11
	r := rand.New(rand.NewPCG(seed, seed))
	start := f.now.Truncate(24 * time.Hour).Add(-48 * time.Hour)
	var counts []tasks.Count
	end := func(t tasks.Task) {
		if c, ok := tasks.CountOf(t); ok {
			counts = append(counts, c)
		}
	}
	for range 200 {
		at := start.Add(time.Duration(r.IntN(47*3600)) * time.Second)
		t := f.insert(func(n *tasks.New) { n.CreatedAt, n.RunAt, n.Group = at, at, pick(r, "g", "g2") })
		if r.IntN(5) == 0 {
			end(f.apply(tasks.CancelWaiting(t, at.Add(time.Second))))
			continue
		}
		o := owner("s")
		o.User = pick(r, "ada", "bob")
		claimed := at.Add(time.Duration(r.IntN(100000)) * time.Millisecond)
		t = f.apply(tasks.Claim(t.ID, 0, o, t.Timeout, claimed))
		ended := claimed.Add(time.Duration(r.IntN(1000000)) * time.Millisecond)
		switch r.IntN(3) {
		case 0:
			end(f.apply(tasks.FailAttempt(t, protocol.TaskError{Code: "c"}, ended)))
		case 1: // not the end: not counted
			f.apply(tasks.FailAttempt(t, protocol.TaskError{Code: "c", Retryable: true}, ended))
		default:
			t = f.apply(tasks.Succeed(t, nil, ended))
			end(t)
			f.ok(f.Payloads.Drop(f.ctx, t.ID, ended)) // counts nothing
		}
	}
	parent := f.insert(func(n *tasks.New) { n.Phase, n.FanOut.Mode = tasks.Open, tasks.ModeSplit })
	end(f.apply(tasks.CancelWaiting(parent, f.now))) // not counted either
	for _, since := range []time.Time{start.Add(-time.Hour), start, start.Add(90 * time.Minute), start.Add(30 * time.Hour), f.now.Add(time.Hour)} {
		for _, group := range []string{"g", "g2", "nobody"} {
			f.wantStats(group, since, counts)
			f.wantPeriods(group, since, counts)
		}
	}
}

// wantPeriods compares a group's minutes and hours.
func (f *fixture) wantPeriods(group string, since time.Time, counts []tasks.Count) {
	f.Helper()
	for _, step := range []time.Duration{time.Minute, time.Hour} {
		var want []tasks.Period
		slices.SortStableFunc(counts, func(a, b tasks.Count) int { return a.At.Compare(b.At) })
		for _, c := range counts {
			at := c.At.Truncate(step)
			if c.Group != group || at.Before(since.Truncate(step)) {
				continue
			}
			if len(want) == 0 || !want[len(want)-1].At.Equal(at) {
				p := tasks.Period{At: at}
				if step == time.Hour {
					p.Histograms = tasks.Histograms{Wait: tasks.Histogram{}, Run: tasks.Histogram{}}
				}
				want = append(want, p)
			}
			p := &want[len(want)-1]
			switch c.Status {
			case tasks.Succeeded:
				p.Succeeded++
			case tasks.Failed:
				p.Failed++
			case tasks.Cancelled:
				p.Cancelled++
			}
			if c.Ran && step == time.Hour {
				p.Wait[tasks.Bucket(c.Wait)]++
				p.Run[tasks.Bucket(c.Run)]++
			}
		}
		read := f.Stats.Hours
		if step == time.Minute {
			read = f.Stats.Minutes
		}
		got, err := read(f.ctx, group, since)
		f.ok(err)
		f.equal("periods of "+group, got, want)
	}
}

func (f *fixture) wantStats(group string, since time.Time, counts []tasks.Count) {
	f.Helper()
	members := map[string]tasks.MemberStats{}
	want := tasks.Histograms{Wait: tasks.Histogram{}, Run: tasks.Histogram{}}
	for _, c := range counts {
		if c.Group != group || c.At.Truncate(time.Hour).Before(since.Truncate(time.Hour)) {
			continue
		}
		m := members[c.Member]
		m.Member = c.Member
		switch c.Status {
		case tasks.Succeeded:
			m.Succeeded++
		case tasks.Failed:
			m.Failed++
		case tasks.Cancelled:
			m.Cancelled++
		}
		if c.Ran {
			m.Run += c.Run
			want.Wait[tasks.Bucket(c.Wait)]++
			want.Run[tasks.Bucket(c.Run)]++
		}
		members[c.Member] = m
	}
	got, h, err := f.Stats.Stats(f.ctx, group, since)
	f.ok(err)
	slices.SortFunc(got, func(a, b tasks.MemberStats) int { return strings.Compare(a.Member, b.Member) })
	var list []tasks.MemberStats
	for _, m := range members {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b tasks.MemberStats) int { return strings.Compare(a.Member, b.Member) })
	f.equal("members of "+group, got, list)
	f.equal("times of "+group, h, want)
}

func testDepth(f *fixture) {
	f.insert()
	f.insert()
	f.insert(child("p", "0", 0))
	f.insert(func(n *tasks.New) { n.Status = tasks.Scheduled })
	f.claim(f.insert(), "s")
	f.apply(tasks.CancelWaiting(f.insert(), f.now))
	f.insert(func(n *tasks.New) { n.Group = "other" })
	f.insert(func(n *tasks.New) { n.Phase, n.FanOut.Mode = tasks.Open, tasks.ModeSplit }) // a parent: its parts count
	depth, err := f.Stats.Depth(f.ctx, "g")
	f.ok(err)
	f.equal("depth", depth, map[tasks.Status]int{tasks.Queued: 3, tasks.Scheduled: 1, tasks.Running: 1})
	depth, err = f.Stats.Depth(f.ctx, "nobody")
	f.ok(err)
	f.equal("of nobody", depth, map[tasks.Status]int{})
}
