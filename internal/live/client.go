package live

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/protocol"
)

// Watcher is who holds a connection.
type Watcher struct {
	User      string
	Token     string    // id of the session or token, for Revoke
	ExpiresAt time.Time // of the token; zero: never
	// Alive returns a fault of kind Unauthenticated once the token was revoked, by
	// the store as it is now. It is asked when the connection is known to the hub,
	// so that a Revoke which came before is not missed.
	Alive func(ctx context.Context) error
	// May returns nil if the watcher may watch a topic now, else a fault that
	// says why not. It is asked at every subscription and by Recheck.
	May func(ctx context.Context, t Topic) error
}

// client is one connection: one reader, one writer, an outbox between the hub
// and the writer.
type client struct {
	hub     *Hub
	ws      *websocket.Conn
	who     Watcher
	box     *outbox
	taken   [][]byte                // write's, to be used again
	end     context.CancelCauseFunc // first cause wins; a closing is told to the client
	recheck chan struct{}           // has a token while rights are to be looked at again
	// rights is held from asking May to acting on the answer, so that a check
	// under way cannot undo a newer one.
	rights sync.Mutex
}

// closing is why the server ends a connection.
type closing struct {
	code   int
	reason string
}

func (c closing) Error() string { return c.reason }

var (
	errClientGone = errors.New("client has gone")
	errNotReading = closing{protocol.CloseTooMany, "too many requests without reading the answers"}
)

// read handles what the client sends, until the connection ends.
func (c *client) read(ctx context.Context) {
	t := c.hub.timing
	c.ws.SetReadLimit(maxRequestBytes)
	_ = c.ws.SetReadDeadline(time.Now().Add(t.Silence))
	c.ws.SetPongHandler(func(string) error { return c.ws.SetReadDeadline(time.Now().Add(t.Silence)) })
	pace := rate.NewLimiter(requestRate, requestBurst)
	for {
		kind, data, err := c.ws.ReadMessage()
		if err != nil {
			c.end(errClientGone)
			return
		}
		var r request
		if kind != websocket.TextMessage || json.Unmarshal(data, &r) != nil {
			c.end(closing{protocol.CloseMalformed, "not a JSON object"})
		}
		if pace.Wait(ctx) != nil {
			continue // ending: read on for the client's close frame
		}
		c.handle(ctx, r)
	}
}

func (c *client) handle(ctx context.Context, r request) {
	if len(r.Topics) > maxTopics {
		c.tell(reply{Type: TypeError, Code: "too_many_topics", Message: "At most 256 topics."})
		return
	}
	switch r.Type {
	case TypeSubscribe:
		for _, name := range r.Topics {
			c.subscribe(ctx, name)
		}
	case TypeUnsubscribe:
		for _, name := range r.Topics {
			if t, ok := ParseTopic(name, c.who.User); ok {
				c.drop(t)
			}
			c.tell(reply{Type: TypeUnsubscribed, Topic: clip(name)})
		}
	default:
		c.tell(reply{Type: TypeError, Code: protocol.CodeUnknownType, Message: "Send subscribe or unsubscribe."})
	}
}

func (c *client) subscribe(ctx context.Context, name string) {
	t, ok := ParseTopic(name, c.who.User)
	if !ok {
		c.tell(reply{Type: TypeError, Topic: clip(name), Code: "bad_topic", Message: "There is no such topic."})
		return
	}
	c.rights.Lock()
	defer c.rights.Unlock()
	if c.box.len() >= maxTopics {
		c.tell(reply{Type: TypeError, Topic: name, Code: "too_many_topics", Message: "At most 256 topics."})
		return
	}
	if err := c.may(ctx, t); err != nil {
		c.tell(refusal(TypeError, t, err))
		return
	}
	if !c.box.has(t) {
		c.hub.watch(t, c) // events come from now on; the outbox takes them once it is open
	}
	if !c.box.open(t) {
		c.end(errNotReading)
	}
}

// checkRights ends the subscriptions the watcher may no longer have; false when
// that could not be found out for all of them.
func (c *client) checkRights(ctx context.Context) (sure bool) {
	c.rights.Lock()
	defer c.rights.Unlock()
	sure = true
	for _, t := range c.box.list() {
		err := c.may(ctx, t)
		switch fault.KindOf(err) {
		case fault.NotFound, fault.Forbidden, fault.Unauthenticated, fault.Gone:
			c.drop(t)
			c.tell(refusal(TypeUnsubscribed, t, err))
		default:
			sure = sure && err == nil
		}
	}
	return sure
}

func (c *client) may(ctx context.Context, t Topic) error {
	ctx, cancel := context.WithTimeout(ctx, rightsTimeout)
	defer cancel()
	return c.who.May(ctx, t)
}

func (c *client) drop(t Topic) {
	if c.box.close(t) {
		c.hub.unwatch(t, c)
	}
}

func (c *client) tell(r reply) {
	if !c.box.reply(r) {
		c.end(errNotReading)
	}
}

// refusal tells a client why it does not watch a topic.
func refusal(kind Type, t Topic, err error) reply {
	r := reply{Type: kind, Topic: t.String(), Code: "internal", Message: "Something went wrong; try again."}
	var f *fault.Error
	if errors.As(err, &f) && f.Kind != fault.Internal {
		r.Code, r.Message = f.Code, f.Detail
	}
	return r
}

// clip keeps an answer to a made-up topic short.
func clip(name string) string { return name[:min(len(name), 64)] }

// write sends what the outbox holds, at once where the last time is an interval
// ago, until ctx ends; then it says why.
func (c *client) write(ctx context.Context) {
	t := c.hub.timing
	ping := time.NewTicker(t.Ping)
	defer ping.Stop()
	rights := time.NewTicker(t.Rights)
	defer rights.Stop()
	var due <-chan time.Time // set while a flush waits for its interval
	var again <-chan time.Time
	var flushed time.Time
	check := time.After(0)
	var expired <-chan time.Time
	if at := c.who.ExpiresAt; !at.IsZero() {
		expired = time.After(time.Until(at))
	}
	for {
		select {
		case <-ctx.Done():
			c.sayWhy(context.Cause(ctx))
			return
		case <-check:
			check = nil
			if !c.checkToken(ctx) {
				check = time.After(recheckAgain)
			}
		case <-expired:
			c.end(closing{protocol.CloseUnauthorized, "token expired"})
		case <-c.recheck:
			again = nil
			if !c.checkRights(ctx) {
				again = time.After(recheckAgain)
			}
		case <-again:
			c.askRecheck()
		case <-rights.C:
			c.askRecheck()
		case <-ping.C:
			_ = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(t.Write)) // a broken one shows in the next write
		case <-c.box.wake:
			if due == nil {
				due = time.After(t.Interval - time.Since(flushed))
			}
		case <-due:
			due = nil
			if err := c.flush(); err != nil {
				c.end(errClientGone)
				_ = c.ws.Close() // stuck or broken: nothing more can be said
				return
			}
			flushed = time.Now()
		}
	}
}

// checkToken ends the connection of a dead token; false when that could not be
// found out.
func (c *client) checkToken(ctx context.Context) (sure bool) {
	ctx, cancel := context.WithTimeout(ctx, rightsTimeout)
	defer cancel()
	err := c.who.Alive(ctx)
	if fault.KindOf(err) == fault.Unauthenticated {
		c.end(closing{protocol.CloseUnauthorized, "token expired or revoked"})
		return true
	}
	return err == nil
}

// flush sends what waits, in as few writes as it fits into.
func (c *client) flush() error {
	c.taken = c.box.take(c.taken[:0])
	messages := c.taken
	defer clear(messages)
	if cap(messages) > keptRoom {
		c.taken = nil
	}
	if conn, ok := c.ws.NetConn().(*corked); ok && len(messages) > 1 {
		conn.cork()
		return cmp.Or(c.send(messages), conn.uncork())
	}
	return c.send(messages)
}

func (c *client) send(messages [][]byte) error {
	for _, m := range messages {
		if err := c.ws.SetWriteDeadline(time.Now().Add(c.hub.timing.Write)); err != nil {
			return err
		}
		if err := c.ws.WriteMessage(websocket.TextMessage, m); err != nil {
			return err
		}
	}
	return nil
}

// sayWhy sends the close frame.
func (c *client) sayWhy(cause error) {
	why := closing{protocol.CloseGoingAway, "server going away"}
	if errors.Is(cause, errClientGone) {
		return
	}
	_ = errors.As(cause, &why)
	msg := websocket.FormatCloseMessage(why.code, why.reason)
	_ = c.ws.WriteControl(websocket.CloseMessage, msg, time.Now().Add(c.hub.timing.Goodbye)) // it may have gone already
}

func (c *client) askRecheck() {
	select {
	case c.recheck <- struct{}{}:
	default: // asked already
	}
}
