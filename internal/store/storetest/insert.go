package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

func testInsert(f *fixture) {
	percent, keep := 50.0, 90*time.Second
	full := f.build(func(n *tasks.New) {
		n.Input = []byte(`{"n":1}`)
		n.Percent, n.ResultRetention = &percent, &keep
		n.Error = &protocol.TaskError{Code: "c", Message: "m"}
		n.FanOut = tasks.FanOut{Mode: tasks.ModeSplit, Parts: 3, Reduce: tasks.ReduceOwn, AllowFailures: 2}
		n.Phase, n.Parent, n.Key, n.Index, n.Count, n.Target = tasks.Open, "p", "7", 7, 9, "w"
		n.InBytes, n.Gen, n.ReduceN, n.ReduceUntil = 7, 4, 5, f.now.Add(time.Hour)
	})
	bare := tasks.New{Task: tasks.Task{ID: newID(), Status: tasks.Queued}}
	out, err := f.Tasks.Insert(f.ctx, full, bare)
	f.ok(err)
	f.equal("inserted", out, []tasks.Inserted{{Task: full.Task}, {Task: bare.Task}})
	f.equal("full", f.get(full.ID), full.Task)
	f.equal("bare", f.get(bare.ID), bare.Task)
	if _, err := f.Tasks.Get(f.ctx, newID()); !errors.Is(err, tasks.ErrNotFound) {
		f.Errorf("unknown id: %v", err)
	}
	if out, err := f.Tasks.Insert(f.ctx); err != nil || len(out) != 0 {
		f.Errorf("nothing inserted: %v, %v", out, err)
	}
}

func testInsertMany(f *fixture) {
	news := make([]tasks.New, f.some(5000))
	last := len(news) - 1
	for i := range news {
		news[i] = f.build(func(n *tasks.New) { n.Input = []byte(strconv.Itoa(i)) })
	}
	news[last-100].IdempotencyKey, news[last-99].IdempotencyKey = "key", "key"
	out, err := f.Tasks.Insert(f.ctx, news...)
	f.ok(err)
	f.equal("answers", len(out), len(news))
	for i, ins := range out {
		want := news[i].ID
		if i == last-99 {
			want = news[last-100].ID
		}
		if ins.Task.ID != want || ins.Existed != (i == last-99) {
			f.Fatalf("answer %d: %s %v, want %s", i, ins.Task.ID, ins.Existed, want)
		}
	}
	n, err := f.Tasks.Count(f.ctx, tasks.Where{tasks.Eq(tasks.ColGroup, "g")}, 0)
	f.ok(err)
	f.equal("stored", n, last)
	n, err = f.Tasks.Count(f.ctx, tasks.Where{tasks.Eq(tasks.ColGroup, "g")}, 100)
	f.ok(err)
	f.equal("counted up to", n, 100)
	for _, i := range []int{0, 249, 250, last} {
		in, err := f.Payloads.Input(f.ctx, news[i].ID)
		f.ok(err)
		f.equal("input", string(in), strconv.Itoa(i))
	}
}

func testIdempotency(f *fixture) {
	with := func(key, hash string, at time.Time) func(*tasks.New) {
		return func(n *tasks.New) { n.IdempotencyKey, n.BodyHash, n.CreatedAt = key, hash, at }
	}
	first := f.insert(with("key", "hash", f.now))
	f.apply(tasks.CancelWaiting(first, f.now))
	first = f.get(first.ID)
	edge := f.now.Add(tasks.IdempotencyWindow)
	for _, test := range []struct {
		name          string
		key, hash     string
		at            time.Time
		existed, same bool
	}{
		{"same body", "key", "hash", f.now, true, true},
		{"other body", "key", "other", f.now, true, false},
		{"other key", "key2", "hash", f.now, false, false},
		{"no key", "", "hash", f.now, false, false},
		{"end of the window", "key", "hash", edge.Add(-time.Millisecond), true, true},
		{"after the window", "key", "other", edge, false, false},
	} {
		n := f.build(with(test.key, test.hash, test.at))
		out, err := f.Tasks.Insert(f.ctx, f.build(), n, f.build())
		f.ok(err)
		want := tasks.Inserted{Task: n.Task}
		if test.existed {
			want = tasks.Inserted{Task: first, Existed: true, SameBody: test.same}
			if _, err := f.Tasks.Get(f.ctx, n.ID); !errors.Is(err, tasks.ErrNotFound) {
				f.Errorf("%s: stored again: %v", test.name, err)
			}
		}
		f.equal(test.name, out[1], want)
		f.get(out[0].Task.ID) // its neighbours are stored
		f.get(out[2].Task.ID)
	}
	f.equal("the key is the newer task's", f.again(with("key", "other", edge.Add(time.Hour))).SameBody, true)
	gone := f.insert(with("gone", "hash", f.now))
	f.apply(tasks.CancelWaiting(gone, f.now))
	f.ok(f.Tasks.Delete(f.ctx, gone.ID))
	f.equal("the key of a deleted task is free", f.again(with("gone", "hash", f.now)).Existed, false)
}

// again inserts one task that may exist.
func (f *fixture) again(mods ...func(*tasks.New)) tasks.Inserted {
	f.Helper()
	out, err := f.Tasks.Insert(f.ctx, f.build(mods...))
	f.ok(err)
	return out[0]
}

func testIdempotencyRace(f *fixture) {
	for round := range 10 {
		won := f.together(16, func(i int) (bool, error) {
			out, err := f.Tasks.Insert(f.ctx, f.build(func(n *tasks.New) {
				n.IdempotencyKey, n.BodyHash = fmt.Sprint("key", round), fmt.Sprint("hash", i)
			}))
			if err != nil {
				return false, err
			}
			_, err = f.Tasks.Get(f.ctx, out[0].Task.ID)
			return !out[0].Existed, err
		})
		f.equal("tasks inserted for one key", won, 1)
	}
}

func child(parent, key string, index int) func(*tasks.New) {
	return func(n *tasks.New) { n.Parent, n.Key, n.Index = parent, key, index }
}

func testChildren(f *fixture) {
	first := f.insert(child("p", "0", 0))
	f.insert(child("q", "0", 0))
	f.insert() // any number without a parent
	f.insert()
	out, err := f.Tasks.Insert(f.ctx, f.build(child("p", "1", 1)), f.build(child("p", "0", 0)), f.build(child("p", "2", 2)))
	f.ok(err)
	f.equal("existed", []bool{out[0].Existed, out[1].Existed, out[2].Existed}, []bool{false, true, false})
	f.equal("stored one", out[1].Task, first)
	n, err := f.Tasks.Count(f.ctx, tasks.Where{tasks.Eq(tasks.ColParent, "p")}, 0)
	f.ok(err)
	f.equal("children", n, 3)
}

func testChildRace(f *fixture) {
	const parts = 20
	won := f.together(8*parts, func(i int) (bool, error) {
		out, err := f.Tasks.Insert(f.ctx, f.build(child("p", strconv.Itoa(i%parts), i%parts)))
		return err == nil && !out[0].Existed, err
	})
	f.equal("children inserted", won, parts)
}
