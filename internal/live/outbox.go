package live

import "sync"

// outbox holds what waits to be written to one client. It never grows beyond
// its bounds: a newer event takes the place of an older one of the same thing,
// and a client that reads too slowly loses its busiest topic and is told so.
type outbox struct {
	maxEvents  int
	maxReplies int
	wake       chan struct{} // has a token while something waits

	mu      sync.Mutex // guards what follows
	topics  map[Topic]*backlog
	events  int // waiting, over all topics
	replies [][]byte
}

// backlog is what waits of one topic, oldest first.
type backlog struct {
	entries []entry      // with gaps: superseded ones have no message
	waiting int          // entries without the gaps
	bySlot  map[slot]int // places in entries
	missed  bool         // events were dropped: resync comes before the next one
}

// slot is where at most one event waits.
type slot struct {
	kind Type
	key  string
}

type entry struct {
	slot    slot
	message []byte
}

const (
	keptRoom = 64 // entries for which room is kept when they are taken
	mostGaps = 64 // more than what waits
)

func newOutbox(maxEvents, maxReplies int) *outbox {
	return &outbox{
		maxEvents: maxEvents, maxReplies: maxReplies,
		wake: make(chan struct{}, 1), topics: make(map[Topic]*backlog),
	}
}

// open says that a topic is subscribed to, and lets its events in after that;
// false when the client asks without reading.
func (o *outbox) open(t Topic) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.topics[t] == nil {
		o.topics[t] = &backlog{bySlot: make(map[slot]int)}
	}
	return o.answer(reply{Type: TypeSubscribed, Topic: t.String()})
}

// has reports whether a topic is open.
func (o *outbox) has(t Topic) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.topics[t] != nil
}

// close drops a topic with what waits of it; false when it was not open.
func (o *outbox) close(t Topic) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.topics[t]
	if b == nil {
		return false
	}
	o.events -= b.waiting
	delete(o.topics, t)
	return true
}

// open topics, in no order.
func (o *outbox) list() []Topic {
	o.mu.Lock()
	defer o.mu.Unlock()
	ts := make([]Topic, 0, len(o.topics))
	for t := range o.topics {
		ts = append(ts, t)
	}
	return ts
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.topics)
}

// push adds an event of a topic. It never blocks.
func (o *outbox) push(t Topic, s slot, message []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.topics[t]
	if b == nil || b.missed {
		return
	}
	o.events -= b.supersede(s)
	if o.events >= o.maxEvents {
		o.dropBusiest()
	}
	if b.missed {
		return
	}
	b.add(entry{s, message})
	o.events++
	o.signal()
}

func (b *backlog) add(e entry) {
	if len(b.entries) > 2*b.waiting+mostGaps {
		b.compact()
	}
	if e.slot.key != "" {
		b.bySlot[e.slot] = len(b.entries)
	}
	b.entries = append(b.entries, e)
	b.waiting++
}

// compact closes the gaps.
func (b *backlog) compact() {
	old := b.entries
	b.entries, b.waiting = old[:0], 0
	for _, e := range old {
		if e.message != nil {
			b.add(e)
		}
	}
	clear(old[len(b.entries):])
}

// supersede removes the waiting events that a new one makes old: a newer task
// stands for its progress too. It returns how many.
func (b *backlog) supersede(s slot) (removed int) {
	if s.key == "" {
		return 0
	}
	for _, old := range [...]slot{s, {TypeProgress, s.key}} {
		if i, ok := b.bySlot[old]; ok && (old == s || s.kind == TypeTask) {
			b.entries[i].message = nil
			delete(b.bySlot, old)
			removed++
		}
	}
	b.waiting -= removed
	return removed
}

// dropBusiest makes room: the topic with the most events loses them all.
func (o *outbox) dropBusiest() {
	var busiest *backlog
	for _, b := range o.topics {
		if busiest == nil || b.waiting > busiest.waiting {
			busiest = b
		}
	}
	o.events -= busiest.miss()
}

// miss drops what waits and asks for a resync; it returns how many it dropped.
func (b *backlog) miss() (dropped int) {
	dropped = b.waiting
	b.empty()
	b.missed = true
	return dropped
}

func (b *backlog) empty() {
	clear(b.entries)
	if b.entries = b.entries[:0]; cap(b.entries) > keptRoom {
		b.entries = nil
	}
	b.waiting = 0
	clear(b.bySlot)
}

// missAll asks for a resync of every topic.
func (o *outbox) missAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.topics {
		o.events -= b.miss()
	}
	if len(o.topics) > 0 {
		o.signal()
	}
}

// reply adds an answer; false when the client asks without reading.
func (o *outbox) reply(r reply) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.answer(r)
}

func (o *outbox) answer(r reply) bool {
	if len(o.replies) >= o.maxReplies {
		return false
	}
	o.replies = append(o.replies, r.message())
	o.signal()
	return true
}

// take empties the outbox into to: replies, then by topic its resync and events.
func (o *outbox) take(to [][]byte) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	to = append(to, o.replies...)
	o.replies = nil
	for t, b := range o.topics {
		if b.missed {
			b.missed = false
			to = append(to, reply{Type: TypeResync, Topic: t.String()}.message())
		}
		for _, e := range b.entries {
			if e.message != nil {
				to = append(to, e.message)
			}
		}
		b.empty()
	}
	o.events = 0
	return to
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default: // a token is there already
	}
}
