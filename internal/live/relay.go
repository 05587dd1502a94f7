package live

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firmlight/firmlight/internal/background"
)

// relayChannel carries every event of every server. A server that nobody
// watches pays for decoding them, which is less than a subscription for each
// open page would cost all of them.
const relayChannel = "firmlight:live"

const (
	relayInterval  = 20 * time.Millisecond // between two batches; the first event goes at once
	relayBatch     = 1000                  // events in one message
	maxRelayed     = 10_000                // events that wait for Redis; beyond, others are told to resync
	publishTimeout = 3 * time.Second
	publishAgain   = time.Second // after Redis did not take a batch
)

// Relay exchanges events with the hubs of other servers over Redis pub/sub.
// What Redis loses costs a resync, never a wrong page.
type Relay struct {
	rdb    redis.UniversalClient
	server string
	others func() bool // whether another server is alive; called often
	log    *slog.Logger
	wake   chan struct{} // has a token while something waits
	loops  background.Loops

	mu     sync.Mutex // guards what follows
	events []Event
	orders []order
	missed bool // events were dropped
}

// batch is one message between servers.
type batch struct {
	From   string  `json:"from"`
	Events []Event `json:"events,omitempty"`
	Orders []order `json:"orders,omitempty"`
	Resync bool    `json:"resync,omitempty"`
}

// order is what every server has to do: look at the rights of a user's
// connections again.
type order struct {
	Recheck string `json:"recheck,omitempty"` // user
}

// NewRelay returns a relay for one hub, which starts and stops it. server is
// this process's id.
func NewRelay(rdb redis.UniversalClient, server string, others func() bool, log *slog.Logger) *Relay {
	return &Relay{rdb: rdb, server: server, others: others, log: log, wake: make(chan struct{}, 1)}
}

func (r *Relay) start(ctx context.Context, h *Hub) error {
	r.loops.Start(ctx, func(ctx context.Context) { r.receive(ctx, h) }, r.send)
	return nil
}

func (r *Relay) stop() {
	r.loops.Stop()
}

// publish puts an event into the next batch, if there is anyone to read it.
func (r *Relay) publish(e Event) {
	if !r.others() {
		return
	}
	r.mu.Lock()
	if len(r.events) < maxRelayed {
		r.events = append(r.events, e)
	} else {
		r.events, r.missed = nil, true
	}
	r.mu.Unlock()
	r.signal()
}

// tell puts an order into the next batch, also when no other server is known
// yet.
func (r *Relay) tell(o order) {
	r.mu.Lock()
	if len(r.orders) < maxRelayed { // beyond, the look at all rights has to do
		r.orders = append(r.orders, o)
	}
	r.mu.Unlock()
	r.signal()
}

// miss has others resync.
func (r *Relay) miss() {
	r.mu.Lock()
	r.missed = true
	r.mu.Unlock()
	r.signal()
}

func (r *Relay) signal() {
	select {
	case r.wake <- struct{}{}:
	default: // a token is there already
	}
}

// send publishes what comes, until ctx ends, and then what is left.
func (r *Relay) send(ctx context.Context) {
	defer r.sendRest(context.WithoutCancel(ctx))
	var sent time.Time
	pause := relayInterval
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause - time.Since(sent)):
		}
		pause = relayInterval
		if err := r.flush(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "live events do not reach other servers: Redis does not take them", "error", err)
			pause = publishAgain
		}
		sent = time.Now()
	}
}

func (r *Relay) sendRest(ctx context.Context) {
	r.mu.Lock()
	waits := len(r.events) > 0 || len(r.orders) > 0 || r.missed
	r.mu.Unlock()
	if !waits {
		return
	}
	if err := r.flush(ctx); err != nil {
		r.log.WarnContext(ctx, "the last live events did not reach other servers", "error", err)
	}
}

// flush sends what waits as few messages in one round trip. What Redis did not
// take is forgotten, except for orders, and others are told to resync.
func (r *Relay) flush(ctx context.Context) error {
	r.mu.Lock()
	events, orders, missed := r.events, r.orders, r.missed
	r.events, r.orders, r.missed = nil, nil, false
	r.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	_, err := r.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for first := true; first || len(events) > 0; first = false {
			n := min(len(events), relayBatch)
			b := batch{From: r.server, Events: events[:n]}
			if first {
				b.Orders, b.Resync = orders, missed
			}
			events = events[n:]
			msg, err := json.Marshal(b)
			if err != nil {
				return err
			}
			p.Publish(ctx, relayChannel, msg)
		}
		return nil
	})
	if err != nil {
		r.mu.Lock()
		r.orders, r.missed = append(orders, r.orders...), true
		r.mu.Unlock()
		r.signal()
	}
	return err
}

// receive hands what other servers send to the hub. The client reconnects by
// itself and says so: what was sent meanwhile is lost, so browsers read again.
func (r *Relay) receive(ctx context.Context, h *Hub) {
	sub := r.rdb.Subscribe(ctx, relayChannel)
	defer func() { _ = sub.Close() }() // nothing is left to read
	in := sub.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-in:
			if !open {
				return
			}
			switch m := m.(type) {
			case *redis.Subscription:
				h.resync()
			case *redis.Message:
				r.handle(ctx, h, m.Payload)
			}
		}
	}
}

func (r *Relay) handle(ctx context.Context, h *Hub, payload string) {
	var b batch
	if err := json.Unmarshal([]byte(payload), &b); err != nil {
		r.log.WarnContext(ctx, "unreadable batch of live events", "error", err)
		return
	}
	if b.From == r.server {
		return
	}
	for _, o := range b.Orders {
		h.recheck(o.Recheck)
	}
	if b.Resync {
		h.resync()
	}
	for _, e := range b.Events {
		h.deliver(e)
	}
}
