package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// worker returns one of ada's.
func (f *fixture) worker(id string) workers.Worker {
	f.Helper()
	w, err := f.Roster.Worker(f.ctx, "ada", id)
	f.ok(err)
	return w
}

// testRoster follows what is known of a worker through the life of its sessions.
func testRoster(f *fixture) {
	s := f.open()
	want := workers.Worker{
		ID: s.Worker, Owner: "ada", Name: "box", FirstSeen: f.now, LastSeen: f.now,
		Kinds: []string{"k", "z"}, Labels: map[string]string{"os": "linux"}, SDK: "go/1",
	}
	f.equal("new", f.worker(s.Worker), want)
	seen := func(d time.Duration) time.Time { return f.now.Add(d) }

	f.equal("part", f.yes(f.Sessions.Part(f.ctx, s.ID, 1, seen(time.Hour), seen(time.Minute), false)), true)
	want.LastSeen = seen(time.Minute)
	f.equal("in grace", f.worker(s.Worker), want)

	_, err := f.Sessions.Resume(f.ctx, f.newSession(func(n *workers.Session) {
		n.ID, n.LastHeard, n.Offered, n.Labels, n.SDK = s.ID, seen(2*time.Minute), []string{"y"}, nil, "py/2"
	}))
	f.ok(err)
	want.LastSeen, want.Kinds, want.Labels, want.SDK = seen(2*time.Minute), []string{"y"}, nil, "py/2"
	f.equal("resumed", f.worker(s.Worker), want)

	f.open(func(n *workers.Session) { n.ConnectedAt = seen(-time.Hour) }) // another server's clock is late
	want.Kinds, want.Labels, want.SDK = []string{"k", "z"}, map[string]string{"os": "linux"}, "go/1"
	f.equal("opened again", f.worker(s.Worker), want)

	before := time.Now().Truncate(time.Millisecond)
	last := f.open(func(n *workers.Session) { n.Name = "leaves" })
	f.equal("lose", f.lose(last.ID, 1, time.Time{}), true)
	if w := f.worker(last.Worker); w.LastSeen.Before(before) {
		f.Errorf("left just now, last seen at %s", w.LastSeen)
	}

	if _, err := f.Roster.Worker(f.ctx, "bob", s.Worker); !errors.Is(err, workers.ErrNoWorker) {
		f.Errorf("somebody else's: %v", err)
	}
	if _, err := f.Roster.Worker(f.ctx, "ada", newID()); !errors.Is(err, workers.ErrNoWorker) {
		f.Errorf("unknown: %v", err)
	}
	ids := []string{s.Worker, last.Worker}
	for i := range 3 {
		ids = append(ids, f.open(func(n *workers.Session) { n.Name = fmt.Sprint("box", i) }).Worker)
	}
	f.open(func(n *workers.Session) { n.Owner = "bob" })
	slices.Sort(ids)
	for after, want := range map[string][]string{"": ids[:3], ids[0]: ids[1:4], ids[3]: ids[4:], ids[4]: nil} {
		page, err := f.Roster.Workers(f.ctx, "ada", after, 3)
		f.ok(err)
		var got []string
		for _, w := range page {
			got = append(got, w.ID)
		}
		f.equal("workers after "+after, got, want)
	}
}

func testSettings(f *fixture) {
	s, other := f.open(), f.open(func(n *workers.Session) { n.Name = "other" })
	none, err := f.Sessions.SettingsOf(f.ctx, "ada", "box")
	f.ok(err)
	f.equal("none set", none, workers.Settings{})
	none, err = f.Sessions.SettingsOf(f.ctx, "ada", "nobody knows it")
	f.ok(err)
	f.equal("of an unknown one", none, workers.Settings{})
	of, err := f.Sessions.Settings(f.ctx, s.Worker, other.Worker)
	f.ok(err)
	f.equal("of both", of, map[string]workers.Settings{})

	two := 2
	want := workers.Settings{
		Paused: true, SlotsCap: &two, Kinds: []string{}, Groups: []string{"g"}, TimeZone: "Europe/Berlin",
		QuietHours: []workers.Window{{Days: []string{"mon", "sun"}, From: "22:00", To: "07:00"}},
	}
	f.equal("save", f.yes(f.Roster.SaveSettings(f.ctx, s.Worker, 0, want)), true)
	f.equal("save what was read before", f.yes(f.Roster.SaveSettings(f.ctx, s.Worker, 0, workers.Settings{})), false)
	f.equal("save of an unknown one", f.yes(f.Roster.SaveSettings(f.ctx, newID(), 0, want)), false)
	f.open() // changes nothing about them
	w := f.worker(s.Worker)
	f.equal("saved", w.Settings, want)
	f.equal("revision", w.Revision, int64(1))
	byName, err := f.Sessions.SettingsOf(f.ctx, "ada", "box")
	f.ok(err)
	f.equal("by name", byName, want)
	of, err = f.Sessions.Settings(f.ctx, s.Worker, other.Worker, newID())
	f.ok(err)
	f.equal("of both, one set", of, map[string]workers.Settings{s.Worker: want})

	won := f.together(16, func(i int) (bool, error) {
		return f.Roster.SaveSettings(f.ctx, s.Worker, 1, workers.Settings{SlotsCap: &i})
	})
	f.equal("saved at once", won, 1)
	f.equal("revision after it", f.worker(s.Worker).Revision, int64(2))
}

func testRemoveWorker(f *fixture) {
	s := f.open()
	f.equal("save", f.yes(f.Roster.SaveSettings(f.ctx, s.Worker, 0, workers.Settings{Paused: true})), true)
	f.ranOn(s.Worker, f.now, "g", "u")
	refused := func(what, owner, id string, want error) {
		f.Helper()
		if err := f.Roster.RemoveWorker(f.ctx, owner, id); !errors.Is(err, want) {
			f.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	refused("unknown", "ada", newID(), workers.ErrNoWorker)
	refused("somebody else's", "bob", s.Worker, workers.ErrNoWorker)
	refused("connected", "ada", s.Worker, workers.ErrWorkerConnected)
	f.equal("part", f.yes(f.Sessions.Part(f.ctx, s.ID, 1, f.now, f.now, false)), true)
	refused("in grace", "ada", s.Worker, workers.ErrWorkerConnected)
	f.equal("settings after refusals", f.worker(s.Worker).Settings.Paused, true)
	days, err := f.Stats.WorkerDays(f.ctx, s.Worker, time.Time{}, 10)
	f.ok(err)
	f.equal("history after refusals", len(days), 1)
	f.equal("lose", f.lose(s.ID, 1, time.Time{}), true)
	refused("away", "ada", s.Worker, nil)
	refused("twice", "ada", s.Worker, workers.ErrNoWorker)
	days, err = f.Stats.WorkerDays(f.ctx, s.Worker, time.Time{}, 10)
	f.ok(err)
	f.equal("history", len(days), 0)
	again := f.open()
	if again.Worker == s.Worker || f.worker(again.Worker).Settings.Paused {
		f.Error("it came back as the one that was forgotten")
	}
}

// testRemoveRace: a worker that connects while it is removed is known afterwards,
// under the id that its session has.
func testRemoveRace(f *fixture) {
	for range 10 {
		old := f.open()
		f.equal("lose", f.lose(old.ID, 1, time.Time{}), true)
		f.together(4, func(i int) (bool, error) {
			if i%2 == 0 {
				err := f.Roster.RemoveWorker(f.ctx, "ada", old.Worker)
				if errors.Is(err, workers.ErrNoWorker) || errors.Is(err, workers.ErrWorkerConnected) {
					err = nil
				}
				return true, err
			}
			_, err := f.Sessions.Open(f.ctx, f.newSession())
			return true, err
		})
		open, err := f.Sessions.List(f.ctx, workers.Filter{States: []workers.State{workers.Connected}})
		f.ok(err)
		f.equal("sessions", len(open), 2)
		for _, s := range open {
			f.equal("their worker", f.worker(s.Worker).Name, "box")
			f.equal("lose", f.lose(s.ID, 1, time.Time{}), true)
		}
	}
}

// ranOn ends a task that a worker ran for a second until ended.
func (f *fixture) ranOn(worker string, ended time.Time, group, by string) {
	f.Helper()
	began := ended.Add(-time.Second)
	t := f.insert(func(n *tasks.New) { n.Group, n.CreatedBy, n.CreatedAt, n.RunAt = group, by, began, began })
	o := owner("s")
	o.Worker = worker
	t = f.apply(tasks.Claim(t.ID, 0, o, t.Timeout, began))
	f.apply(tasks.Succeed(t, nil, ended))
}

func testWorkerDays(f *fixture) {
	today := f.now.Truncate(24 * time.Hour)
	at := func(day int, hour time.Duration) time.Time { return today.AddDate(0, 0, day).Add(hour * time.Hour) }
	f.ranOn("w", at(-2, 23), "g", "ada")
	f.ranOn("w", at(-1, 0), "g", "ada")
	f.ranOn("w", at(-1, 23), "g", "ada")
	f.ranOn("w", at(-1, 1), "g", "bob")
	f.ranOn("w", at(-1, 1), "a", "ada")
	f.ranOn("v", at(-1, 1), "g", "ada")

	// One that ends at its second attempt counts once, for the worker of that one.
	moved := f.insert(func(n *tasks.New) { n.CreatedBy, n.RunAt = "ada", at(0, 0) })
	first := owner("first")
	first.Worker = "v"
	moved = f.apply(tasks.Claim(moved.ID, 0, first, moved.Timeout, at(0, 0)))
	moved = f.apply(tasks.FailAttempt(moved, protocol.TaskError{Code: "c", Retryable: true}, at(0, 0)))
	second := owner("second")
	second.Worker = "w"
	moved = f.apply(tasks.Claim(moved.ID, 1, second, moved.Timeout, moved.RunAt))
	f.apply(tasks.FailAttempt(moved, protocol.TaskError{Code: "c"}, moved.RunAt.Add(3*time.Second)))
	// One that ended while it waited is nobody's.
	f.apply(tasks.CancelWaiting(f.insert(), f.now))

	row := func(day int, group, member string, succeeded, failed int64, run time.Duration) tasks.WorkerDay {
		return tasks.WorkerDay{Day: at(day, 0), Group: group, Member: member, Succeeded: succeeded, Failed: failed, Run: run}
	}
	all := []tasks.WorkerDay{
		row(0, "g", "ada", 0, 1, 3*time.Second), row(-1, "a", "ada", 1, 0, time.Second),
		row(-1, "g", "ada", 2, 0, 2*time.Second), row(-1, "g", "bob", 1, 0, time.Second), row(-2, "g", "ada", 1, 0, time.Second),
	}
	for _, test := range []struct {
		worker string
		since  int
		limit  int
		want   []tasks.WorkerDay
	}{
		{"w", -2, 100, all}, {"w", -1, 100, all[:4]}, {"w", 0, 100, all[:1]}, {"w", 1, 100, nil}, {"w", -9, 2, all[:2]},
		{"v", -9, 100, []tasks.WorkerDay{row(-1, "g", "ada", 1, 0, time.Second)}}, {"nobody", -9, 100, nil},
	} {
		got, err := f.Stats.WorkerDays(f.ctx, test.worker, at(test.since, 0), test.limit)
		f.ok(err)
		f.equal(strings.Join([]string{"days of", test.worker, "since", fmt.Sprint(test.since)}, " "), got, test.want)
	}
}
