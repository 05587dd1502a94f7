package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/installation"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// testMinutes counts what ends in the last full minute, and losses of a day.
func testMinutes(f *fixture) {
	now := f.now.Truncate(time.Minute).Add(30 * time.Second)
	minute := now.Truncate(time.Minute).Add(-time.Minute)
	end := func(at time.Time, how func(tasks.Task) tasks.Transition) {
		t := f.insert(func(n *tasks.New) { n.RunAt = at.Add(-time.Hour) })
		f.apply(how(f.apply(tasks.Claim(t.ID, 0, owner("s"), time.Minute, at))))
	}
	succeed := func(at time.Time) {
		end(at, func(t tasks.Task) tasks.Transition { return tasks.Succeed(t, nil, at) })
	}
	lose := func(at time.Time) {
		end(at, func(t tasks.Task) tasks.Transition { return tasks.Lose(t, tasks.Loss{ByServer: true}, at) })
	}
	for _, at := range []time.Time{minute.Add(-time.Millisecond), minute, minute.Add(59 * time.Second), minute.Add(time.Minute)} {
		succeed(at)
	}
	end(minute, func(t tasks.Task) tasks.Transition { return tasks.FailAttempt(t, protocol.TaskError{}, minute) })
	f.apply(tasks.CancelWaiting(f.insert(), minute))
	for _, at := range []time.Time{now.Add(-25 * time.Hour), now.Add(-23 * time.Hour), minute, now} {
		lose(at)
	}
	end(minute, func(t tasks.Task) tasks.Transition { // taken back, and failed
		t.MaxReassignments = 0
		return tasks.Lose(t, tasks.Loss{}, minute)
	})
	o, err := f.Installation.Overview(f.ctx, now)
	f.ok(err)
	f.equal("of the last full minute", []int64{o.Succeeded, o.Failed, o.Cancelled}, []int64{2, 2, 1})
	f.equal("failovers of a day", o.Failovers, int64(4))
	at := func(m time.Duration, succeeded, failed, cancelled, failovers int64) installation.Minute {
		return installation.Minute{At: minute.Add(m), Succeeded: succeeded, Failed: failed, Cancelled: cancelled, Failovers: failovers}
	}
	f.equal("minutes of the last hour", o.Minutes, []installation.Minute{
		at(-time.Minute, 1, 0, 0, 0), at(0, 2, 2, 1, 2), at(time.Minute, 1, 0, 0, 1),
	})
	o, err = f.Installation.Overview(f.ctx, now.Add(time.Hour))
	f.ok(err)
	f.equal("an hour later", o.Minutes, []installation.Minute{at(time.Minute, 1, 0, 0, 1)})
}

func testOverviewOfWorkers(f *fixture) {
	named := func(name string, slots int) func(*workers.Session) {
		return func(s *workers.Session) { s.Name, s.Slots = name, slots }
	}
	f.open(named("two", 3))
	half := f.open(named("two", 2))
	f.equal("part", f.yes(f.Sessions.Part(f.ctx, half.ID, 1, f.now, f.now, false)), true)
	grace := f.open(named("grace", 4))
	f.equal("part", f.yes(f.Sessions.Part(f.ctx, grace.ID, 1, f.now, f.now, false)), true)
	lost := f.open(named("lost", 5))
	_, _, err := f.Sessions.Lose(f.ctx, lost.ID, 1, time.Time{})
	f.ok(err)
	o, err := f.Installation.Overview(f.ctx, f.now)
	f.ok(err)
	f.equal("workers", o, installation.Overview{WorkersConnected: 1, WorkersGrace: 1, Slots: 3})
	for id, want := range map[string]bool{grace.Worker: true, lost.Worker: true, newID(): false} {
		got, err := f.Installation.HasWorker(f.ctx, id)
		f.ok(err)
		f.equal("known", got, want)
	}
	list, err := f.Sessions.List(f.ctx, workers.Filter{Workers: []string{half.Worker, lost.Worker}})
	f.ok(err)
	f.equal("sessions of two workers", len(list), 3)
	list, err = f.Sessions.List(f.ctx, workers.Filter{Workers: []string{}})
	f.ok(err)
	f.equal("of no worker", len(list), 0)
}

// InstallationStore is what the suite of lists over everything needs.
type InstallationStore interface {
	GroupStore
	installation.Store
}

// Installation is the conformance suite of installation.Store's lists; open
// returns an empty store and the same database's sessions and tasks.
func Installation(t *testing.T, open func(t *testing.T) (InstallationStore, workers.Store, tasks.Store)) {
	s, sessions, work := open(t)
	ctx := t.Context()
	ada, bob := addUser(t, s, "ada"), addUser(t, s, "bob")
	var ids []string
	for _, name := range []string{"Ärzte", "laboratory", "LABOUR", "a lab", "ärztinnen"} {
		ids = append(ids, addGroup(t, s, name, ada).ID)
	}
	i := groups.Invitation{ID: id(), Group: ids[1], User: bob.ID, InvitedBy: ada.ID, CreatedAt: clock}
	must(t, s.InsertInvitation(t.Context(), i))
	member := membership(ids[1], bob, auth.Member)
	must(t, s.AnswerInvitation(t.Context(), i.ID, bob.ID, &member))
	now := time.Now().UTC().Truncate(time.Millisecond)
	f := &fixture{T: t, Stores: Stores{Tasks: work, Sessions: sessions}, ctx: ctx, now: now}
	in := func(n *tasks.New) { n.Group = ids[1] }
	f.insert(in)
	f.insert(in, func(n *tasks.New) { n.Kind, n.Status, n.RunAt = "other", tasks.Scheduled, now.Add(time.Hour) })
	f.claim(f.insert(in), "s")
	for prefix, want := range map[string][]string{
		"": ids, "lab": ids[1:3], "LAB": ids[1:3], "labo": ids[1:3], "äRZT": {ids[0], ids[4]}, "A\u0308rzte": {ids[0]},
		"nothing": nil, "%": nil, "l_b": nil,
	} {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page, err := s.AllGroups(ctx, prefix, after, 2)
			must(t, err)
			for _, g := range page {
				got = append(got, g.ID)
			}
			if len(page) < 2 {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("groups %q: %v, want %v", prefix, got, want)
		}
	}
	page, err := s.AllGroups(ctx, "laboratory", "", 1)
	must(t, err)
	f.equal("a group", page, []installation.Group{{
		ID: ids[1], Name: "laboratory", Members: 2, Owner: ada.ID, OwnerName: "ada", Waiting: 2, Running: 1, CreatedAt: page[0].CreatedAt,
	}})
	o, err := s.Overview(ctx, now)
	must(t, err)
	f.equal("overview", o, installation.Overview{Users: 2, Groups: 5, Scheduled: 1, Queued: 1, Running: 1})
	installationWorkers(f, s, ada, bob)
}

func installationWorkers(f *fixture, s installation.Store, ada, bob auth.User) {
	of := func(u auth.User, name string) workers.Session {
		return f.open(func(n *workers.Session) { n.Owner, n.Name = u.ID, name })
	}
	one, other := of(ada, "Box"), of(bob, "bOx-2")
	of(ada, "Box") // a second session
	of(ada, "rack")
	lost := of(bob, "box-lost")
	_, _, err := f.Sessions.Lose(f.ctx, lost.ID, 1, time.Time{})
	f.ok(err)
	got, err := s.AllWorkers(f.ctx, "box", "", 10)
	f.ok(err)
	f.equal("workers", got, []installation.Worker{
		{ID: one.Worker, Owner: ada.ID, OwnerName: "ada"}, {ID: other.Worker, Owner: bob.ID, OwnerName: "bob"},
	})
	got, err = s.AllWorkers(f.ctx, "box", one.Worker, 10)
	f.ok(err)
	f.equal("the next page", len(got), 1)
	got, err = s.AllWorkers(f.ctx, "", "", 2)
	f.ok(err)
	f.equal("a page of all", len(got), 2)
}
