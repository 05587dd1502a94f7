package storetest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

func ids(ts []tasks.Task) []string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = t.ID
	}
	return out
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomTask is some task in some state.
func (f *fixture) randomTask(r *rand.Rand) tasks.New {
	return f.build(func(n *tasks.New) {
		maybe := func() time.Time {
			return pick(r, time.Time{}, f.now, f.now.Add(time.Duration(r.IntN(100))*time.Second))
		}
		n.Group, n.Kind = pick(r, "g", "g2"), pick(r, "k", "k2")
		n.Title = pick(r, "One two", "two THREE", "Three, one", "")
		n.Status = pick(r, tasks.Scheduled, tasks.Queued, tasks.Running, tasks.Succeeded, tasks.Failed, tasks.Cancelled)
		n.Phase = pick(r, tasks.NoPhase, tasks.NoPhase, tasks.Open, tasks.Reducing)
		n.Priority, n.CreatedBy = pick(r, tasks.Priorities...), pick(r, "u", "u2")
		n.RunAt, n.EnqueuedAt, n.Deadline, n.FinishedAt = maybe(), maybe(), maybe(), maybe()
		n.CancelRequestedAt, n.DropAt, n.DroppedAt = maybe(), maybe(), maybe()
		n.Attempt, n.Epoch, n.Session = r.IntN(3), int64(r.IntN(3)), pick(r, "", "s", "s2")
		n.Worker, n.Target = pick(r, "", "w"), pick(r, "", "", "w")
		if r.IntN(3) == 0 {
			n.Parent, n.Key, n.Index = "p", n.ID, r.IntN(50)
		}
	})
}

func randomCond(r *rand.Rand, like tasks.Task) tasks.Cond {
	switch r.IntN(9) {
	case 0:
		return tasks.In(tasks.ColStatus, pick(r, tasks.Unfinished, []tasks.Status{tasks.Queued, tasks.Scheduled}, []tasks.Status{tasks.Failed})...)
	case 1:
		return tasks.In(tasks.ColTarget, "", like.Target)
	case 2:
		return tasks.Cond{Column: tasks.ColTitle, Op: tasks.OpWords, Value: pick(r, "one", "TW", "th on", "nothing", "")}
	case 3:
		return tasks.Cond{Column: pick(r, tasks.ColID, tasks.ColAttempt, tasks.ColEpoch, tasks.ColIndex), Op: tasks.OpGt}
	case 4, 5:
		return tasks.Cond{
			Column: pick(r, tasks.ColRunAt, tasks.ColEnqueuedAt, tasks.ColDeadline, tasks.ColFinishedAt, tasks.ColDropAt),
			Op:     pick(r, tasks.OpEq, tasks.OpNe, tasks.OpLt, tasks.OpLte, tasks.OpGt, tasks.OpGte),
		}
	default:
		return tasks.Cond{
			Column: pick(r, tasks.ColGroup, tasks.ColKind, tasks.ColStatus, tasks.ColPhase, tasks.ColCreatedBy,
				tasks.ColParent, tasks.ColSession, tasks.ColWorker, tasks.ColTarget, tasks.ColPriority),
			Op: pick(r, tasks.OpEq, tasks.OpEq, tasks.OpNe),
		}
	}
}

func testFind(f *fixture) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	all := make([]tasks.Task, 150)
	for i := range all {
		n := f.randomTask(r)
		_, err := f.Tasks.Insert(f.ctx, n)
		f.ok(err)
		all[i] = n.Task
	}
	for round := range f.some(300) {
		q := tasks.Query{Limit: 1 + r.IntN(200)}
		list := r.IntN(4) == 0
		if list { // as people look at it
			q.Where = tasks.Where{
				tasks.Eq(tasks.ColGroup, "g"), tasks.Eq(tasks.ColParent, ""),
				tasks.In(tasks.ColStatus, pick(r, tasks.Failed, tasks.Queued), tasks.Running, tasks.Queued, tasks.Cancelled),
			}
		}
		for range r.IntN(5) {
			like := all[r.IntN(len(all))]
			c := randomCond(r, like)
			if c.Value == nil {
				c.Value = value(&like, c.Column)
			}
			if strings.HasSuffix(string(c.Column), "_at") && r.IntN(4) == 0 {
				c.Value = time.Time{}
			}
			q.Where = append(q.Where, c)
		}
		if !list && r.IntN(2) == 0 {
			q.Sort = append(q.Sort, tasks.Sort{
				Column: pick(r, tasks.ColEnqueuedAt, tasks.ColRunAt, tasks.ColIndex, tasks.ColDeadline), Desc: r.IntN(2) == 0,
			})
		}
		q.Sort = append(q.Sort, tasks.Sort{Column: tasks.ColID, Desc: r.IntN(2) == 0})
		var want []tasks.Task
		for _, t := range all {
			if holds(t, q.Where) {
				want = append(want, t)
			}
		}
		sorted(want, q.Sort)
		n, err := f.Tasks.Count(f.ctx, q.Where, q.Limit)
		f.ok(err)
		want = want[:min(len(want), q.Limit)]
		f.equal("count", n, len(want))
		got, err := f.Tasks.Find(f.ctx, q)
		f.ok(err)
		if !slices.Equal(ids(got), ids(want)) {
			f.Fatalf("round %d, seed %d: %+v\n got %d %v\nwant %d %v", round, seed, q, len(got), ids(got), len(want), ids(want))
		}
		if len(got) > 0 {
			f.equal("row", got[0], want[0])
		}
	}
}

// list is a page of a group's list, newest first.
func (f *fixture) list(limit int, also ...tasks.Cond) []tasks.Task {
	f.Helper()
	ts, err := f.Tasks.Find(f.ctx, tasks.Query{
		Where: append(tasks.Where{tasks.Eq(tasks.ColGroup, "g"), tasks.Eq(tasks.ColParent, "")}, also...),
		Sort:  []tasks.Sort{{Column: tasks.ColID, Desc: true}}, Limit: limit,
	})
	f.ok(err)
	return ts
}

func words(q string) tasks.Cond {
	return tasks.Cond{Column: tasks.ColTitle, Op: tasks.OpWords, Value: q}
}

func testWords(f *fixture) {
	titles := []string{
		"Factorize 91", "factorise NINETY-one", "Crawl example.org", "Über Straße", "Cafe\u0301 crème", "100% _wild_ 'quote\"", "日本語 タスク",
	}
	stored := make([]tasks.Task, len(titles))
	for i, title := range titles {
		stored[i] = f.insert(func(n *tasks.New) { n.Title = title })
	}
	f.insert(func(n *tasks.New) { n.Title, n.Group = "Factorize 91", "other" })
	f.insert(func(n *tasks.New) { child("p", "0", 0)(n); n.Title = "Factorize 91" })
	for q, want := range map[string][]int{
		"factori": {1, 0}, "FACTORIZE": {0}, "91 fact": {0}, "actorize": nil, "one": {1}, "example org": {2}, "org.example": {2},
		"über": {3}, "straß": {3}, "caf\u00e9": {4}, "CRE\u0300": {4}, "%": {6, 5, 4, 3, 2, 1, 0}, "100%": {5}, "_wild": {5},
		"' OR 1 --": nil, "日本": {6}, "fact crawl": nil, "": {6, 5, 4, 3, 2, 1, 0}, stored[2].ID: {2}, " " + stored[3].ID + " ": {3},
		newID(): nil,
	} {
		var ids []string
		for _, i := range want {
			ids = append(ids, stored[i].ID)
		}
		var got []string
		for _, t := range f.list(100, words(q)) {
			got = append(got, t.ID)
		}
		f.equal("search for "+q, got, ids)
	}
	f.apply(tasks.CancelWaiting(stored[0], f.now))
	f.ok(f.Tasks.Delete(f.ctx, stored[0].ID))
	f.equal("search after delete", ids(f.list(100, words("factori"))), []string{stored[1].ID})
}

// testCommonWords searches among so many that no index of words alone would do.
func testCommonWords(f *fixture) {
	news := make([]tasks.New, f.some(2000))
	half := len(news) / 2
	for i := range news {
		title := "common"
		if i%half == 3 {
			title = "common rare"
		}
		news[i] = f.build(func(n *tasks.New) { n.Title = title })
	}
	_, err := f.Tasks.Insert(f.ctx, news...)
	f.ok(err)
	f.equal("both words", ids(f.list(10, words("comm rar"))), []string{news[half+3].ID, news[3].ID})
	f.equal("next page", ids(f.list(2, words("common"), tasks.Lt(tasks.ColID, news[half+50].ID))), []string{news[half+49].ID, news[half+48].ID})
}

func testCursor(f *fixture) {
	var before []string
	for range f.some(200) {
		before = append(before, f.insert().ID)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
				if _, err := f.Tasks.Insert(f.ctx, f.build(), f.build()); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	var seen []string
	for page := f.list(7); len(page) > 0; page = f.list(7, tasks.Lt(tasks.ColID, seen[len(seen)-1])) {
		seen = append(seen, ids(page)...)
	}
	close(stop)
	f.ok(<-done)
	if !slices.IsSortedFunc(seen, func(a, b string) int { return strings.Compare(b, a) }) {
		f.Error("pages are not newest first")
	}
	slices.Sort(seen)
	f.equal("tasks listed twice", len(seen)-len(slices.Compact(slices.Clone(seen))), 0)
	for _, id := range before {
		if !slices.Contains(seen, id) {
			f.Errorf("%s is on no page", id)
		}
	}
}

func testRunning(f *fixture) {
	f.insert()
	f.claim(f.insert(), "a")
	f.claim(f.insert(), "a")
	t := f.claim(f.insert(), "a")
	f.apply(tasks.Adopt(t, "server2", 2))
	f.claim(f.insert(), "b")
	f.apply(tasks.Succeed(f.claim(f.insert(), "c"), nil, f.now))
	f.insert(func(n *tasks.New) { n.Status, n.Phase = tasks.Running, tasks.Open }) // a parent is nobody's
	owned, err := f.Tasks.Running(f.ctx)
	f.ok(err)
	slices.SortFunc(owned, func(a, b tasks.Owned) int {
		return strings.Compare(name("%s%d", a.Session, a.Epoch), name("%s%d", b.Session, b.Epoch))
	})
	f.equal("owned", owned, []tasks.Owned{{Session: "a", Epoch: 1, Tasks: 2}, {Session: "a", Epoch: 2, Tasks: 1}, {Session: "b", Epoch: 1, Tasks: 1}})
}

func testPairs(f *fixture) {
	at := func(group, kind, target string, after time.Duration) tasks.Task {
		return f.insert(func(n *tasks.New) { n.Group, n.Kind, n.Target, n.RunAt = group, kind, target, f.now.Add(after) })
	}
	at("g", "k", "", 2*time.Second)
	at("g", "k", "", time.Second)
	at("g", "k", "w", 4*time.Second)
	at("g", "k2", "", 3*time.Second)
	at("g", "z", "", 0)
	at("h", "k", "", 5*time.Second)
	at("i", "k", "", 0)
	at("empty", "unserved", "", 0)
	f.insert(func(n *tasks.New) { n.Kind, n.Phase = "k3", tasks.Splitting })
	f.claim(at("g", "k4", "", 0), "s")
	f.apply(tasks.CancelWaiting(at("g", "k5", "", 0), f.now))
	pairs := func(limit int, groups ...string) []tasks.DuePair {
		got, err := f.Tasks.Pairs(f.ctx, groups, []string{"k", "k2", "k3", "k4", "k5", "none"}, limit)
		f.ok(err)
		slices.SortFunc(got, func(a, b tasks.DuePair) int { return a.RunAt.Compare(b.RunAt) })
		return got
	}
	due := func(group, kind, target string, after time.Duration) tasks.DuePair {
		return tasks.DuePair{Pair: tasks.Pair{Group: group, Kind: kind, Target: target}, RunAt: f.now.Add(after)}
	}
	f.equal("pairs", pairs(100, "h", "g", "g", "none", "empty"), []tasks.DuePair{
		due("g", "k", "", time.Second), due("g", "k2", "", 3*time.Second), due("g", "k", "w", 4*time.Second), due("h", "k", "", 5*time.Second),
	})
	f.equal("limited", len(pairs(2, "g", "h")), 2)
	f.equal("of nobody", len(pairs(100)), 0)
}

func testCountByStatus(f *fixture) {
	f.insert(child("p", "0", 0))
	f.insert(child("p", "1", 1))
	f.claim(f.insert(child("p", "2", 2)), "s")
	f.insert(child("p", tasks.ReduceKey, -1))
	f.insert(child("q", "0", 0))
	counts, err := f.Tasks.CountByStatus(f.ctx, "p")
	f.ok(err)
	f.equal("counts", counts, map[tasks.Status]int{tasks.Queued: 2, tasks.Running: 1})
	counts, err = f.Tasks.CountByStatus(f.ctx, "nobody")
	f.ok(err)
	f.equal("of none", len(counts), 0)
}

func testDelete(f *fixture) {
	parent := f.insert(func(n *tasks.New) { n.Phase, n.FanOut.Mode, n.Input = tasks.Open, tasks.ModeSplit, []byte("1") })
	part := f.claim(f.insert(child(parent.ID, "0", 0)), "s")
	f.ok(f.Payloads.AddHistory(f.ctx, parent.ID, tasks.Entry{At: f.now, Event: tasks.EvSplit}))
	f.ok(f.Tasks.Delete(f.ctx, parent.ID, part.ID))
	f.get(parent.ID) // neither has ended
	f.get(part.ID)
	f.apply(tasks.Transition{Name: "end", Task: parent.ID, Set: []tasks.Assign{
		tasks.Set(tasks.ColStatus, tasks.Cancelled), tasks.Set(tasks.ColPhase, tasks.NoPhase), tasks.Set(tasks.ColFinishedAt, f.now),
	}})
	other := f.insert()
	f.ok(f.Tasks.Delete(f.ctx, parent.ID, other.ID, newID()))
	for _, id := range []string{parent.ID, part.ID} {
		if _, err := f.Tasks.Get(f.ctx, id); !errors.Is(err, tasks.ErrNotFound) {
			f.Errorf("after delete: %v", err)
		}
		if _, err := f.Payloads.Input(f.ctx, id); !errors.Is(err, tasks.ErrNotFound) {
			f.Errorf("input after delete: %v", err)
		}
	}
	history, err := f.Payloads.History(f.ctx, parent.ID)
	f.ok(err)
	f.equal("history", len(history), 0)
	f.get(other.ID)
	f.equal("children inserted anew", f.again(child(parent.ID, "0", 0)).Existed, false)
}
