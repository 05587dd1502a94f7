// Package live carries events to browsers: topics, coalescing, slow readers,
// rights, and the relay between servers (docs/http-api.md, Live).
package live

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

// Subprotocol is what a client offers in the WebSocket handshake.
const Subprotocol = "firmlight.live.v1"

// Bounds of one connection, and of the hub.
const (
	maxTopics       = 256
	maxRequestBytes = 32 << 10
	maxWaiting      = 1024 // events in an outbox
	maxReplies      = 1024 // answers in an outbox: several requests of maxTopics
	requestRate     = 20   // requests per second, slowed down beyond
	requestBurst    = 100
	maxClients      = 10_000
	maxOfUser       = 100 // connections

	rightsTimeout = 5 * time.Second
	recheckAgain  = time.Second // after a check the store could not answer
)

// Timing of a connection. Ping < Silence, and Write < Silence.
type Timing struct {
	Interval time.Duration // between two flushes of a busy connection; an idle one gets events at once
	Write    time.Duration // one frame; a client that reads nothing for so long is closed
	Ping     time.Duration
	Silence  time.Duration // without a pong
	Goodbye  time.Duration // for the client to answer a close frame
	Rights   time.Duration // between two looks at the rights, besides Recheck
}

// DefaultTiming is what a server runs with.
var DefaultTiming = Timing{
	Interval: 100 * time.Millisecond, Write: 10 * time.Second,
	Ping: 25 * time.Second, Silence: 60 * time.Second, Goodbye: time.Second,
	Rights: 30 * time.Second,
}

// Hub knows who watches what on this server. Its methods are safe for
// concurrent use, never block on a client, and cost one look into a map where
// nobody watches.
type Hub struct {
	timing Timing
	relay  *Relay // nil: this server is the only one

	// mu guards what follows. Nothing is sent, closed or awaited under it. A
	// client's rights may be held when it is taken, its outbox's lock not.
	mu      sync.RWMutex
	topics  map[Topic][]*client  // slices are replaced, never changed: readers use them unlocked
	users   map[string][]*client // the same
	clients int
	stopped bool
	wg      sync.WaitGroup // of Serve

	changedMu sync.Mutex     // guards changed; taken alone
	changed   map[Topic]bool // watched groups with a task event since takeChanged
}

// NewHub returns a hub. relay may be nil.
func NewHub(timing Timing, relay *Relay) *Hub {
	return &Hub{
		timing: timing, relay: relay,
		topics: make(map[Topic][]*client), users: make(map[string][]*client), changed: make(map[Topic]bool),
	}
}

// Start begins to exchange events with other servers.
func (h *Hub) Start(ctx context.Context) error {
	if h.relay == nil {
		return nil
	}
	return h.relay.start(ctx, h)
}

// Stop closes every connection with 1001 and waits for them, at most until ctx
// ends. It may be called twice, or without Start.
func (h *Hub) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	all := h.all()
	for _, c := range all {
		c.end(closing{protocol.CloseGoingAway, "server going away"})
	}
	if h.relay != nil {
		h.relay.stop()
	}
	done := make(chan struct{})
	go func() { h.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		for _, c := range all {
			_ = c.ws.Close()
		}
		<-done // closed sockets end at once
		return ctx.Err()
	}
}

// Serve runs a connection until it ends, and closes it; one above the hub's or
// the user's limit with 4429 at once.
func (h *Hub) Serve(ctx context.Context, ws *websocket.Conn, who Watcher) {
	defer ws.Close()
	ctx, end := context.WithCancelCause(ctx)
	c := &client{
		hub: h, ws: ws, who: who, end: end,
		box: newOutbox(maxWaiting, maxReplies), recheck: make(chan struct{}, 1),
	}
	if err := h.add(c); err != nil {
		c.sayWhy(err)
		return
	}
	defer h.remove(c)
	var writer sync.WaitGroup
	gone := make(chan struct{})
	writer.Go(func() {
		c.write(ctx)
		select { // after a close frame the client has a moment to answer
		case <-gone:
		case <-time.After(h.timing.Goodbye):
			_ = ws.Close()
		}
	})
	c.read(ctx)
	close(gone)
	writer.Wait()
}

// Clients returns how many connections are open.
func (h *Hub) Clients() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.clients
}

// Watched reports whether anyone on this server watches a topic.
func (h *Hub) Watched(t Topic) bool { return len(h.watchers(t)) > 0 }

// Publish hands an event to everyone who watches one of its topics, here and on
// other servers.
func (h *Hub) Publish(e Event) {
	h.deliver(e)
	if h.relay != nil {
		h.relay.publish(e)
	}
}

// Recheck asks again for the rights of a user's connections, on every server;
// call it after a membership, a role or the user has changed.
func (h *Hub) Recheck(user string) {
	h.recheck(user)
	if h.relay != nil {
		h.relay.tell(order{Recheck: user})
	}
}

// Revoke closes the connections of sessions, tokens and users on this server, by
// id, with 4401. Every server has to be told.
func (h *Hub) Revoke(ids ...string) {
	for _, c := range h.all() {
		if slices.Contains(ids, c.who.Token) || slices.Contains(ids, c.who.User) {
			c.end(closing{protocol.CloseUnauthorized, "token revoked"})
		}
	}
}

// deliver hands an event to the watchers on this server.
func (h *Hub) deliver(e Event) {
	for _, t := range e.Topics {
		watchers := h.watchers(t)
		if len(watchers) == 0 {
			continue
		}
		if e.Type == TypeTask && t.Kind == Group {
			h.noteChanged(t)
		}
		m := e.message(t)
		for _, c := range watchers {
			c.box.push(t, slot{e.Type, e.Key}, m)
		}
	}
}

func (h *Hub) noteChanged(t Topic) {
	h.changedMu.Lock()
	defer h.changedMu.Unlock()
	h.changed[t] = true
}

// takeChanged returns the groups to count again, and forgets them.
func (h *Hub) takeChanged() []Topic {
	h.changedMu.Lock()
	defer h.changedMu.Unlock()
	ts := slices.Collect(maps.Keys(h.changed))
	clear(h.changed)
	return ts
}

// Missed tells every client, here and on other servers, that it may have missed
// something. It does not block.
func (h *Hub) Missed() {
	h.resync()
	if h.relay != nil {
		h.relay.miss()
	}
}

// resync tells every client that it may have missed something.
func (h *Hub) resync() {
	for _, c := range h.all() {
		c.box.missAll()
	}
}

func (h *Hub) recheck(user string) {
	for _, c := range h.of(user) {
		c.askRecheck()
	}
}

func (h *Hub) all() []*client {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := make([]*client, 0, h.clients)
	for _, cs := range h.users {
		all = append(all, cs...)
	}
	return all
}

func (h *Hub) watchers(t Topic) []*client {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.topics[t]
}

func (h *Hub) of(user string) []*client {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.users[user]
}

func (h *Hub) add(c *client) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped:
		return closing{protocol.CloseGoingAway, "server going away"}
	case h.clients >= maxClients || len(h.users[c.who.User]) >= maxOfUser:
		return closing{protocol.CloseTooMany, "too many connections"}
	}
	h.clients++
	h.wg.Add(1)
	join(h.users, c.who.User, c)
	return nil
}

func (h *Hub) remove(c *client) {
	watched := c.box.list()
	h.mu.Lock()
	for _, t := range watched {
		leave(h.topics, t, c)
	}
	leave(h.users, c.who.User, c)
	h.clients--
	h.mu.Unlock()
	h.wg.Done()
}

func (h *Hub) watch(t Topic, c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	join(h.topics, t, c)
}

func (h *Hub) unwatch(t Topic, c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	leave(h.topics, t, c)
}

// join and leave replace the slice at k, so that those who hold the old one may
// go on reading it.
func join[K comparable](m map[K][]*client, k K, c *client) {
	m[k] = append(slices.Clip(m[k]), c)
}

func leave[K comparable](m map[K][]*client, k K, c *client) {
	rest := slices.DeleteFunc(slices.Clone(m[k]), func(o *client) bool { return o == c })
	if len(rest) == 0 {
		delete(m, k)
		return
	}
	m[k] = rest
}
