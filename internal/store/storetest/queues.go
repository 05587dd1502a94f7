package storetest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

func queue(group, kind string) tasks.Pair { return tasks.Pair{Group: group, Kind: kind} }

// queues reads all, two at a time.
func (f *fixture) queues() []tasks.QueueState {
	f.Helper()
	var all []tasks.QueueState
	for after := (tasks.Pair{}); ; {
		page, err := f.Queues.Queues(f.ctx, after, 2, f.now)
		f.ok(err)
		all = append(all, page...)
		if len(page) < 2 {
			return all
		}
		after = queue(page[1].Group, page[1].Kind)
	}
}

// testQueueCounts moves tasks in every way there is and compares the queues with
// what a look at every task says.
func testQueueCounts(f *fixture) {
	const seed = 5
	r := rand.New(rand.NewPCG(seed, seed))
	var ids []string
	for range f.some(300) {
		n := f.build(func(n *tasks.New) {
			n.Group, n.Kind = pick(r, "g", "g2"), pick(r, "k", "k2")
			n.RunAt = f.now.Add(time.Duration(r.IntN(3)-1) * time.Hour)
			if n.Status = tasks.Queued; n.RunAt.After(f.now) {
				n.Status = tasks.Scheduled
			}
			switch r.IntN(6) {
			case 0:
				n.Phase, n.FanOut.Mode, n.Status = tasks.Open, tasks.ModeSplit, tasks.Queued
			case 1:
				n.Parent, n.Key, n.Target = "p", newID(), pick(r, "", "w-s")
			}
		})
		out, err := f.Tasks.Insert(f.ctx, n, n) // the second exists
		f.ok(err)
		ids = append(ids, out[0].Task.ID)
	}
	for range f.some(1500) {
		f.moveSomehow(r, f.get(pick(r, ids...)))
	}
	var all []tasks.Task
	for _, id := range ids {
		all = append(all, f.get(id))
	}
	want := queuesOf(all, f.now)
	f.equal("queues", f.queues(), want)
	slices.SortStableFunc(want, func(a, b tasks.QueueState) int { return b.Waiting + b.Scheduled - a.Waiting - a.Scheduled })
	longest, err := f.Queues.LongestQueues(f.ctx, 2, f.now)
	f.ok(err)
	f.equal("the longest", longest, want[:2])
	o, err := f.Installation.Overview(f.ctx, f.now)
	f.ok(err)
	byStatus := map[tasks.Status]int{}
	for _, t := range all {
		if !t.IsParent() {
			byStatus[t.Status]++
		}
	}
	f.equal("tasks of the overview", []int{o.Scheduled, o.Queued, o.Running},
		[]int{byStatus[tasks.Scheduled], byStatus[tasks.Queued], byStatus[tasks.Running]})
}

// moveSomehow tries some transition, which may not apply.
func (f *fixture) moveSomehow(r *rand.Rand, t tasks.Task) {
	f.Helper()
	tr := pick(r,
		tasks.Claim(t.ID, t.Attempt, owner("s"), t.Timeout, f.now), tasks.Claim(t.ID, t.Attempt, owner("s"), t.Timeout, f.now),
		tasks.Succeed(t, nil, f.now), tasks.FailAttempt(t, protocol.TaskError{Retryable: true}, f.now),
		tasks.FailAttempt(t, protocol.TaskError{}, f.now), tasks.RejectAttempt(t, f.now),
		tasks.Lose(t, tasks.Loss{}, f.now), tasks.CancelWaiting(t, f.now), tasks.CancelRunning(t, f.now),
		tasks.RetryByHand(t, f.now), tasks.Expire(t, f.now), tasks.Stamp(t, f.now),
		// What no other transition says of a status before: any will do.
		tasks.Transition{Name: "any", Task: t.ID, Set: []tasks.Assign{tasks.Set(tasks.ColStatus, t.Status)}},
	)
	if t.IsParent() && tr.Name == "retry" {
		return // it gets a phase again; here it goes on ended
	}
	if tr.Name == "claim" && r.IntN(2) == 0 {
		_, _, _, err := f.Tasks.Claim(f.ctx, tr)
		f.ok(err)
		return
	}
	_, _, err := f.Tasks.Apply(f.ctx, tr)
	f.ok(err)
}

// queuesOf looks at every task.
func queuesOf(ts []tasks.Task, now time.Time) []tasks.QueueState {
	var out []tasks.QueueState
	for _, name := range []tasks.Pair{queue("g", "k"), queue("g", "k2"), queue("g2", "k"), queue("g2", "k2")} {
		q := tasks.QueueState{Group: name.Group, Kind: name.Kind}
		for _, t := range ts {
			switch {
			case t.Group != q.Group || t.Kind != q.Kind || t.IsParent() || t.Status.Ended():
			case t.Status == tasks.Running:
				q.Running++
			case t.RunAt.After(now):
				q.Scheduled++
			default:
				q.Waiting++
				if q.Oldest.IsZero() || t.RunAt.Before(q.Oldest) {
					q.Oldest = t.RunAt
				}
			}
		}
		if q.Waiting+q.Scheduled > 0 {
			out = append(out, q)
		}
	}
	return out
}

func (f *fixture) wantPaused(what string, want ...tasks.Pair) {
	f.Helper()
	got, err := f.Queues.PausedQueues(f.ctx)
	f.ok(err)
	slices.SortFunc(got, func(a, b tasks.Pair) int { return slices.Compare([]string{a.Group, a.Kind}, []string{b.Group, b.Kind}) })
	f.equal(what, got, want)
}

func testPauses(f *fixture) {
	f.wantPaused("none")
	f.insert()
	f.ok(f.Queues.PauseQueue(f.ctx, queue("g", "k"), f.now))
	f.ok(f.Queues.PauseQueue(f.ctx, queue("g", "k"), f.now.Add(time.Hour))) // keeps its time
	f.ok(f.Queues.PauseQueue(f.ctx, queue("g", "empty"), f.now))
	f.ok(f.Queues.PauseQueue(f.ctx, queue("other", "k"), f.now))
	f.wantPaused("three", queue("g", "empty"), queue("g", "k"), queue("other", "k"))
	f.equal("as queues", f.queues(), []tasks.QueueState{
		{Group: "g", Kind: "empty", PausedAt: f.now},
		{Group: "g", Kind: "k", Waiting: 1, Oldest: f.now, PausedAt: f.now},
		{Group: "other", Kind: "k", PausedAt: f.now},
	})
	t := f.claim(f.insert(), "s") // a pause says nothing to the store itself
	f.ok(f.Queues.ResumeQueue(f.ctx, queue("g", "k")))
	f.ok(f.Queues.ResumeQueue(f.ctx, queue("nobody", "k")))
	f.wantPaused("one resumed", queue("g", "empty"), queue("other", "k"))
	f.ok(f.Queues.ResumeGroup(f.ctx, "g"))
	f.ok(f.Queues.ResumeGroup(f.ctx, "nobody"))
	f.wantPaused("a group resumed", queue("other", "k"))
	f.apply(tasks.Succeed(t, nil, f.now))
	f.equal("counts go on", f.queues(), []tasks.QueueState{
		{Group: "g", Kind: "k", Waiting: 1, Oldest: f.now},
		{Group: "other", Kind: "k", PausedAt: f.now},
	})
}
