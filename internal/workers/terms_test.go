package workers_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// decide changes settings as the owner of the worker, and tells nobody.
func (w *world) decide(worker string, change func(*workers.Settings)) {
	w.t.Helper()
	roster := w.store.(workers.Roster)
	of, err := roster.Worker(context.Background(), alice.User, worker)
	if err != nil {
		w.t.Fatal(err)
	}
	change(&of.Settings)
	if ok, err := roster.SaveSettings(context.Background(), worker, of.Revision, of.Settings); err != nil || !ok {
		w.t.Fatalf("settings not saved: %v, %v", ok, err)
	}
}

// refresh tells the hub, as a PATCH does.
func (w *world) refresh() {
	w.t.Helper()
	if err := w.hub.Refresh(context.Background(), alice.User); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// free returns how many slots could be reserved.
func (w *world) free(group, kind string) int {
	slots := w.hub.TryReserve(pair(group, kind), 1000)
	for _, s := range slots {
		s.Release()
	}
	return len(slots)
}

func TestSettingsAreInForceAtOnce(t *testing.T) {
	two, none := 2, 0
	tests := map[string]struct {
		change func(*workers.Settings)
		free   [4]int // slots for g1 k, g1 l, g2 k, g2 l
		stored workers.Session
	}{
		"nothing": {func(*workers.Settings) {}, [4]int{5, 5, 5, 5},
			workers.Session{Slots: 5, Kinds: []string{"k", "l"}, Groups: []string{"g1", "g2"}}},
		"paused": {func(s *workers.Settings) { s.Paused = true }, [4]int{},
			workers.Session{Slots: 0, Kinds: []string{"k", "l"}, Groups: []string{"g1", "g2"}}},
		"capped": {func(s *workers.Settings) { s.SlotsCap = &two }, [4]int{2, 2, 2, 2},
			workers.Session{Slots: 2, Kinds: []string{"k", "l"}, Groups: []string{"g1", "g2"}}},
		"capped to nothing": {func(s *workers.Settings) { s.SlotsCap = &none }, [4]int{},
			workers.Session{Slots: 0, Kinds: []string{"k", "l"}, Groups: []string{"g1", "g2"}}},
		"kinds": {func(s *workers.Settings) { s.Kinds = []string{"l", "x"} }, [4]int{0, 5, 0, 5},
			workers.Session{Slots: 5, Kinds: []string{"l"}, Groups: []string{"g1", "g2"}}},
		"no kinds": {func(s *workers.Settings) { s.Kinds = []string{} }, [4]int{},
			workers.Session{Slots: 5, Kinds: []string{}, Groups: []string{"g1", "g2"}}},
		"groups": {func(s *workers.Settings) { s.Groups = []string{"g2", "g9"} }, [4]int{0, 0, 5, 5},
			workers.Session{Slots: 5, Kinds: []string{"k", "l"}, Groups: []string{"g2"}}},
		"all at once": {func(s *workers.Settings) { s.SlotsCap, s.Kinds, s.Groups = &two, []string{"k"}, []string{"g1"} },
			[4]int{2, 0, 0, 0}, workers.Session{Slots: 2, Kinds: []string{"k"}, Groups: []string{"g1"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				h := hello()
				h.Slots = 5
				c, welcome := w.connect(h)
				check := func(when string, session string) {
					t.Helper()
					got := [4]int{w.free("g1", "k"), w.free("g1", "l"), w.free("g2", "k"), w.free("g2", "l")}
					if got != tt.free {
						t.Errorf("%s: free %v, want %v", when, got, tt.free)
					}
					s := w.state(session)
					if s.Slots != tt.stored.Slots || !slices.Equal(s.Kinds, tt.stored.Kinds) || !slices.Equal(s.Groups, tt.stored.Groups) {
						t.Errorf("%s: stored %d %v %v", when, s.Slots, s.Kinds, s.Groups)
					}
				}
				w.decide(welcome.Worker, tt.change)
				w.refresh()
				check("at once", welcome.Session)

				c.sock.cut()
				synctest.Wait()
				back := h
				back.Session, back.Resume = welcome.Session, welcome.Resume
				c, resumed := w.connect(back)
				if !slices.Equal(resumed.Groups, tt.stored.Groups) {
					t.Errorf("resumed for groups %v", resumed.Groups)
				}
				check("resumed", resumed.Session)

				c.sock.leave(1000)
				synctest.Wait()
				_, fresh := w.connect(h)
				if fresh.Session == welcome.Session || fresh.Worker != welcome.Worker {
					t.Errorf("welcome %+v", fresh)
				}
				check("as a new session", fresh.Session)

				w.decide(fresh.Worker, func(s *workers.Settings) { *s = workers.Settings{} })
				w.refresh()
				if got := w.free("g2", "l"); got != 5 {
					t.Errorf("%d slots free once nothing is set", got)
				}
			})
		})
	}
}

// TestWhatRunsGoesOn: a pause takes nothing back, and what was promised before it
// is not handed over after it.
func TestWhatRunsGoesOn(t *testing.T) {
	for name, change := range map[string]func(*workers.Settings){
		"paused":      func(s *workers.Settings) { s.Paused = true },
		"capped":      func(s *workers.Settings) { one := 1; s.SlotsCap = &one },
		"kind is out": func(s *workers.Settings) { s.Kinds = []string{"l"} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				c, welcome := w.connect(hello())
				task := w.assign("t1")
				a := expect[protocol.Assign](c)
				slot := w.reserve("k")
				claimed := w.claimed(slot, "t2", 1)
				w.decide(welcome.Worker, change)
				w.refresh()
				if err := slot.Assign(claimed, nil, nil); !errors.Is(err, workers.ErrSessionGone) {
					t.Errorf("assign of what was promised before: %v", err)
				}
				if !w.hub.Knows(welcome.Session)[ref(task)] || len(c.got) > 0 {
					t.Error("the running task was touched")
				}
				c.result(a, protocol.Succeeded)
				if ack := expect[protocol.Ack](c); !ack.Accepted {
					t.Errorf("ack %+v", ack)
				}
			})
		})
	}
}

func TestWorkersSlotsLiftNeitherCapNorPause(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, welcome := w.connect(hello())
		two := 2
		w.decide(welcome.Worker, func(s *workers.Settings) { s.SlotsCap = &two })
		w.refresh()
		for _, step := range []struct{ said, free int }{{9, 2}, {1, 1}, {0, 0}, {7, 2}} {
			c.send(protocol.Slots{Slots: step.said})
			synctest.Wait()
			if got := w.free("g1", "k"); got != step.free {
				t.Errorf("%d free after the worker said %d, want %d", got, step.said, step.free)
			}
		}
		w.decide(welcome.Worker, func(s *workers.Settings) { s.Paused = true })
		w.refresh()
		c.send(protocol.Slots{Slots: 5})
		synctest.Wait()
		if w.free("g1", "k") > 0 || w.state(welcome.Session).Slots != 0 {
			t.Error("the worker lifted the pause")
		}
		w.decide(welcome.Worker, func(s *workers.Settings) { *s = workers.Settings{} })
		w.refresh()
		if got := w.free("g1", "k"); got != 5 {
			t.Errorf("%d free after the pause: what the worker said meanwhile was forgotten", got)
		}
	})
}

func TestGroupsChange(t *testing.T) {
	var may membership
	may.set("g1", "g2")
	inBubble(t, func(t *testing.T, w *world) {
		c, welcome := w.connect(hello())
		task := w.assign("t1")
		a := expect[protocol.Assign](c)
		slot := w.reserve("k")
		claimed := w.claimed(slot, "t2", 1)
		may.set("g2")
		w.refresh()
		if got := expect[protocol.Groups](c); !slices.Equal(got.Groups, []string{"g2"}) {
			t.Errorf("groups %v", got)
		}
		if got := expect[protocol.Cancel](c); got.Task != "t1" || got.Attempt != 1 || got.Reason != "reassigned" {
			t.Errorf("cancel %+v", got)
		}
		if len(w.tasks.taken) != 1 || w.hub.Knows(welcome.Session)[ref(task)] {
			t.Errorf("taken back %v", w.tasks.taken)
		}
		if w.hub.Serves(pair("g1", "k")) || !w.hub.Serves(pair("g2", "k")) {
			t.Error("the scheduler does not know")
		}
		if err := slot.Assign(claimed, nil, nil); !errors.Is(err, workers.ErrSessionGone) {
			t.Errorf("assign for a lost group: %v", err)
		}
		if got := w.free("g2", "k"); got != 1 {
			t.Errorf("%d slots free before the worker answered", got)
		}
		c.result(a, protocol.Cancelled)
		if ack := expect[protocol.Ack](c); ack.Accepted {
			t.Error("the late answer was accepted")
		}
		synctest.Wait()
		if got := w.free("g2", "k"); got != 2 {
			t.Errorf("%d slots free", got)
		}
		if s := w.state(welcome.Session); !slices.Equal(s.Groups, []string{"g2"}) {
			t.Errorf("stored %v", s.Groups)
		}
		w.refresh()
		may.set("g2", "g3") // joined later: the token is for all
		w.refresh()
		if got := expect[protocol.Groups](c); !slices.Equal(got.Groups, []string{"g2", "g3"}) || !w.hub.Serves(pair("g3", "k")) {
			t.Errorf("groups %v", got)
		}
		may.set()
		w.refresh()
		if got := expect[protocol.Groups](c); got.Groups == nil || len(got.Groups) > 0 || len(w.hub.Kinds()) > 0 {
			t.Errorf("groups %v", got)
		}
	}, func(o *workers.HubOptions) { o.Groups = may.of })
}

// TestToldToStopOnce: a deleted group cancels its tasks and takes its workers away,
// in either order; asking again changes nothing.
func TestToldToStopOnce(t *testing.T) {
	var may membership
	may.set("g1", "g2")
	inBubble(t, func(t *testing.T, w *world) {
		c, _ := w.connect(hello())
		task := w.assign("t1")
		a := expect[protocol.Assign](c)
		for _, reason := range []string{protocol.CancelRequested, protocol.CancelTimeout} {
			if !w.hub.Cancel(task, reason) {
				t.Error("not found")
			}
		}
		may.set("g2")
		w.refresh()
		if got := expect[protocol.Cancel](c); got.Reason != protocol.CancelRequested {
			t.Errorf("cancel %+v", got)
		}
		expect[protocol.Groups](c)
		c.result(a, protocol.Cancelled)
		expect[protocol.Ack](c) // and nothing before it
	}, func(o *workers.HubOptions) { o.Groups = may.of })
}

// TestGroupsAreThoseAskedFor: a session works for the groups of its token that it
// asked for at first, also after it was told of fewer and came back with those.
func TestGroupsAreThoseAskedFor(t *testing.T) {
	var may membership
	may.set("g1", "g2")
	inBubble(t, func(t *testing.T, w *world) {
		limited := alice
		limited.Limit = []string{"g1", "g2", "g3"}
		h := hello()
		h.Groups = []string{"g1", "g2"}
		open := func(h protocol.Hello) (*client, protocol.Welcome) {
			id := limited
			may.mu.Lock()
			id.Groups = slices.Clone(may.groups)
			may.mu.Unlock()
			c := w.dial(id)
			c.send(h)
			welcome := expect[protocol.Welcome](c)
			synctest.Wait()
			return c, welcome
		}
		c, welcome := open(h)
		may.set("g1", "g2", "g3", "g4") // g3 was not asked for, g4 is outside the token
		w.refresh()
		if len(c.got) > 0 {
			t.Errorf("told of groups that it did not ask for: %s", (<-c.got).Raw)
		}
		w.decide(welcome.Worker, func(s *workers.Settings) { s.Groups = []string{"g2"} })
		w.refresh()
		if got := expect[protocol.Groups](c); !slices.Equal(got.Groups, []string{"g2"}) {
			t.Errorf("groups %v", got)
		}
		task := w.claimed(w.hub.TryReserve(pair("g2", "k"), 1)[0], "t1", 1)
		task.Group = "g2"
		w.tasks.own(task)
		c.sock.cut()
		synctest.Wait()
		w.decide(welcome.Worker, func(s *workers.Settings) { s.Groups = []string{"g1"} })
		h.Groups = []string{"g2"} // all that it heard of
		h.Session, h.Resume, h.Running = welcome.Session, welcome.Resume, []protocol.AttemptRef{ref(task)}
		c, back := open(h)
		if back.Session != welcome.Session || !slices.Equal(back.Groups, []string{"g1"}) ||
			len(back.Resumed) > 0 || len(back.Dropped) != 1 || len(w.tasks.taken) != 1 {
			t.Errorf("welcome %+v, taken back %v", back, w.tasks.taken)
		}
		may.set("g9")
		c.sock.leave(1000)
		synctest.Wait()
		c, fresh := open(h) // the session is lost, but known; not allowed for anything, it stays
		if fresh.Session == welcome.Session || len(fresh.Groups) > 0 {
			t.Errorf("welcome %+v", fresh)
		}
		may.set("g1", "g2")
		w.decide(welcome.Worker, func(s *workers.Settings) { s.Groups = nil })
		w.refresh()
		if got := expect[protocol.Groups](c); !slices.Equal(got.Groups, []string{"g1", "g2"}) {
			t.Errorf("groups %v", got)
		}
		h.Resume = "somebody else's"
		h.Groups = []string{"g9"}
		wrong := w.dial(limited)
		wrong.send(h)
		if code := wrong.sock.closed(); code != protocol.CloseGroup {
			t.Errorf("closed with %d", code)
		}
	}, func(o *workers.HubOptions) { o.Groups = may.of })
}

// TestChangesElsewhereAreFound: nobody tells the hub.
func TestChangesElsewhereAreFound(t *testing.T) {
	var may membership
	may.set("g1", "g2")
	inBubble(t, func(t *testing.T, w *world) {
		_, welcome := w.connect(hello())
		w.decide(welcome.Worker, func(s *workers.Settings) { s.Kinds = []string{"l"} })
		may.set("g2")
		pass(5 * time.Second)
		if w.free("g1", "l") > 0 || w.free("g2", "k") > 0 || w.free("g2", "l") != 2 {
			t.Errorf("after 5 s: %v", w.hub.Kinds())
		}
		may.mu.Lock()
		may.groups, may.err = nil, errDown
		may.mu.Unlock()
		pass(5 * time.Second)
		if err := w.hub.Refresh(t.Context(), alice.User); !errors.Is(err, errDown) {
			t.Errorf("refresh: %v", err)
		}
		if w.free("g2", "l") != 2 {
			t.Error("a store that is away took groups away")
		}
	}, func(o *workers.HubOptions) { o.Groups = may.of })
}

// TestQuietHoursComeAndGo: by the clock alone, also while the store is away.
func TestQuietHoursComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins at midnight UTC, a Saturday
		down := &away{}
		store := realStore(t)
		down.Store, down.Roster = store, store.(workers.Roster)
		w := newWorld(t, down)
		defer w.stop()
		c, welcome := w.connect(hello())
		// Kolkata, +05:30: 05:30 there is midnight in UTC.
		w.decide(welcome.Worker, func(s *workers.Settings) {
			s.TimeZone = "Asia/Kolkata"
			s.QuietHours = []workers.Window{{Days: []string{"sat"}, From: "05:35", To: "05:42"}}
		})
		w.refresh()
		w.assign("t1")
		expect[protocol.Assign](c)
		down.down.Store(true)
		began := time.Now()
		var changes []time.Duration
		for was := 1; time.Since(began) < 20*time.Minute; {
			pass(time.Second)
			synctest.Wait()
			if got := w.free("g1", "k"); got != was {
				was = got
				changes = append(changes, time.Since(began))
			}
		}
		if !slices.Equal(changes, []time.Duration{5 * time.Minute, 12 * time.Minute}) {
			t.Errorf("changed after %v", changes)
		}
		if len(c.got) > 0 {
			t.Error("the running task was touched")
		}
	})
}

// TestSessionsAreSavedOnceTheStoreIsBack: others read in it what is in force.
func TestSessionsAreSavedOnceTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := realStore(t)
		s := &away{Store: store, Roster: store.(workers.Roster)}
		w := newWorld(t, s)
		defer w.stop()
		c, welcome := w.connect(hello())
		s.down.Store(true)
		c.send(protocol.Slots{Slots: 7})
		pass(10 * time.Second)
		if got := w.state(welcome.Session).Slots; got != 2 {
			t.Errorf("%d slots were saved in a store that is away", got)
		}
		s.down.Store(false)
		pass(5 * time.Second)
		if got := w.state(welcome.Session).Slots; got != 7 {
			t.Errorf("the store still says %d slots", got)
		}
	})
}

// away is a store that gives no settings and takes no changes while down is set.
type away struct {
	workers.Store
	workers.Roster
	down atomic.Bool
}

func (a *away) Settings(ctx context.Context, ids ...string) (map[string]workers.Settings, error) {
	if a.down.Load() {
		return nil, errDown
	}
	return a.Store.Settings(ctx, ids...)
}

func (a *away) Update(ctx context.Context, s workers.Session) (bool, error) {
	if a.down.Load() {
		return false, errDown
	}
	return a.Store.Update(ctx, s)
}

// TestNamesAreComposed: two spellings of a name are one worker.
func TestNamesAreComposed(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := hello()
		h.Name = "Cafe\u0301"
		_, one := w.connect(h)
		h.Name = "Café"
		_, two := w.connect(h)
		if one.Worker != two.Worker || w.state(one.Session).Name != "Café" {
			t.Errorf("%s, %s: %q", one.Worker, two.Worker, w.state(one.Session).Name)
		}
	})
}
