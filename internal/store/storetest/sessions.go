package storetest

import (
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/workers"
)

func (f *fixture) newSession(mods ...func(*workers.Session)) workers.Session {
	s := workers.Session{
		ID: newID(), Name: "box", Owner: "ada", Token: "token", Server: "server", SecretHash: "hash", LastHeard: f.now,
		Groups: []string{"g", "h"}, Kinds: []string{"k"}, Slots: 4, Offered: []string{"k", "z"}, Asked: []string{"g", "h", "i"}, Labels: map[string]string{"os": "linux"}, SDK: "go/1",
		ConnectedAt: f.now,
	}
	for _, mod := range mods {
		mod(&s)
	}
	return s
}

func (f *fixture) open(mods ...func(*workers.Session)) workers.Session {
	f.Helper()
	s, err := f.Sessions.Open(f.ctx, f.newSession(mods...))
	f.ok(err)
	return s
}

func (f *fixture) session(id string) workers.Session {
	f.Helper()
	ss, err := f.Sessions.Sessions(f.ctx, id)
	f.ok(err)
	if len(ss) != 1 {
		f.Fatalf("%d sessions %s", len(ss), id)
	}
	return ss[0]
}

func testSession(f *fixture) {
	want := f.newSession()
	s, err := f.Sessions.Open(f.ctx, want)
	f.ok(err)
	want.Worker, want.State, want.Epoch = s.Worker, workers.Connected, 1
	f.equal("opened", s, want)
	f.equal("stored", f.session(s.ID), want)

	update := s
	update.Slots, update.Groups, update.Kinds, update.Draining = 2, []string{"g"}, []string{"z"}, true
	f.equal("update", f.yes(f.Sessions.Update(f.ctx, update)), true)
	want.Slots, want.Groups, want.Kinds, want.Draining = 2, []string{"g"}, []string{"z"}, true
	f.equal("updated", f.session(s.ID), want)

	until, heard := f.now.Add(time.Minute), f.now.Add(time.Second)
	f.equal("part of another epoch", f.yes(f.Sessions.Part(f.ctx, s.ID, 2, until, heard, true)), false)
	f.equal("part", f.yes(f.Sessions.Part(f.ctx, s.ID, 1, until, heard, true)), true)
	f.equal("part again", f.yes(f.Sessions.Part(f.ctx, s.ID, 1, until.Add(time.Hour), heard, false)), false)
	f.equal("update in grace", f.yes(f.Sessions.Update(f.ctx, update)), false)
	want.State, want.Until, want.LastHeard, want.ByServer = workers.Grace, until, heard, true
	f.equal("in grace", f.session(s.ID), want)

	f.equal("lose before the end of grace", f.lose(s.ID, 1, until.Add(-time.Millisecond)), false)
	again := f.newSession(func(n *workers.Session) {
		n.ID, n.Server, n.Groups, n.Kinds, n.Slots, n.Labels, n.SDK = s.ID, "server2", []string{"x"}, []string{"y"}, 9, nil, "py/2"
		n.Offered, n.Asked = []string{"y", "z"}, nil
	})
	for what, wrong := range map[string]func(*workers.Session){
		"secret": func(n *workers.Session) { n.SecretHash = "other" },
		"owner":  func(n *workers.Session) { n.Owner = "bob" },
		"id":     func(n *workers.Session) { n.ID = newID() },
	} {
		n := again
		wrong(&n)
		if _, err := f.Sessions.Resume(f.ctx, n); !errors.Is(err, workers.ErrNoSession) {
			f.Errorf("resume with another %s: %v", what, err)
		}
	}
	f.equal("refused resumes", f.session(s.ID), want)
	resumed, err := f.Sessions.Resume(f.ctx, again)
	f.ok(err)
	want.State, want.Epoch, want.Server, want.Until, want.ByServer, want.Draining = workers.Connected, 2, "server2", time.Time{}, false, false
	want.Groups, want.Kinds, want.Slots, want.Labels, want.SDK = again.Groups, again.Kinds, 9, nil, "py/2"
	want.Offered = again.Offered // and Asked stays
	f.equal("resumed", resumed, want)
	f.equal("resumed, stored", f.session(s.ID), want)

	f.equal("the old connection parts", f.yes(f.Sessions.Part(f.ctx, s.ID, 1, until, heard, false)), false)
	f.equal("the old connection is lost", f.lose(s.ID, 1, time.Time{}), false)
	f.equal("the old connection updates", f.yes(f.Sessions.Update(f.ctx, update)), false)
	f.equal("grace that is none ends", f.lose(s.ID, 2, until.Add(time.Hour)), false)
	resumed, err = f.Sessions.Resume(f.ctx, again)
	f.ok(err)
	f.equal("resumed while connected", resumed.Epoch, int64(3))
	f.equal("lost", f.lose(s.ID, 3, time.Time{}), true)
	f.equal("lost again", f.lose(s.ID, 3, time.Time{}), false)
	f.equal("state", f.session(s.ID).State, workers.Lost)
	if _, err := f.Sessions.Resume(f.ctx, again); !errors.Is(err, workers.ErrNoSession) {
		f.Errorf("resume of a lost one: %v", err)
	}
	f.equal("part of a lost one", f.yes(f.Sessions.Part(f.ctx, s.ID, 3, until, heard, false)), false)
}

func (f *fixture) yes(ok bool, err error) bool {
	f.Helper()
	f.ok(err)
	return ok
}

func (f *fixture) lose(id string, epoch int64, graceBy time.Time) bool {
	f.Helper()
	s, ok, err := f.Sessions.Lose(f.ctx, id, epoch, graceBy)
	f.ok(err)
	if ok && (s.ID != id || s.State != workers.Lost) {
		f.Errorf("lost: %+v", s)
	}
	return ok
}

func testWorker(f *fixture) {
	a, b := f.open(), f.open()
	f.equal("the same worker", a.Worker, b.Worker)
	c := f.open(func(s *workers.Session) { s.Name = "other" })
	d := f.open(func(s *workers.Session) { s.Owner = "bob" })
	if a.Worker == "" || c.Worker == a.Worker || d.Worker == a.Worker || c.Worker == d.Worker {
		f.Errorf("workers %q, %q, %q", a.Worker, c.Worker, d.Worker)
	}
	ids := make(chan string, 16)
	f.together(16, func(int) (bool, error) {
		s, err := f.Sessions.Open(f.ctx, f.newSession(func(s *workers.Session) { s.Name = "new" }))
		ids <- s.Worker
		return true, err
	})
	first := <-ids
	for range 15 {
		f.equal("worker opened at once", <-ids, first)
	}
}

func testSessionList(f *fixture) {
	a := f.open(func(s *workers.Session) { s.Server, s.Groups, s.Kinds = "s1", []string{"g"}, []string{"k", "x"} })
	b := f.open(func(s *workers.Session) { s.Server, s.Owner = "s2", "bob" })
	c := f.open(func(s *workers.Session) { s.Server, s.Groups = "s1", []string{`"`, "h"} })
	lost := f.open(func(s *workers.Session) { s.Server = "s1" })
	f.equal("part", f.yes(f.Sessions.Part(f.ctx, c.ID, 1, f.now.Add(time.Minute), f.now, false)), true)
	f.equal("lose", f.lose(lost.ID, 1, time.Time{}), true)
	for _, test := range []struct {
		name   string
		filter workers.Filter
		want   []string
	}{
		{"all", workers.Filter{}, []string{a.ID, b.ID, c.ID, lost.ID}},
		{"connected", workers.Filter{States: []workers.State{workers.Connected}}, []string{a.ID, b.ID}},
		{"alive", workers.Filter{States: []workers.State{workers.Connected, workers.Grace}, Server: "s1"}, []string{a.ID, c.ID}},
		{"of a group", workers.Filter{Group: "g"}, []string{a.ID, b.ID, lost.ID}},
		{"of a group with a quote", workers.Filter{Group: `"`}, []string{c.ID}},
		{"of no group", workers.Filter{Group: "no"}, nil},
		{"of a kind", workers.Filter{Kind: "x"}, []string{a.ID}},
		{"of an owner", workers.Filter{Owner: "bob"}, []string{b.ID}},
		{"grace not over", workers.Filter{GraceEnded: f.now.Add(time.Minute - time.Millisecond)}, nil},
		{"grace over", workers.Filter{GraceEnded: f.now.Add(time.Minute)}, []string{c.ID}},
		{"two", workers.Filter{Limit: 2}, []string{a.ID, b.ID}},
	} {
		ss, err := f.Sessions.List(f.ctx, test.filter)
		f.ok(err)
		var got []string
		for _, s := range ss {
			got = append(got, s.ID)
		}
		f.equal(test.name, got, test.want)
	}
	ss, err := f.Sessions.Sessions(f.ctx, b.ID, newID(), lost.ID)
	f.ok(err)
	f.equal("by id", len(ss), 2)
	ss, err = f.Sessions.Sessions(f.ctx)
	f.ok(err)
	f.equal("by no id", len(ss), 0)
}

// testResumeOrLost lets both race at the end of grace: exactly one wins.
func testResumeOrLost(f *fixture) {
	for range 50 {
		s := f.open()
		f.equal("part", f.yes(f.Sessions.Part(f.ctx, s.ID, 1, f.now, f.now, false)), true)
		won := f.together(8, func(i int) (bool, error) {
			if i%2 == 0 {
				_, err := f.Sessions.Resume(f.ctx, f.newSession(func(n *workers.Session) { n.ID = s.ID }))
				if errors.Is(err, workers.ErrNoSession) {
					return false, nil
				}
				return false, err // more than one may resume
			}
			_, ok, err := f.Sessions.Lose(f.ctx, s.ID, 1, f.now)
			return ok, err
		})
		after := f.session(s.ID)
		switch {
		case won == 1 && after.State == workers.Lost && after.Epoch == 1:
		case won == 0 && after.State == workers.Connected && after.Epoch == 5: // all four resumed
		default:
			f.Fatalf("lost %d times, then %s at epoch %d", won, after.State, after.Epoch)
		}
	}
}

func testForget(f *fixture) {
	kept, lost := f.open(), f.open()
	f.equal("lose", f.lose(lost.ID, 1, time.Time{}), true)
	n, err := f.Sessions.Forget(f.ctx, f.now.Add(-time.Hour))
	f.ok(err)
	f.equal("lost long ago", n, 0)
	n, err = f.Sessions.Forget(f.ctx, time.Now().Add(time.Hour))
	f.ok(err)
	f.equal("forgotten", n, 1)
	ss, err := f.Sessions.Sessions(f.ctx, kept.ID, lost.ID)
	f.ok(err)
	f.equal("left", len(ss), 1)
	f.equal("its worker is known", f.open().Worker, lost.Worker)
}
