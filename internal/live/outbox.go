package live

import (
	"container/list"
	"sync"

	"github.com/gorilla/websocket"
)

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
	replies []*websocket.PreparedMessage
}

// backlog is what waits of one topic, oldest first.
type backlog struct {
	entries list.List // of entry
	bySlot  map[slot]*list.Element
	missed  bool // events were dropped: resync comes before the next one
}

// slot is where at most one event waits.
type slot struct {
	kind Type
	key  string
}

type entry struct {
	slot  slot
	frame *websocket.PreparedMessage
}

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
		o.topics[t] = &backlog{bySlot: make(map[slot]*list.Element)}
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
	o.events -= b.entries.Len()
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
func (o *outbox) push(t Topic, s slot, f *websocket.PreparedMessage) {
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
	el := b.entries.PushBack(entry{s, f})
	if s.key != "" {
		b.bySlot[s] = el
	}
	o.events++
	o.signal()
}

// supersede removes the waiting events that a new one makes old: a newer task
// stands for its progress too. It returns how many.
func (b *backlog) supersede(s slot) (removed int) {
	if s.key == "" {
		return 0
	}
	for _, old := range [...]slot{s, {TypeProgress, s.key}} {
		if el := b.bySlot[old]; el != nil && (old == s || s.kind == TypeTask) {
			b.entries.Remove(el)
			delete(b.bySlot, old)
			removed++
		}
	}
	return removed
}

// dropBusiest makes room: the topic with the most events loses them all.
func (o *outbox) dropBusiest() {
	var busiest *backlog
	for _, b := range o.topics {
		if busiest == nil || b.entries.Len() > busiest.entries.Len() {
			busiest = b
		}
	}
	o.events -= busiest.miss()
}

// miss drops what waits and asks for a resync; it returns how many it dropped.
func (b *backlog) miss() (dropped int) {
	dropped = b.entries.Len()
	b.entries.Init()
	clear(b.bySlot)
	b.missed = true
	return dropped
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
	o.replies = append(o.replies, r.frame())
	o.signal()
	return true
}

// take empties the outbox: replies, then by topic its resync and events.
func (o *outbox) take() []*websocket.PreparedMessage {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.replies
	o.replies = nil
	for t, b := range o.topics {
		if b.missed {
			b.missed = false
			out = append(out, reply{Type: TypeResync, Topic: t.String()}.frame())
		}
		for el := b.entries.Front(); el != nil; el = el.Next() {
			out = append(out, el.Value.(entry).frame)
		}
		b.entries.Init()
		clear(b.bySlot)
	}
	o.events = 0
	return out
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default: // a token is there already
	}
}
