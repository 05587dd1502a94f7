package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

var (
	errServerDrains = errors.New("the server is going away")
	errNoWelcome    = errors.New("the server did not answer hello with welcome")
)

// lineOfLife is the network connection below the WebSocket. Once the server
// has named its timeout, every read must bring something within it, be it a
// part of a frame (section 5).
type lineOfLife struct {
	net.Conn
	timeout atomic.Int64 // nanoseconds; 0: none
}

func (l *lineOfLife) Read(p []byte) (int, error) {
	if d := l.timeout.Load(); d > 0 {
		if err := l.Conn.SetReadDeadline(time.Now().Add(time.Duration(d))); err != nil {
			return 0, err
		}
	}
	return l.Conn.Read(p)
}

// conn is one connection: the goroutine that made it reads, a second one
// writes. What goes out comes from the worker's state (see ledger).
type conn struct {
	worker *Worker
	life   context.Context
	line   *lineOfLife
	ws     *websocket.Conn
	limit  int // bytes of a frame

	mu           sync.Mutex // guards what follows
	pong         bool       // owed
	serverDrains bool
	left         error // we closed the connection ourselves, and why

	// Of the writer only: what the server was told last.
	toldSlots int
	toldDrain bool
}

// connection makes one connection and serves it to its end. welcomed says that
// it was fully open.
func (w *Worker) connection(life context.Context, address string, dialTimeout time.Duration) (welcomed bool, err error) {
	c := &conn{worker: w, life: life}
	if err := c.connect(address, dialTimeout); err != nil {
		return false, err
	}
	defer c.ws.Close()

	aborted := make(chan struct{})
	stop := context.AfterFunc(life, func() {
		defer close(aborted)
		c.sendClose(protocol.CloseGoingAway, "stopped", abortWait)
		c.ws.Close()
	})
	ended := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { c.write(ended) })
	err = c.read()
	c.ws.Close()
	close(ended)
	writer.Wait()
	if !stop() {
		<-aborted
	}
	if left := c.leaving(); left != nil {
		w.forget()
		return true, left
	}
	if websocket.IsCloseError(err, protocol.CloseTooLarge) {
		w.ledger.oversized()
	}
	return true, err
}

// connect dials, says hello and waits for welcome.
func (c *conn) connect(address string, dialTimeout time.Duration) error {
	ctx, cancel := context.WithCancel(c.life)
	defer cancel()
	// What blocks below does not always look at ctx: the connection is closed
	// under it. Leaving while the worker owes nothing interrupts too.
	var line atomic.Pointer[lineOfLife]
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		c.worker.waitDone(ctx)
		if c.life.Err() == nil && !c.worker.done() {
			return // connected, or failed
		}
		cancel()
		if l := line.Load(); l != nil {
			l.Close()
		}
	})
	dialer := websocket.Dialer{
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := c.worker.opts.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			l := &lineOfLife{Conn: nc}
			line.Store(l)
			return l, nil
		},
		Proxy:            http.ProxyFromEnvironment,
		TLSClientConfig:  c.worker.opts.TLS,
		HandshakeTimeout: dialTimeout,
		Subprotocols:     []string{protocol.Subprotocol},
	}
	ws, answer, err := dialer.DialContext(ctx, address, http.Header{"Authorization": {"Bearer " + c.worker.opts.Token}})
	if err != nil {
		if answer != nil {
			return handshakeError(answer)
		}
		return err
	}
	c.ws, c.line, c.limit = ws, line.Load(), protocol.MaxMessageBytes
	if err := c.open(); err != nil {
		ws.Close()
		return err
	}
	return nil
}

// waitDone returns when ctx ends or the worker is done.
func (w *Worker) waitDone(ctx context.Context) {
	for !w.done() {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
	}
}

func (c *conn) open() error {
	c.ws.SetReadLimit(protocol.MaxMessageBytes)
	hello := c.worker.hello()
	c.toldSlots = hello.Slots
	deadline := time.Now().Add(openTimeout)
	if err := errors.Join(c.ws.SetWriteDeadline(deadline), c.ws.SetReadDeadline(deadline)); err != nil {
		return err
	}
	if err := c.ws.WriteMessage(websocket.TextMessage, protocol.Encode(hello)); err != nil {
		return err
	}
	_, frame, err := c.ws.ReadMessage()
	if err != nil {
		return err
	}
	return c.handleFrame(frame, true)
}

func (c *conn) welcome(m protocol.Welcome) error {
	if m.Session == "" || m.TimeoutMS <= 0 {
		return errNoWelcome
	}
	if m.MaxMessageBytes > 0 {
		c.limit = int(m.MaxMessageBytes)
		c.ws.SetReadLimit(max(m.MaxMessageBytes, protocol.MaxMessageBytes))
	}
	c.line.timeout.Store(int64(time.Duration(m.TimeoutMS) * time.Millisecond))
	c.worker.adopt(m)
	return nil
}

func (c *conn) read() error {
	for {
		kind, frame, err := c.ws.ReadMessage()
		if err != nil {
			return err
		}
		if kind != websocket.TextMessage {
			return errors.New("the server sent a binary frame")
		}
		if err := c.handleFrame(frame, false); err != nil {
			return err
		}
	}
}

// handleFrame never waits for anything. opening expects welcome first.
func (c *conn) handleFrame(frame []byte, opening bool) error {
	for m, err := range protocol.Messages(frame) {
		if err != nil {
			return fmt.Errorf("from the server: %w", err)
		}
		if opening {
			var welcome protocol.Welcome
			if m.Type != protocol.TypeWelcome {
				return errNoWelcome
			}
			if err := errors.Join(m.Decode(&welcome), c.welcome(welcome)); err != nil {
				return err
			}
			opening = false
		} else if err := c.handle(m); err != nil {
			return fmt.Errorf("%s from the server: %w", m.Type, err)
		}
	}
	c.worker.wakeUp()
	return nil
}

func (c *conn) handle(m protocol.Message) error {
	switch m.Type {
	case protocol.TypePing:
		c.mu.Lock()
		c.pong = true
		c.mu.Unlock()
	case protocol.TypeAssign:
		return decode(m, func(a protocol.Assign) { c.worker.assign(c.life, a) })
	case protocol.TypeAck:
		return decode(m, c.ack)
	case protocol.TypeCancel:
		return decode(m, func(a protocol.Cancel) {
			c.worker.ledger.cancelOne(protocol.AttemptRef{Task: a.Task, Attempt: a.Attempt}, &CancelError{Reason: a.Reason})
		})
	case protocol.TypeGroups:
		return decode(m, c.groups)
	case protocol.TypeDrain:
		c.mu.Lock()
		c.serverDrains = true
		c.mu.Unlock()
		c.worker.log.Info("the server is going away: finishing what runs")
	case protocol.TypeError:
		return decode(m, func(e protocol.Error) {
			c.worker.log.Warn("the server did not use a message", "code", e.Code, "error", e.Message)
		})
	default:
		c.worker.log.Debug("message of an unknown type ignored", "type", m.Type)
	}
	return nil
}

func decode[T any](m protocol.Message, use func(T)) error {
	var v T
	if err := m.Decode(&v); err != nil {
		return err
	}
	use(v)
	return nil
}

func (c *conn) ack(m protocol.Ack) {
	known := c.worker.ledger.ack(protocol.AttemptRef{Task: m.Task, Attempt: m.Attempt})
	if known && !m.Accepted {
		c.worker.log.Warn("result not accepted", "task_id", m.Task, "attempt", m.Attempt, "reason", m.Reason)
	}
}

func (c *conn) groups(m protocol.Groups) {
	c.worker.mu.Lock()
	c.worker.groups = append([]string{}, m.Groups...)
	c.worker.mu.Unlock()
	c.worker.log.Info("groups changed", "groups", m.Groups)
}

// write sends what there is to send until the connection ends. After Stop
// nothing more is said: a task given back by the close costs it no attempt, a
// result "cancelled" would.
func (c *conn) write(ended <-chan struct{}) {
	for c.life.Err() == nil {
		frame, next := c.next(time.Now())
		if len(frame) > 0 {
			err := c.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
			if err == nil {
				err = c.ws.WriteMessage(websocket.TextMessage, frame)
			}
			if err != nil {
				c.ws.Close() // which ends the reader
				return
			}
			continue
		}
		if c.leave() {
			return
		}
		var timer <-chan time.Time
		if next > 0 {
			timer = time.After(next)
		}
		select {
		case <-ended:
			return
		case <-c.worker.wake:
		case <-timer:
		}
	}
}

// next is the next frame, and if that is empty, how long until there may be one.
func (c *conn) next(now time.Time) (frame []byte, wait time.Duration) {
	c.mu.Lock()
	pong := c.pong
	c.pong = false
	c.mu.Unlock()
	c.worker.mu.Lock()
	draining, slots := c.worker.draining, c.worker.slots
	c.worker.mu.Unlock()
	if pong {
		frame = protocol.AppendFrame(frame, protocol.Bare{Type: protocol.TypePong})
	}
	if draining && !c.toldDrain {
		c.toldDrain = true
		frame = protocol.AppendFrame(frame, protocol.Bare{Type: protocol.TypeDrain})
	}
	if slots != c.toldSlots {
		c.toldSlots = slots
		frame = protocol.AppendFrame(frame, protocol.Slots{Slots: slots})
	}
	return c.worker.ledger.take(frame, now, c.limit)
}

// leave closes the connection if one side wants to go and nothing is owed.
func (c *conn) leave() bool {
	c.mu.Lock()
	serverDrains := c.serverDrains
	c.mu.Unlock()
	code, reason := protocol.CloseNormal, errors.New("drained")
	switch {
	case !c.worker.ledger.empty():
		return false
	case c.worker.isDraining():
	case serverDrains:
		code, reason = protocol.CloseGoingAway, errServerDrains
	default:
		return false
	}
	c.mu.Lock()
	c.left = reason
	c.mu.Unlock()
	c.sendClose(code, reason.Error(), closeWait)
	c.line.timeout.Store(int64(closeWait))
	if c.line.SetReadDeadline(time.Now().Add(closeWait)) != nil {
		c.ws.Close()
	}
	return true
}

func (c *conn) leaving() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

// sendClose tells the peer if it can; the connection ends either way.
func (c *conn) sendClose(code int, reason string, wait time.Duration) {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(wait))
}

// socketURL makes the protocol's address from a server's.
func socketURL(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("worker: %q is not the URL of a server", server)
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("worker: a server's URL begins with http, https, ws or wss, not %q", u.Scheme)
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), protocol.Path) + protocol.Path
	return u.String(), nil
}

// handshakeError reads the answer to a refused upgrade.
func handshakeError(answer *http.Response) error {
	defer answer.Body.Close()
	var problem struct{ Title, Detail string }
	if text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10)); err == nil {
		_ = json.Unmarshal(text, &problem) // without a readable body the status says enough
	}
	if problem.Detail == "" {
		problem.Detail = problem.Title
	}
	return &HandshakeError{Status: answer.StatusCode, Detail: problem.Detail}
}
