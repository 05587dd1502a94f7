package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

// conn is one connection of the worker.
type conn struct {
	scene   *scene
	ws      *websocket.Conn
	hello   protocol.Hello
	stray   map[protocol.AttemptRef]bool // left by an earlier case; filled before the worker is welcomed
	session protocol.Welcome             // as the worker was told
	limit   atomic.Int64                 // bytes of a frame
	frames  atomic.Int64                 // received
	in      chan any                     // messages for the case; closed with the connection
	pongs   chan struct{}
	over    chan struct{} // closed with in
	err     error         // why the connection ended, once over is closed
	pinging sync.WaitGroup
	waiting []*protocol.Result // received, not asked for yet; of the case's goroutine

	mu    sync.Mutex // of writes, and of what follows
	quiet bool       // no pings
}

func newConn(s *scene, ws *websocket.Conn) *conn {
	c := &conn{
		scene: s, ws: ws, stray: make(map[protocol.AttemptRef]bool), in: make(chan any, maxWaiting),
		pongs: make(chan struct{}, maxWaiting), over: make(chan struct{}),
	}
	c.limit.Store(protocol.MaxMessageBytes)
	return c
}

// read takes in what the worker sends, to the end of the connection, and holds
// it against the rules that hold in every case.
func (c *conn) read() {
	defer close(c.in)
	defer close(c.over)
	c.ws.SetReadLimit(2 * protocol.MaxMessageBytes)
	for {
		kind, frame, err := c.ws.ReadMessage()
		if err != nil {
			c.err = err
			c.scene.note("worker", "("+c.ending()+")")
			return
		}
		c.frames.Add(1)
		switch {
		case kind != websocket.TextMessage:
			c.scene.violate("the worker sent a binary frame; frames are text")
		case int64(len(frame)) > c.limit.Load():
			c.scene.violate("the worker sent a frame of %d bytes, max_message_bytes is %d", len(frame), c.limit.Load())
		default:
			c.takeFrame(frame)
		}
	}
}

func (c *conn) takeFrame(frame []byte) {
	for m, err := range protocol.Messages(frame) {
		if err != nil {
			c.scene.note("worker", string(frame))
			c.scene.violate("the worker sent a frame that is not JSON objects separated by newlines: %v", err)
			return
		}
		c.scene.note("worker", string(m.Raw))
		if err := c.take(m); err != nil {
			c.scene.violate("the worker sent a wrong %s: %v", m.Type, err)
			return
		}
	}
}

// take checks a message and hands it to the case.
func (c *conn) take(m protocol.Message) error {
	var v any
	switch m.Type {
	case protocol.TypePong:
		select {
		case c.pongs <- struct{}{}:
		default: // enough of them
		}
		return nil
	case protocol.TypeHello:
		v = &protocol.Hello{}
	case protocol.TypeProgress:
		v = &protocol.Progress{}
	case protocol.TypeLog:
		v = &protocol.Log{}
	case protocol.TypeCheckpoint:
		v = &protocol.Checkpoint{}
	case protocol.TypeResult:
		v = &protocol.Result{}
	case protocol.TypeSlots:
		v = &protocol.Slots{}
	case protocol.TypeDrain:
		v = &protocol.Bare{}
	default:
		return fmt.Errorf("message: %q is not one that workers send", m.Type)
	}
	if err := m.Decode(v); err != nil {
		return err
	}
	deliver, err := c.judge(v)
	if err != nil || !deliver {
		return err
	}
	select {
	case c.in <- v:
		return nil
	default:
		return errors.New("too many messages")
	}
}

// judge looks at what a message says of attempts; deliver is for those that a
// case waits for.
func (c *conn) judge(v any) (deliver bool, err error) {
	switch m := v.(type) {
	case *protocol.Progress:
		_, err = c.known(m.Task, m.Attempt)
	case *protocol.Log:
		_, err = c.known(m.Task, m.Attempt)
	case *protocol.Checkpoint:
		_, err = c.known(m.Task, m.Attempt)
	case *protocol.Result:
		return c.judgeResult(m)
	default:
		return true, nil
	}
	return false, err
}

func (c *conn) judgeResult(r *protocol.Result) (deliver bool, err error) {
	a, err := c.known(r.Task, r.Attempt)
	if err != nil {
		return false, err
	}
	if c.stray[a.AttemptRef] {
		c.sendText(protocol.Encode(protocol.Ack{Task: r.Task, Attempt: r.Attempt, Reason: protocol.UnknownTask}))
		return false, nil
	}
	s := c.scene
	s.mu.Lock()
	defer s.mu.Unlock()
	tooLarge := r.Error != nil && r.Error.Code == "message_too_large"
	if a.status != "" && a.status != r.Status && !tooLarge {
		return false, fmt.Errorf("%s was %s before and is %s now", refName(a.AttemptRef), a.status, r.Status)
	}
	a.status = r.Status
	return true, nil
}

func (c *conn) known(task string, n int) (*attempt, error) {
	c.scene.mu.Lock()
	defer c.scene.mu.Unlock()
	ref := protocol.AttemptRef{Task: task, Attempt: n}
	if a := c.scene.attempts[ref]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("%s was never given to it", refName(ref))
}

// welcome answers hello and begins to ping.
func (c *conn) welcome(change ...func(*protocol.Welcome)) {
	c.send(c.prepareWelcome(change...))
	c.startPings()
}

// prepareWelcome is the welcome as the worker will get it.
func (c *conn) prepareWelcome(change ...func(*protocol.Welcome)) protocol.Welcome {
	w := protocol.Welcome{
		Session: newID(), Resume: newID(), Worker: newID(), Groups: []string{group},
		PingMS: 1000, TimeoutMS: 5000, GraceMS: 3000, MaxMessageBytes: protocol.MaxMessageBytes,
		Resumed: []protocol.AttemptRef{}, Dropped: []protocol.AttemptRef{},
	}
	for ref := range c.stray {
		w.Dropped = append(w.Dropped, ref)
	}
	for _, f := range change {
		f(&w)
	}
	w.Resumed = append([]protocol.AttemptRef{}, w.Resumed...) // [], never null
	c.session = w
	c.limit.Store(w.MaxMessageBytes)
	return w
}

// group is the one that all tasks of a run belong to.
var group = newID()

func (c *conn) startPings() {
	every := time.Duration(c.session.PingMS) * time.Millisecond
	c.pinging.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-c.over:
				return
			case <-tick.C:
				c.mu.Lock()
				quiet := c.quiet
				c.mu.Unlock()
				if !quiet {
					c.sendText(protocol.Encode(protocol.Bare{Type: protocol.TypePing}))
				}
			}
		}
	})
}

// stopPings makes the coordinator silent.
func (c *conn) stopPings() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = true
}

// send sends messages in one frame.
func (c *conn) send(ms ...protocol.Encoding) { c.sendText(protocol.AppendFrame(nil, ms...)) }

// sendText sends a frame. That the worker has gone shows when reading.
func (c *conn) sendText(frame []byte) {
	c.scene.note("server", string(frame))
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.ws.SetWriteDeadline(time.Now().Add(answer))
	_ = c.ws.WriteMessage(websocket.TextMessage, frame)
}

// with adds members to a message, which version 1 does not know.
func with(m protocol.Encoding, members string) []byte {
	text := protocol.Encode(m)
	return append(append(text[:len(text)-1], ','), members+"}"...)
}

// next waits for the next message that is no pong and no news of a task.
func (c *conn) next(within time.Duration, what string) any {
	timer := time.NewTimer(within)
	defer timer.Stop()
	s := c.scene
	select {
	case m, open := <-c.in:
		if open {
			return m
		}
		s.check(what)
		s.fail("expected %s, but %s", what, c.ending())
	case <-s.broken:
	case <-s.ctx.Done():
	case <-timer.C:
		s.check(what)
		s.fail("expected %s within %s, got nothing", what, within)
	}
	s.check(what)
	return nil
}

// assign gives the worker an attempt of a new task.
func (c *conn) assign(kind, input string, change ...func(*protocol.Assign)) protocol.AttemptRef {
	a := c.newAttempt(kind, input, change...)
	c.send(a)
	return protocol.AttemptRef{Task: a.Task, Attempt: a.Attempt}
}

// newAttempt enters an attempt, which is still to be sent.
func (c *conn) newAttempt(kind, input string, change ...func(*protocol.Assign)) protocol.Assign {
	a := protocol.Assign{
		Task: newID(), Attempt: 1, Kind: kind, Group: group, Input: json.RawMessage(input), TimeoutMS: 300_000,
	}
	for _, f := range change {
		f(&a)
	}
	a.Deadline.Time = time.Now().Add(time.Duration(a.TimeoutMS) * time.Millisecond)
	c.scene.mu.Lock()
	defer c.scene.mu.Unlock()
	ref := protocol.AttemptRef{Task: a.Task, Attempt: a.Attempt}
	c.scene.attempts[ref] = &attempt{AttemptRef: ref}
	return a
}

// result waits for the result of an attempt, whatever it is.
func (c *conn) result(ref protocol.AttemptRef, within time.Duration) *protocol.Result {
	what := "a result of " + refName(ref)
	deadline := time.Now().Add(within)
	for {
		for i, r := range c.waiting {
			if r.Task == ref.Task && r.Attempt == ref.Attempt {
				c.waiting = slices.Delete(c.waiting, i, i+1)
				return r
			}
		}
		switch m := c.next(time.Until(deadline), what).(type) {
		case *protocol.Result:
			c.waiting = append(c.waiting, m)
		case *protocol.Hello:
			c.scene.fail("expected %s, got a second hello", what)
		}
	}
}

// succeeded waits for a result with an output.
func (c *conn) succeeded(ref protocol.AttemptRef, output string) {
	r := c.result(ref, answer)
	if r.Status != protocol.Succeeded || !sameJSON(r.Output, []byte(output)) {
		c.scene.fail("expected %s to succeed with %s, got %s", refName(ref), protocol.Clip(output, 60), describe(r))
	}
}

// stopped waits for the answer to a cancel, or to a dropped attempt.
func (c *conn) stopped(ref protocol.AttemptRef, why string) {
	r := c.result(ref, answer)
	if r.Status != protocol.Cancelled && r.Status != protocol.Failed {
		c.scene.fail("expected a result of %s that says cancelled, for %s, got %s", refName(ref), why, describe(r))
	}
}

func (c *conn) ack(ref protocol.AttemptRef) {
	c.send(protocol.Ack{Task: ref.Task, Attempt: ref.Attempt, Accepted: true})
}

func (c *conn) refuse(ref protocol.AttemptRef, reason string) {
	c.send(protocol.Ack{Task: ref.Task, Attempt: ref.Attempt, Reason: reason})
}

func (c *conn) cancel(ref protocol.AttemptRef, reason string) {
	c.send(protocol.Cancel{Task: ref.Task, Attempt: ref.Attempt, Reason: reason})
}

// echo does one task from assign to ack: the worker is there and works.
func (c *conn) echo(input string) {
	a := c.assign("echo", input)
	c.succeeded(a, input)
	c.ack(a)
}

// askPong sends a ping, and forgets the pongs to earlier ones.
func (c *conn) askPong() {
	for len(c.pongs) > 0 {
		<-c.pongs
	}
	c.send(protocol.Bare{Type: protocol.TypePing})
}

// ping waits for the pong to a ping of its own.
func (c *conn) ping() {
	c.askPong()
	timer := time.NewTimer(answer)
	defer timer.Stop()
	select {
	case <-c.pongs:
		return
	case <-c.over:
		c.scene.check("pong")
		c.scene.fail("expected pong, but %s", c.ending())
	case <-c.scene.broken:
	case <-c.scene.ctx.Done():
	case <-timer.C:
		c.scene.fail("expected pong within %s of ping, got none", answer)
	}
	c.scene.check("pong")
}

// settle gives the worker time to read what was sent. One that does not answer
// pings fails another case.
func (c *conn) settle() {
	c.askPong()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-c.pongs:
	case <-c.over:
	case <-timer.C:
	}
}

// silent makes sure that no result comes for a while.
func (c *conn) silent(d time.Duration, why string) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case m, open := <-c.in:
		c.scene.check("nothing")
		if !open {
			c.scene.fail("the connection was to stay, but %s", c.ending())
		}
		c.scene.fail("expected nothing for %s, %s, got %s", d, why, describe(m))
	case <-c.scene.broken:
		c.scene.check("nothing")
	case <-timer.C:
	}
}

// left waits for the worker to end the connection.
func (c *conn) left(within time.Duration, why string) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-c.over:
	case <-c.scene.ctx.Done():
	case <-timer.C:
		c.scene.fail("expected the worker to end the connection within %s, %s, but it stays", within, why)
	}
	c.scene.check("the end of the connection")
}

// ending says how the connection ended.
func (c *conn) ending() string {
	var closed *websocket.CloseError
	if errors.As(c.err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		return fmt.Sprintf("the worker closed the connection with %d %s", closed.Code, closed.Text)
	}
	return "the connection was broken off"
}

// closedWith returns the worker's close code, 0 if there was none.
func (c *conn) closedWith() int {
	var closed *websocket.CloseError
	if errors.As(c.err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		return closed.Code
	}
	return 0
}

// cut breaks the line without a close frame.
func (c *conn) cut() { _ = c.ws.NetConn().Close() }

// close ends the connection as a server does, with a code.
func (c *conn) close(code int) {
	c.scene.note("server", fmt.Sprintf("(closes with %d)", code))
	c.stopPings()
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, "conformance"), time.Now().Add(answer))
	timer := time.NewTimer(time.Second) // for the answer
	defer timer.Stop()
	select {
	case <-c.over:
	case <-timer.C:
	}
	c.cut()
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// describe is a message as a report shows it.
func describe(m any) string {
	if e, ok := m.(protocol.Encoding); ok {
		return protocol.Clip(string(protocol.Encode(e)), frameChars)
	}
	return fmt.Sprint(m)
}
