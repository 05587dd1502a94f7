package workers

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// scheduler hands out the slots of this server's sessions. It knows nothing of
// connections. A slot that becomes free goes at once to the waiter whose turn
// it is, so as long as somebody waits for a pair no slot for it is free.
type scheduler struct {
	// mu guards all below, and the fields of seats, classes and waiters. It is a
	// leaf: no other lock is taken, and nobody woken, while it is held.
	mu       sync.Mutex
	clock    uint64 // counts grants and waiters
	stalled  bool
	classes  map[string]*class
	byGroup  map[string]map[*class]struct{}
	byWorker map[string]map[*seat]struct{}
	waiting  map[place]map[string][]*waiter // by kind, the oldest first
}

// place is where waiters of some kinds stand: (group, target), or for the turns
// of a class (group, kind).
type place struct{ group, of string }

// waiter is one call of reserve. The scheduler's lock guards got and queued.
type waiter struct {
	pair   tasks.Pair
	max    int
	since  uint64
	queued bool
	got    []*seat
	ready  chan struct{} // closed once got is final
}

func newScheduler() *scheduler {
	return &scheduler{
		classes:  make(map[string]*class),
		byGroup:  make(map[string]map[*class]struct{}),
		byWorker: make(map[string]map[*seat]struct{}),
		waiting:  make(map[place]map[string][]*waiter),
	}
}

// reserve waits for a slot for p and takes up to max at once: one seat for each
// slot. Without an error there is at least one, also if ctx ended meanwhile.
func (s *scheduler) reserve(ctx context.Context, p tasks.Pair, max int) ([]*seat, error) {
	s.mu.Lock()
	if got := s.take(p, max); len(got) > 0 {
		s.mu.Unlock()
		return got, nil
	}
	w := s.queue(p, max)
	s.mu.Unlock()
	select {
	case <-w.ready:
		return w.got, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(w.got) > 0 {
		return w.got, nil
	}
	s.unqueue(w)
	return nil, ctx.Err()
}

// tryReserve is reserve without waiting.
func (s *scheduler) tryReserve(p tasks.Pair, max int) []*seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(p, max)
}

func (s *scheduler) take(p tasks.Pair, max int) (got []*seat) {
	for len(got) < max {
		st := s.freest(p)
		if st == nil {
			break
		}
		s.grant(st, p)
		got = append(got, st)
	}
	return got
}

// freest returns the least loaded seat with a free slot for p, or nil.
func (s *scheduler) freest(p tasks.Pair) (best *seat) {
	if s.stalled {
		return nil
	}
	if p.Target != "" {
		for st := range s.byWorker[p.Target] {
			if st.offered() && !st.pausing(p.Kind) && st.class.takes(p) && (best == nil || freer(st, best)) {
				best = st
			}
		}
		return best
	}
	for c := range s.byGroup[p.Group] {
		if !c.kinds[p.Kind] {
			continue
		}
		if st := c.freest(p.Kind); st != nil && (best == nil || freer(st, best)) {
			best = st
		}
	}
	return best
}

func (s *scheduler) grant(st *seat, p tasks.Pair) {
	s.clock++
	st.taken++
	st.used = s.clock
	st.class.groupTurn[p.Group] = s.clock
	st.class.kindTurn[place{p.Group, p.Kind}] = s.clock
	st.class.place(st)
}

func (s *scheduler) queue(p tasks.Pair, max int) *waiter {
	s.clock++
	w := &waiter{pair: p, max: max, since: s.clock, queued: true, ready: make(chan struct{})}
	at := place{p.Group, p.Target}
	if s.waiting[at] == nil {
		s.waiting[at] = make(map[string][]*waiter)
	}
	s.waiting[at][p.Kind] = append(s.waiting[at][p.Kind], w)
	return w
}

func (s *scheduler) unqueue(w *waiter) {
	if !w.queued {
		return
	}
	w.queued = false
	at := place{w.pair.Group, w.pair.Target}
	kinds := s.waiting[at]
	line := kinds[w.pair.Kind]
	i := slices.Index(line, w)
	if kinds[w.pair.Kind] = slices.Delete(line, i, i+1); len(kinds[w.pair.Kind]) == 0 {
		delete(kinds, w.pair.Kind)
	}
	if len(kinds) == 0 {
		delete(s.waiting, at)
	}
}

// match gives the free slots of st to waiters, one at a time and in turns, and
// returns those to wake once the lock is released.
func (s *scheduler) match(st *seat) (woken []*waiter) {
	for !s.stalled && st.offered() {
		w := s.next(st)
		if w == nil {
			break
		}
		s.grant(st, w.pair)
		if w.got = append(w.got, st); len(w.got) == 1 {
			woken = append(woken, w)
		}
		if len(w.got) == w.max {
			s.unqueue(w)
		}
	}
	for _, w := range woken {
		s.unqueue(w)
	}
	return woken
}

// next returns the waiter whose turn it is at st: of the group that its class
// served longest ago, of that the kind, then who has waited longest.
func (s *scheduler) next(st *seat) (best *waiter) {
	var group, kind uint64
	for _, g := range st.class.groups {
		for _, target := range [...]string{"", st.worker} {
			for k, line := range s.waiting[place{g, target}] {
				if !st.class.kinds[k] || st.pausing(k) {
					continue
				}
				w, gt, kt := line[0], st.class.groupTurn[g], st.class.kindTurn[place{g, k}]
				if best == nil || gt < group || gt == group && (kt < kind || kt == kind && w.since < best.since) {
					best, group, kind = w, gt, kt
				}
			}
		}
	}
	return best
}

func wake(ws []*waiter) {
	for _, w := range ws {
		close(w.ready)
	}
}

// change runs f on a seat that is still there, then offers what has become free.
func (s *scheduler) change(st *seat, f func()) {
	s.mu.Lock()
	if st.gone {
		s.mu.Unlock()
		return
	}
	f()
	st.class.place(st)
	woken := s.match(st)
	s.mu.Unlock()
	wake(woken)
}

// add brings a seat in that holds taken attempts already; it is offered from
// open on. groups and kinds are sorted and without duplicates.
func (s *scheduler) add(st *seat, groups, kinds []string, slots, taken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.slots, st.taken, st.at = slots, taken, -1
	s.join(st, groups, kinds)
	if s.byWorker[st.worker] == nil {
		s.byWorker[st.worker] = make(map[*seat]struct{})
	}
	s.byWorker[st.worker][st] = struct{}{}
}

func (s *scheduler) join(st *seat, groups, kinds []string) {
	key := classKey(groups, kinds)
	c := s.classes[key]
	if c == nil {
		c = newClass(key, groups, kinds)
		s.classes[key] = c
		for _, g := range groups {
			if s.byGroup[g] == nil {
				s.byGroup[g] = make(map[*class]struct{})
			}
			s.byGroup[g][c] = struct{}{}
		}
	}
	st.class = c
	c.seats[st] = struct{}{}
	for _, p := range st.pauses {
		if p.active {
			c.pausing++
		}
	}
	c.place(st)
}

// part takes st out of its class.
func (s *scheduler) part(st *seat) {
	c := st.class
	gone := st.gone
	st.gone = true // so that place takes it out of the heap
	c.place(st)
	st.gone = gone
	delete(c.seats, st)
	for _, p := range st.pauses {
		if p.active {
			c.pausing--
		}
	}
	if len(c.seats) > 0 {
		return
	}
	delete(s.classes, c.key)
	for _, g := range c.groups {
		if delete(s.byGroup[g], c); len(s.byGroup[g]) == 0 {
			delete(s.byGroup, g)
		}
	}
}

// remove ends a seat; its slots that are still out mean nothing any more.
func (s *scheduler) remove(st *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.gone {
		return
	}
	st.gone = true
	s.part(st)
	for _, p := range st.pauses {
		p.timer.Stop()
	}
	if delete(s.byWorker[st.worker], st); len(s.byWorker[st.worker]) == 0 {
		delete(s.byWorker, st.worker)
	}
}

// free gives one slot back.
func (s *scheduler) free(st *seat) { s.change(st, func() { st.taken-- }) }

func (s *scheduler) open(st *seat)               { s.change(st, func() { st.opened = true }) }
func (s *scheduler) drain(st *seat)              { s.change(st, func() { st.draining = true }) }
func (s *scheduler) clog(st *seat, clogged bool) { s.change(st, func() { st.clogged = clogged }) }

// set changes what a seat takes; groups and kinds are as in add.
func (s *scheduler) set(st *seat, groups, kinds []string, slots int) {
	s.change(st, func() {
		st.slots = slots
		if classKey(groups, kinds) != st.class.key {
			s.part(st)
			s.join(st, groups, kinds)
		}
	})
}

// rejected pauses a kind at a seat. Attempts rejected during a pause were given
// out before it and do not make it longer.
func (s *scheduler) rejected(st *seat, kind string) {
	s.change(st, func() {
		p := st.pauses[kind]
		switch {
		case p == nil:
			p = &pause{length: rejectPause}
			if st.pauses == nil {
				st.pauses = make(map[string]*pause)
			}
			st.pauses[kind] = p
		case p.active:
			return
		default:
			p.length = min(2*p.length, rejectPauseMax)
		}
		p.active = true
		st.class.pausing++
		p.timer = time.AfterFunc(p.length, func() { s.endPause(st, p) })
	})
}

func (s *scheduler) endPause(st *seat, p *pause) {
	s.change(st, func() {
		if p.active {
			p.active = false
			st.class.pausing--
		}
	})
}

// succeeded forgets that a seat rejected a kind.
func (s *scheduler) succeeded(st *seat, kind string) {
	s.change(st, func() {
		p := st.pauses[kind]
		if p == nil {
			return
		}
		p.timer.Stop()
		if p.active {
			p.active = false // its timer may be on the way already
			st.class.pausing--
		}
		delete(st.pauses, kind)
	})
}

// stall stops all reservations, or lets them go on.
func (s *scheduler) stall(stalled bool) {
	s.mu.Lock()
	s.stalled = stalled
	var woken []*waiter
	for _, seats := range s.byWorker {
		for st := range seats {
			woken = append(woken, s.match(st)...)
		}
	}
	s.mu.Unlock()
	wake(woken)
}

func (s *scheduler) idle(st *seat) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return st.taken == 0
}

// serves reports whether a seat takes p, be it busy.
func (s *scheduler) serves(p tasks.Pair) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Target != "" {
		for st := range s.byWorker[p.Target] {
			if st.serving() && st.class.takes(p) {
				return true
			}
		}
		return false
	}
	for c := range s.byGroup[p.Group] {
		if c.kinds[p.Kind] && c.serving() {
			return true
		}
	}
	return false
}

func (c *class) serving() bool {
	for st := range c.seats {
		if st.serving() {
			return true
		}
	}
	return false
}

// kinds returns what is served now: group → kinds, sorted.
func (s *scheduler) kinds() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string][]string, len(s.byGroup))
	for g, classes := range s.byGroup {
		served := make(map[string]bool)
		for c := range classes {
			if c.serving() {
				maps.Copy(served, c.kinds)
			}
		}
		if len(served) > 0 {
			all[g] = slices.Sorted(maps.Keys(served))
		}
	}
	return all
}

// workers returns the ids of the workers with a serving seat, sorted.
func (s *scheduler) workers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, seats := range s.byWorker {
		for st := range seats {
			if st.serving() {
				ids = append(ids, id)
				break
			}
		}
	}
	slices.Sort(ids)
	return ids
}
