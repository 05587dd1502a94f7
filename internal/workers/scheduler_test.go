package workers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/firmlight/firmlight/internal/tasks"
)

func pair(group, kind string) tasks.Pair { return tasks.Pair{Group: group, Kind: kind} }

// sit adds an open seat.
func sit(s *scheduler, worker string, groups, kinds []string, slots int) *seat {
	st := &seat{worker: worker}
	s.add(st, groups, kinds, slots, 0)
	s.open(st)
	return st
}

func (s *scheduler) setSlots(st *seat, n int) { s.set(st, st.class.groups, st.kinds(), n) }

func (s *scheduler) setGroups(st *seat, groups []string) { s.set(st, groups, st.kinds(), st.slots) }

func (st *seat) kinds() []string { return slices.Sorted(maps.Keys(st.class.kinds)) }

func TestLeastLoadedFirst(t *testing.T) {
	s := newScheduler()
	small := sit(s, "small", []string{"g"}, []string{"k"}, 2)
	big := sit(s, "big", []string{"g"}, []string{"k", "other"}, 8)
	got := map[*seat]int{}
	for _, st := range s.tryReserve(pair("g", "k"), 5) {
		got[st]++
	}
	// Shares of free slots stay as equal as can be: 1 of 2 and 4 of 8.
	if got[small] != 1 || got[big] != 4 {
		t.Errorf("small got %d, big %d", got[small], got[big])
	}
	if rest := s.tryReserve(pair("g", "k"), 100); len(rest) != 5 {
		t.Errorf("%d slots were left, want 5", len(rest))
	}
	if more := s.tryReserve(pair("g", "k"), 1); more != nil {
		t.Error("a slot was given out twice")
	}
}

func TestEqualSeatsAreUsedInTurns(t *testing.T) {
	s := newScheduler()
	a := sit(s, "a", []string{"g"}, []string{"k"}, 1)
	b := sit(s, "b", []string{"g"}, []string{"k"}, 1)
	var used []*seat
	for range 4 {
		st := s.tryReserve(pair("g", "k"), 1)[0]
		used = append(used, st)
		s.free(st)
	}
	if used[0] == used[1] || used[0] != used[2] || used[1] != used[3] || !slices.Contains(used, a) || !slices.Contains(used, b) {
		t.Error("seats with the same load are not used in turns")
	}
}

func TestSeatsThatTakeNothing(t *testing.T) {
	p := pair("g", "k")
	tests := map[string]struct {
		change func(*scheduler, *seat)
		serves bool
	}{
		"busy":          {func(s *scheduler, st *seat) { s.tryReserve(p, 1) }, true},
		"paused":        {func(s *scheduler, st *seat) { s.setSlots(st, 0) }, false},
		"draining":      {func(s *scheduler, st *seat) { s.drain(st) }, false},
		"clogged":       {func(s *scheduler, st *seat) { s.clog(st, true) }, true},
		"gone":          {func(s *scheduler, st *seat) { s.remove(st) }, false},
		"gone twice":    {func(s *scheduler, st *seat) { s.remove(st); s.remove(st); s.free(st) }, false},
		"other groups":  {func(s *scheduler, st *seat) { s.setGroups(st, []string{"h"}) }, false},
		"other kinds":   {func(s *scheduler, st *seat) { s.set(st, []string{"g"}, []string{"l"}, 1) }, false},
		"rejected":      {func(s *scheduler, st *seat) { s.rejected(st, "k") }, true},
		"server stalls": {func(s *scheduler, st *seat) { s.stall(true) }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScheduler()
			st := sit(s, "w", []string{"g"}, []string{"k"}, 1)
			if !s.serves(p) || s.serves(pair("g", "x")) || s.serves(pair("x", "k")) {
				t.Fatal("serves is wrong from the start")
			}
			tt.change(s, st)
			if got := s.tryReserve(p, 1); got != nil {
				t.Error("it was given a task")
			}
			if s.serves(p) != tt.serves {
				t.Errorf("serves: %v", !tt.serves)
			}
			s.remove(st)
			if len(s.classes)+len(s.byGroup)+len(s.byWorker) > 0 {
				t.Error("the index keeps what is gone")
			}
		})
	}
}

func TestTargetedPairs(t *testing.T) {
	s := newScheduler()
	sit(s, "a", []string{"g"}, []string{"k"}, 5)
	b := sit(s, "b", []string{"g"}, []string{"k"}, 1)
	p := tasks.Pair{Group: "g", Kind: "k", Target: "b"}
	if got := s.tryReserve(p, 5); len(got) != 1 || got[0] != b {
		t.Fatalf("got %v", got)
	}
	if !s.serves(p) || s.serves(tasks.Pair{Group: "g", Kind: "k", Target: "c"}) {
		t.Error("serves ignores the target")
	}
	if got := s.workers(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("workers: %v", got)
	}
	waitFor(t, s, p, func() { s.free(b) })
}

// waitFor checks that reserve waits for p, and ends once free was called.
func waitFor(t *testing.T, s *scheduler, p tasks.Pair, free func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		done := make(chan []*seat)
		go func() {
			got, _ := s.reserve(context.Background(), p, 1)
			done <- got
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("there was nothing to reserve")
		default:
		}
		free()
		if got := <-done; len(got) != 1 {
			t.Fatalf("got %d seats", len(got))
		}
	})
}

func TestWaitersAreWokenBy(t *testing.T) {
	p := pair("g", "k")
	groups, kinds := []string{"g"}, []string{"k"}
	setups := map[string]func(s *scheduler) func(){
		"a free slot": func(s *scheduler) func() {
			st := sit(s, "w", groups, kinds, 1)
			s.tryReserve(p, 1)
			return func() { s.free(st) }
		},
		"a new seat": func(s *scheduler) func() { return func() { sit(s, "w", groups, kinds, 1) } },
		"more slots": func(s *scheduler) func() {
			st := sit(s, "w", groups, kinds, 0)
			return func() { s.setSlots(st, 1) }
		},
		"a new group": func(s *scheduler) func() {
			st := sit(s, "w", []string{"x"}, kinds, 1)
			return func() { s.setGroups(st, []string{"g", "x"}) }
		},
		"the end of a stall": func(s *scheduler) func() {
			sit(s, "w", groups, kinds, 1)
			s.stall(true)
			return func() { s.stall(false) }
		},
		"a shorter out queue": func(s *scheduler) func() {
			st := sit(s, "w", groups, kinds, 1)
			s.clog(st, true)
			return func() { s.clog(st, false) }
		},
	}
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) {
			s := newScheduler()
			waitFor(t, s, p, setup(s))
			if len(s.waiting) > 0 {
				t.Error("a waiter was left behind")
			}
		})
	}
}

func TestReserveEndsWithItsContext(t *testing.T) {
	s := newScheduler()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.reserve(ctx, pair("g", "k"), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if len(s.waiting) > 0 {
		t.Error("the waiter stayed")
	}
	st := sit(s, "w", []string{"g"}, []string{"k"}, 1)
	if s.tryReserve(pair("g", "k"), 1)[0] != st {
		t.Error("the slot went to a waiter that had gone")
	}
}

func TestRejectionsPauseAKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler()
		st := sit(s, "w", []string{"g"}, []string{"k", "l"}, 4)
		p := pair("g", "k")
		pauses := []time.Duration{5, 10, 20, 40, 60, 60}
		for i, seconds := range pauses {
			s.rejected(st, "k")
			s.rejected(st, "k") // another of the same time makes it no longer
			if s.tryReserve(p, 1) != nil {
				t.Fatal("offered during the pause")
			}
			if got := s.tryReserve(pair("g", "l"), 1); got == nil {
				t.Fatal("another kind is paused too")
			}
			s.free(st)
			start := time.Now()
			if _, err := s.reserve(t.Context(), p, 1); err != nil {
				t.Fatal(err)
			}
			s.free(st)
			if got := time.Since(start); got != seconds*time.Second {
				t.Errorf("pause %d: %v", i, got)
			}
		}
		s.succeeded(st, "k")
		s.rejected(st, "k")
		start := time.Now()
		if _, err := s.reserve(t.Context(), p, 1); err != nil || time.Since(start) != rejectPause {
			t.Errorf("after a success: %v, %v", time.Since(start), err)
		}
		other := sit(s, "v", []string{"g"}, []string{"k", "l"}, 1)
		s.rejected(st, "k")
		if got := s.tryReserve(p, 9); len(got) != 1 || got[0] != other {
			t.Error("a seat of the same class is paused too")
		}
		s.succeeded(st, "k")
		if got := s.tryReserve(p, 9); len(got) != 3 {
			t.Errorf("a success does not end the pause: %d", len(got))
		}
	})
}

func TestGroupsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler()
		groups, kinds := []string{"a", "b", "c"}, []string{"k", "l"}
		st := sit(s, "w", groups, kinds, 1)
		first := s.tryReserve(pair("a", "k"), 1)
		// Group a waits ten times as often as the others; b with two kinds.
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		serve := func(p tasks.Pair, times int) {
			for range times {
				wg.Go(func() {
					if _, err := s.reserve(t.Context(), p, 1); err != nil {
						t.Error(err)
					}
					mu.Lock()
					order = append(order, p.Group+p.Kind)
					mu.Unlock()
				})
			}
			synctest.Wait()
		}
		serve(pair("a", "k"), 10)
		serve(pair("b", "k"), 2)
		serve(pair("b", "l"), 2)
		serve(pair("c", "k"), 2)
		for range 16 {
			s.free(first[0])
			synctest.Wait()
		}
		wg.Wait()
		got := fmt.Sprint(order[:10])
		if got != "[bk ck ak bl ck ak bk ak bl ak]" {
			t.Errorf("order %v", got)
		}
		s.remove(st)
	})
}

// TestScheduler drives a scheduler at random and checks after every step that no
// seat has more than its slots, that nobody waits for what is free (no lost
// wake-up), and that what was given matches what was asked.
func TestScheduler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{s: newScheduler(), taken: map[*seat]int{}}
		groups := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3, rapid.ID[string])
		kinds := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"k", "l"}), 1, 2, rapid.ID[string])
		seatIndex := func(t *rapid.T) *seat {
			if len(m.seats) == 0 {
				t.Skip("no seats")
			}
			return rapid.SampledFrom(m.seats).Draw(t, "seat")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"sit": func(t *rapid.T) {
				worker := rapid.SampledFrom([]string{"v", "w"}).Draw(t, "worker")
				m.seats = append(m.seats, sit(m.s, worker, sorted(groups.Draw(t, "groups")), sorted(kinds.Draw(t, "kinds")),
					rapid.IntRange(0, 3).Draw(t, "slots")))
			},
			"leave": func(t *rapid.T) { m.s.remove(seatIndex(t)) },
			"drain": func(t *rapid.T) { m.s.drain(seatIndex(t)) },
			"clog":  func(t *rapid.T) { m.s.clog(seatIndex(t), rapid.Bool().Draw(t, "clogged")) },
			"stall": func(t *rapid.T) { m.s.stall(rapid.Bool().Draw(t, "stalled")) },
			"slots": func(t *rapid.T) { m.s.setSlots(seatIndex(t), rapid.IntRange(0, 3).Draw(t, "slots")) },
			"groups": func(t *rapid.T) {
				m.s.setGroups(seatIndex(t), sorted(groups.Draw(t, "groups")))
			},
			"kinds": func(t *rapid.T) {
				st := seatIndex(t)
				m.s.set(st, st.class.groups, sorted(kinds.Draw(t, "kinds")), st.slots)
			},
			"reserve": func(t *rapid.T) {
				p := pair(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "g"), rapid.SampledFrom([]string{"k", "l"}).Draw(t, "k"))
				p.Target = rapid.SampledFrom([]string{"", "", "v"}).Draw(t, "target")
				m.reserve(p, rapid.IntRange(1, 3).Draw(t, "max"))
			},
			"free": func(t *rapid.T) {
				st := seatIndex(t)
				if st.gone || st.taken == 0 {
					t.Skip("nothing taken")
				}
				m.s.free(st)
			},
			"reject":  func(t *rapid.T) { m.s.rejected(seatIndex(t), "k") },
			"succeed": func(t *rapid.T) { m.s.succeeded(seatIndex(t), "k") },
		})
		for _, st := range m.seats {
			m.s.remove(st) // stops the timers
		}
	})
}

type model struct {
	s       *scheduler
	seats   []*seat
	taken   map[*seat]int // at the last check
	waiters []*waiter
}

// reserve is scheduler.reserve up to where it would wait.
func (m *model) reserve(p tasks.Pair, most int) {
	if m.s.tryReserve(p, most) == nil {
		m.s.mu.Lock()
		m.waiters = append(m.waiters, m.s.queue(p, most))
		m.s.mu.Unlock()
	}
}

func (m *model) check(t *rapid.T) {
	for _, st := range m.seats {
		if st.taken < 0 {
			t.Fatal("more slots freed than taken")
		}
		if st.taken > st.slots && st.taken > m.taken[st] {
			t.Fatalf("%d of %d slots taken", st.taken, st.slots)
		}
		m.taken[st] = st.taken
		inHeap := st.at >= 0 && st.at < len(st.class.free) && st.class.free[st.at] == st
		if st.offered() != inHeap {
			t.Fatalf("offered %v, in the heap %v", st.offered(), inHeap)
		}
		pausing := 0
		for other := range st.class.seats {
			if other.pausing("k") {
				pausing++
			}
		}
		if !st.gone && pausing != st.class.pausing {
			t.Fatalf("class counts %d pauses, there are %d", st.class.pausing, pausing)
		}
	}
	for _, w := range m.waiters {
		woken := false
		select {
		case <-w.ready:
			woken = true
		default:
		}
		if woken != (len(w.got) > 0) || woken == w.queued || len(w.got) > w.max {
			t.Fatalf("waiter for %v: woken %v, queued %v, got %d of %d", w.pair, woken, w.queued, len(w.got), w.max)
		}
		if st := m.s.freest(w.pair); st != nil && w.queued {
			t.Fatalf("%v waits while a slot for it is free", w.pair)
		}
	}
}

func BenchmarkReserve(b *testing.B) {
	s := newScheduler()
	pairs := make([]tasks.Pair, 1000)
	for i := range pairs {
		pairs[i] = pair(fmt.Sprint("g", i/4), fmt.Sprint("k", i%4))
	}
	for i := range 10000 {
		p := pairs[i%len(pairs)]
		sit(s, fmt.Sprint("w", i), []string{p.Group}, []string{"k0", "k1", "k2", "k3"}, 4)
	}
	i := 0
	for b.Loop() {
		i++
		s.free(s.tryReserve(pairs[i%len(pairs)], 1)[0])
	}
}
