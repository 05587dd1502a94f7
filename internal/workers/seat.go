package workers

import (
	"container/heap"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// A rejecting session is offered none of that kind for rejectPause, doubling to
// rejectPauseMax until one of that kind succeeds (docs/worker-protocol.md 3).
const (
	rejectPause    = 5 * time.Second
	rejectPauseMax = 60 * time.Second
)

// seat is a session as the scheduler sees it. The scheduler's lock guards every
// field but peer, which never changes.
type seat struct {
	peer   *peer // nil in tests of the scheduler alone
	worker string

	class    *class
	opened   bool // its welcome is on the way
	slots    int
	taken    int // reserved, assigned, and dropped but not answered yet
	draining bool
	clogged  bool // its out queue is long: nothing more until it is shorter
	gone     bool
	pauses   map[string]*pause // by kind; nil until it rejects something
	used     uint64            // scheduler's clock at its last grant: ties go to the longest unused
	at       int               // index in class.free, -1 outside
}

// pause of one kind after a rejection. It outlives its end, so that the next
// one is longer.
type pause struct {
	active bool
	length time.Duration
	timer  *time.Timer
}

// offered reports whether the seat can be given one more task.
func (st *seat) offered() bool {
	return st.opened && !st.gone && !st.draining && !st.clogged && st.taken < st.slots
}

// serving reports whether the seat takes tasks at all, if not just now.
func (st *seat) serving() bool { return st.opened && !st.gone && !st.draining && st.slots > 0 }

func (st *seat) pausing(kind string) bool {
	p := st.pauses[kind]
	return p != nil && p.active
}

// freer orders seats: the larger share of free slots first, then the one that
// was used longer ago.
func freer(a, b *seat) bool {
	x, y := (a.slots-a.taken)*b.slots, (b.slots-b.taken)*a.slots
	if x != y {
		return x > y
	}
	return a.used < b.used
}

// class holds the seats that work for the same groups and kinds. There are few
// classes, so the index is small and a seat moves in one heap only.
type class struct {
	key     string
	groups  []string
	kinds   map[string]bool
	seats   map[*seat]struct{}
	free    seatHeap // those offered, the freest first
	pausing int      // seats with a kind paused now

	// Turns: the scheduler's clock when this class last served a group, and a
	// kind of it. Groups that share workers take turns by it.
	groupTurn map[string]uint64
	kindTurn  map[place]uint64
}

func classKey(groups, kinds []string) string {
	return strings.Join(groups, ",") + "\n" + strings.Join(kinds, ",")
}

func newClass(key string, groups, kinds []string) *class {
	c := &class{
		key: key, groups: groups, kinds: make(map[string]bool, len(kinds)),
		seats:     make(map[*seat]struct{}),
		groupTurn: make(map[string]uint64), kindTurn: make(map[place]uint64),
	}
	for _, k := range kinds {
		c.kinds[k] = true
	}
	return c
}

func (c *class) takes(p tasks.Pair) bool {
	return c.kinds[p.Kind] && slices.Contains(c.groups, p.Group)
}

// freest returns the seat to offer kind to, or nil.
func (c *class) freest(kind string) *seat {
	if len(c.free) == 0 {
		return nil
	}
	if c.pausing == 0 {
		return c.free[0]
	}
	var best *seat
	for _, st := range c.free {
		if !st.pausing(kind) && (best == nil || freer(st, best)) {
			best = st
		}
	}
	return best
}

// place puts st where its state says: into the heap, to another position, or out.
func (c *class) place(st *seat) {
	switch {
	case st.offered() && st.at < 0:
		heap.Push(&c.free, st)
	case st.offered():
		heap.Fix(&c.free, st.at)
	case st.at >= 0:
		heap.Remove(&c.free, st.at)
	}
}

// seatHeap implements heap.Interface.
type seatHeap []*seat

func (h seatHeap) Len() int           { return len(h) }
func (h seatHeap) Less(i, j int) bool { return freer(h[i], h[j]) }
func (h seatHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *seatHeap) Push(x any) {
	st := x.(*seat)
	st.at = len(*h)
	*h = append(*h, st)
}

func (h *seatHeap) Pop() any {
	last := len(*h) - 1
	st := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	st.at = -1
	return st
}
