package storetest

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// situation brings a new task somewhere and returns a caller's view of it, which
// may be old.
type situation struct {
	name    string
	reach   func(f *fixture) tasks.Task
	applies string // the transitions that apply to it, an hour later
}

var situations = []situation{
	{"queued", func(f *fixture) tasks.Task { return f.insert() }, "claim cancel expire stamp"},
	{"scheduled and due", func(f *fixture) tasks.Task {
		return f.insert(func(n *tasks.New) { n.Status = tasks.Scheduled })
	}, "claim cancel expire stamp"},
	{"scheduled for later", func(f *fixture) tasks.Task {
		return f.insert(func(n *tasks.New) { n.Status, n.RunAt = tasks.Scheduled, f.now.Add(2*time.Hour) })
	}, "cancel expire stamp"},
	{"parent", func(f *fixture) tasks.Task {
		return f.insert(func(n *tasks.New) { n.Phase, n.FanOut.Mode = tasks.Splitting, tasks.ModeSplit })
	}, "cancel expire stamp"},
	{"running", func(f *fixture) tasks.Task { return f.claim(f.insert(), "s") },
		"succeed fail fail_for_good time_out reject accept_cancel lose adopt cancel_running"},
	{"cancel requested", func(f *fixture) tasks.Task {
		return f.apply(tasks.CancelRunning(f.claim(f.insert(), "s"), f.now))
	}, "succeed fail fail_for_good time_out reject accept_cancel lose adopt cancel_unanswered"},
	{"cancel requested, not known", func(f *fixture) tasks.Task {
		t := f.claim(f.insert(), "s")
		f.apply(tasks.CancelRunning(t, f.now))
		return t
	}, "succeed adopt cancel_unanswered"},
	{"queued again, not known", func(f *fixture) tasks.Task {
		t := f.claim(f.insert(), "s")
		f.apply(tasks.Lose(t, tasks.Loss{}, f.now.Add(time.Second)))
		return t
	}, "claim cancel expire stamp"},
	{"stamped anew, not known", func(f *fixture) tasks.Task {
		t := f.insert()
		f.apply(tasks.Stamp(t, f.now.Add(time.Second)))
		return t
	}, "claim cancel expire"},
	{"run by another, not known", func(f *fixture) tasks.Task {
		t := f.claim(f.insert(), "s")
		again := f.apply(tasks.Lose(t, tasks.Loss{}, f.now))
		f.claim(again, "s2")
		return t
	}, "cancel_running"},
	{"run by the same session again, not known", func(f *fixture) tasks.Task {
		t := f.claim(f.insert(), "s")
		again := f.apply(tasks.Lose(t, tasks.Loss{}, f.now))
		f.claim(again, "s")
		return t
	}, "cancel_running"},
	{"succeeded", func(f *fixture) tasks.Task {
		return f.apply(tasks.Succeed(f.claim(f.insert(), "s"), []byte("1"), f.now))
	}, ""},
	{"succeeded, not known", func(f *fixture) tasks.Task {
		t := f.claim(f.insert(), "s")
		f.apply(tasks.Succeed(t, []byte("1"), f.now))
		return t
	}, ""},
	{"failed", func(f *fixture) tasks.Task {
		return f.apply(tasks.FailAttempt(f.claim(f.insert(), "s"), protocol.TaskError{Code: "c", Message: "m"}, f.now))
	}, "retry"},
	{"cancelled", func(f *fixture) tasks.Task { return f.apply(tasks.CancelWaiting(f.insert(), f.now)) }, "retry"},
	{"failed and dropped", func(f *fixture) tasks.Task {
		t := f.apply(tasks.FailAttempt(f.claim(f.insert(), "s"), protocol.TaskError{Code: "c"}, f.now))
		f.ok(f.Payloads.Drop(f.ctx, t.ID, f.now))
		return f.get(t.ID)
	}, ""},
}

// transitions are all rows of the table, made from a view of a task.
func transitions(t tasks.Task, now time.Time) map[string]tasks.Transition {
	return map[string]tasks.Transition{
		"claim":             tasks.Claim(t.ID, t.Attempt, owner("new"), t.Timeout, now),
		"succeed":           tasks.Succeed(t, []byte(`{"x":1}`), now),
		"fail":              tasks.FailAttempt(t, protocol.TaskError{Code: "e", Message: "m", Retryable: true}, now),
		"fail_for_good":     tasks.FailAttempt(t, protocol.TaskError{Code: "e", Message: "m"}, now),
		"time_out":          tasks.TimeOut(t, now),
		"reject":            tasks.RejectAttempt(t, now),
		"accept_cancel":     tasks.AcceptCancel(t, now),
		"lose":              tasks.Lose(t, tasks.Loss{LastHeard: now, Reason: "gone"}, now),
		"adopt":             tasks.Adopt(t, "other", t.Epoch+1),
		"cancel":            tasks.CancelWaiting(t, now),
		"cancel_running":    tasks.CancelRunning(t, now),
		"cancel_unanswered": tasks.CancelUnanswered(t, now),
		"expire":            tasks.Expire(t, now),
		"retry":             tasks.RetryByHand(t, now),
		"stamp":             tasks.Stamp(t, now),
	}
}

func testTransitions(f *fixture) {
	later := f.now.Add(time.Hour)
	for _, s := range situations {
		for kind := range transitions(tasks.Task{}, later) {
			view := s.reach(f)
			tr := transitions(view, later)[kind]
			applies := strings.Contains(" "+s.applies+" ", " "+kind+" ")
			f.try(s.name+": "+kind, view.ID, tr, applies)
		}
	}
	running := f.claim(f.insert(), "s")
	f.try("deadline not passed", running.ID, tasks.TimeOut(running, running.Deadline), false)
	asked := f.apply(tasks.CancelRunning(running, f.now))
	f.try("patience not over", asked.ID, tasks.CancelUnanswered(asked, f.now.Add(tasks.CancelPatience)), false)
	f.try("same epoch", asked.ID, tasks.Adopt(asked, "other", asked.Epoch), false)
	f.try("unknown task", newID(), tasks.Stamp(asked, f.now), false)
}

// try runs a transition and compares all that it may change with the model.
func (f *fixture) try(what, id string, tr tasks.Transition, applies bool) {
	f.Helper()
	tr.Task = id
	before, err := f.Tasks.Get(f.ctx, id)
	if err != nil && !errors.Is(err, tasks.ErrNotFound) {
		f.Fatal(err)
	}
	history, err := f.Payloads.History(f.ctx, id)
	f.ok(err)
	if known := before.ID != ""; known && holds(before, tr.If) != applies {
		f.Errorf("%s: the predicate holds: %v, want %v", what, !applies, applies)
	}
	after, ok, err := f.Tasks.Apply(f.ctx, tr)
	f.ok(err)
	if ok != applies {
		f.Errorf("%s: applied %v, want %v", what, ok, applies)
		return
	}
	want := before
	if applies {
		want, history = changed(before, tr.Set), append(history, tr.History...)
		f.equal(what+": returned", after, want)
		if tr.Output != nil {
			out, err := f.Payloads.Output(f.ctx, id)
			f.ok(err)
			f.equal(what+": output", string(out), string(tr.Output))
		}
	} else {
		f.equal(what+": returned", after, tasks.Task{})
	}
	if before.ID == "" {
		return
	}
	f.equal(what+": stored", f.get(id), want)
	kept, err := f.Payloads.History(f.ctx, id)
	f.ok(err)
	f.equal(what+": history", kept, history)
}

func testTarget(f *fixture) {
	target := owner("s").Worker
	t := f.insert(func(n *tasks.New) { n.Target = target })
	f.try("another worker", t.ID, tasks.Claim(t.ID, 0, owner("other"), time.Minute, f.now), false)
	f.try("too early", t.ID, tasks.Claim(t.ID, 0, owner("s"), time.Minute, f.now.Add(-time.Millisecond)), false)
	f.try("another attempt", t.ID, tasks.Claim(t.ID, 1, owner("s"), time.Minute, f.now), false)
	f.try("its worker", t.ID, tasks.Claim(t.ID, 0, owner("s"), time.Minute, f.now), true)
}

// testClaimInput: a claim answers as Apply would, with the input that was inserted.
func testClaimInput(f *fixture) {
	for name, input := range map[string][]byte{"some": []byte(`{"a":1}`), "none": nil} {
		t := f.insert(func(n *tasks.New) { n.Input = input })
		claim := tasks.Claim(t.ID, t.Attempt, tasks.Owner{Server: "here", Session: "s", Epoch: 1, Worker: "w"}, time.Minute, f.now)
		got, in, ok, err := f.Tasks.Claim(f.ctx, claim)
		f.ok(err)
		if !ok || string(in) != string(input) || (in == nil) != (input == nil) {
			f.Errorf("%s: claimed %v with input %q, want %q", name, ok, in, input)
		}
		if row := f.get(t.ID); !reflect.DeepEqual(got, row) || row.Status != tasks.Running {
			f.Errorf("%s: claim returned %+v\nbut the row is %+v", name, got, row)
		}
		if _, in, ok, err := f.Tasks.Claim(f.ctx, claim); ok || in != nil || err != nil {
			f.Errorf("%s: claimed twice: %v %q %v", name, ok, in, err)
		}
	}
}

// testStamp: of many tasks those are stamped, and returned in their order, that are as
// they were read; and who claims one then sees its stamp.
func testStamp(f *fixture) {
	at := f.now.Add(time.Second)
	var read []tasks.Task
	var want []string
	for i := range 45 { // more than a store takes at once
		t := f.insert()
		read = append(read, t)
		switch i % 15 {
		case 3:
			f.claim(t, "s")
		case 7:
			f.apply(tasks.CancelWaiting(t, f.now))
		case 11:
			f.apply(tasks.Stamp(t, at.Add(-time.Millisecond)))
		default:
			want = append(want, t.ID)
		}
	}
	read = append(read, tasks.Task{ID: newID(), EnqueuedAt: f.now})
	stamped, err := f.Tasks.Stamp(f.ctx, at, read...)
	f.ok(err)
	var got []string
	for _, t := range stamped {
		got = append(got, t.ID)
		f.equal("returned", t, f.get(t.ID))
	}
	f.equal("stamped", got, want)
	for _, t := range read[:len(read)-1] {
		row := f.get(t.ID)
		f.equal("has the stamp", row.EnqueuedAt.Equal(at), slices.Contains(want, t.ID))
	}
	claimed, _, _, err := f.Tasks.Claim(f.ctx, tasks.Claim(stamped[0].ID, 0, owner("s"), time.Minute, f.now))
	f.ok(err)
	f.equal("claimed", claimed, f.get(stamped[0].ID))
	again, err := f.Tasks.Stamp(f.ctx, at.Add(time.Second), stamped[:2]...)
	f.ok(err)
	f.equal("stamped again", len(again), 1)
	none, err := f.Tasks.Stamp(f.ctx, at)
	f.ok(err)
	f.equal("stamped of none", len(none), 0)
}

func testClaimRace(f *fixture) {
	for range 5 {
		t := f.insert()
		won := f.together(64, func(i int) (bool, error) {
			_, _, ok, err := f.Tasks.Claim(f.ctx, tasks.Claim(t.ID, 0, owner(name("s%d", i)), time.Minute, f.now))
			return ok, err
		})
		f.equal("claims that won", won, 1)
	}
	t := f.insert()
	f.together(64, func(int) (bool, error) {
		_, ok, err := f.Tasks.Apply(f.ctx, tasks.Transition{
			Name: "inc", Task: t.ID, If: tasks.Where{tasks.Eq(tasks.ColStatus, tasks.Queued)},
			Set: []tasks.Assign{tasks.Inc(tasks.ColGen, 1)},
		})
		return ok, err
	})
	f.equal("sum of increments", f.get(t.ID).Gen, int64(64))
}

// testColumns assigns every column that may be and asks for it.
func testColumns(f *fixture) {
	percent := 12.5
	set := []tasks.Assign{
		tasks.Set(tasks.ColPriority, tasks.High), tasks.Set(tasks.ColStatus, tasks.Running), tasks.Set(tasks.ColPhase, tasks.Reducing),
		tasks.Set(tasks.ColRunAt, f.now.Add(1)), tasks.Set(tasks.ColEnqueuedAt, f.now.Add(2*time.Second)),
		tasks.Set(tasks.ColStartedAt, f.now.Add(3*time.Second)), tasks.Set(tasks.ColDeadline, f.now.Add(4*time.Second)),
		tasks.Set(tasks.ColFinishedAt, f.now.Add(5*time.Second)), tasks.Set(tasks.ColCancelRequested, f.now.Add(6*time.Second)),
		tasks.Set(tasks.ColAttempt, 7), tasks.Inc(tasks.ColFailures, 2), tasks.Inc(tasks.ColReassignments, 3),
		tasks.Set(tasks.ColServer, "se"), tasks.Set(tasks.ColSession, "ss"), tasks.Set(tasks.ColEpoch, int64(8)),
		tasks.Set(tasks.ColWorker, "w"), tasks.Set(tasks.ColWorkerName, "wn"), tasks.Set(tasks.ColRunBy, "rb"),
		tasks.Set(tasks.ColAccepted, 6), tasks.Set(tasks.ColPercent, &percent), tasks.Set(tasks.ColMessage, "half 'way\" there; ½"),
		tasks.Set(tasks.ColError, &protocol.TaskError{Code: "c", Message: "m", Retryable: true}),
		tasks.Set(tasks.ColInBytes, int64(9)), tasks.Set(tasks.ColOutBytes, int64(1)<<40),
		tasks.Set(tasks.ColDropAt, f.now.Add(7*time.Second)), tasks.Set(tasks.ColDroppedAt, f.now.Add(8*time.Second)),
		tasks.Set(tasks.ColCount, 12), tasks.Set(tasks.ColTarget, "t"),
		tasks.Set(tasks.ColFanOut, tasks.FanOut{Mode: tasks.ModeBroadcast, Workers: []string{"a", "b"}, StartWithin: time.Minute}),
		tasks.Inc(tasks.ColGen, 1), tasks.Set(tasks.ColReduceBy, "rd"), tasks.Set(tasks.ColReduceUntil, f.now.Add(9*time.Second)),
		tasks.Inc(tasks.ColReduceN, -1),
	}
	set[3].Value = f.now.Add(time.Second)
	t := f.insert()
	f.try("set all", t.ID, tasks.Transition{Name: "all", Task: t.ID, Set: set}, true)
	for _, a := range set {
		if a.Column == tasks.ColFanOut {
			continue // never asked for
		}
		after := f.get(t.ID)
		v := value(&after, a.Column)
		f.try(string(a.Column)+" equals", t.ID, tasks.Transition{
			If: tasks.Where{tasks.Eq(a.Column, v)}, Set: []tasks.Assign{tasks.Set(tasks.ColMessage, string(a.Column))},
		}, true)
		if a.Column != tasks.ColMessage {
			f.try(string(a.Column)+" differs", t.ID, tasks.Transition{
				If: tasks.Where{tasks.Ne(a.Column, v)}, Set: []tasks.Assign{tasks.Set(tasks.ColMessage, "no")},
			}, false)
		}
	}
	var unset []tasks.Assign
	for _, c := range []tasks.Column{tasks.ColPercent, tasks.ColError, tasks.ColFanOut, tasks.ColDeadline, tasks.ColDropAt} {
		unset = append(unset, tasks.Set(c, value(&tasks.Task{}, c)))
	}
	f.try("unset", t.ID, tasks.Transition{Name: "unset", Task: t.ID, Set: unset}, true)
	f.try("is unset", t.ID, tasks.Transition{
		If:  tasks.Where{tasks.Eq(tasks.ColPercent, (*float64)(nil)), tasks.Eq(tasks.ColError, (*protocol.TaskError)(nil))},
		Set: []tasks.Assign{tasks.Set(tasks.ColMessage, "unset")},
	}, true)
}

func testBadColumns(f *fixture) {
	t := f.insert()
	const bad = tasks.Column("id = id OR 1 --")
	queries := map[string]tasks.Query{
		"condition":  {Where: tasks.Where{tasks.Eq(bad, "x")}},
		"order":      {Sort: []tasks.Sort{{Column: bad}}},
		"operator":   {Where: tasks.Where{{Column: tasks.ColID, Op: 99, Value: "x"}}},
		"value type": {Where: tasks.Where{tasks.Eq(tasks.ColStatus, struct{}{})}},
	}
	for what, q := range queries {
		if ts, err := f.Tasks.Find(f.ctx, q); err == nil {
			f.Errorf("%s: found %d, want an error", what, len(ts))
		} else if fault.KindOf(err) != fault.Internal {
			f.Errorf("%s: %v is nobody's fault but the program's", what, err)
		}
	}
	for what, set := range map[string]tasks.Assign{
		"assignment": tasks.Set(bad, "x"), "id": tasks.Set(tasks.ColID, "x"), "increment": tasks.Inc(tasks.ColMessage, 1),
	} {
		if _, ok, err := f.Tasks.Apply(f.ctx, tasks.Transition{Task: t.ID, Set: []tasks.Assign{set}}); ok || err == nil {
			f.Errorf("%s: applied %v, error %v", what, ok, err)
		}
	}
	f.equal("the task", f.get(t.ID), t)
}
