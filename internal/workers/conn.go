package workers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

// Conn is the socket of one worker: one goroutine reads, one writes, any closes.
type Conn interface {
	// ReadFrame returns the next text frame; one of up to shortFrame bytes holds until
	// the next call. ErrBinary and ErrTooLarge are for the session to close with their
	// codes; any other error is a *Closed and means that the socket is gone. After Close
	// it is to be called until then.
	ReadFrame() ([]byte, error)
	// WriteFrame sends one text frame, or fails within WriteWait.
	WriteFrame(frame []byte) error
	// Close sends a close frame and returns; the first call counts. The worker
	// has CloseWait for its answer, then ReadFrame ends.
	Close(code int, reason string) error
	// Alive has f called for every control frame, which ReadFrame does not
	// return; to be called by the goroutine that reads.
	Alive(f func())
	// Remote is the address of the worker.
	Remote() string
}

// Frames that the protocol refuses.
var (
	ErrBinary   = errors.New("binary frame")
	ErrTooLarge = errors.New("frame above the limit")
)

// Closed is how a socket ended.
type Closed struct {
	Code   int   // of the first close frame; 1006 where there was none
	ByPeer bool  // the worker closed by itself, not in answer to our close
	Err    error // what the socket said
}

func (e *Closed) Error() string { return fmt.Sprintf("closed with %d: %v", e.Code, e.Err) }

func (e *Closed) Unwrap() error { return e.Err }

// Limits of a socket. CloseWait < WriteWait: a worker that takes nothing for so
// long that a write fails has no use for a close frame either.
const (
	WriteWait   = 10 * time.Second // for one frame to leave
	CloseWait   = 2 * time.Second  // for the answer to our close frame
	readBuffer  = 1 << 10          // of each socket: most of what an idle one has (P7); longer frames go past it
	shortFrame  = 64               // bytes of a frame that needs no memory of its own, such as a pong
	writeBuffer = 4 << 10          // from a pool
	maxDrain    = 16 << 20         // bytes read and thrown away after a close
	maxReason   = 123              // bytes in a close frame
)

var upgrader = websocket.Upgrader{
	HandshakeTimeout: WriteWait,
	ReadBufferSize:   readBuffer,
	WriteBufferSize:  writeBuffer,
	WriteBufferPool:  &sync.Pool{},
	Subprotocols:     []string{protocol.Subprotocol},
	// Workers are no browsers and show a token, not a cookie: an origin says nothing.
	CheckOrigin: func(*http.Request) bool { return true },
}

// Offers reports whether the request offers the subprotocol, without which it
// is to be refused with 400.
func Offers(r *http.Request) bool {
	return slices.Contains(websocket.Subprotocols(r), protocol.Subprotocol)
}

// Accept upgrades an authenticated request; where it fails the response has
// been written. The caller should let its handler return and call Hub.Serve in
// a goroutine of its own: an HTTP handler that stays keeps 8 KiB of buffers.
func Accept(w http.ResponseWriter, r *http.Request) (Conn, error) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(protocol.MaxMessageBytes)
	return &wsConn{ws: ws}, nil
}

// wsConn is Conn over gorilla/websocket.
type wsConn struct {
	ws *websocket.Conn

	mu      sync.Mutex
	closing int // code of our close frame, 0: none sent

	// Only the reader uses these.
	tooLarge bool
	short    [shortFrame]byte
}

func (c *wsConn) Remote() string { return c.ws.RemoteAddr().String() }

func (c *wsConn) Alive(f func()) {
	answer := c.ws.PingHandler()
	c.ws.SetPingHandler(func(data string) error {
		f()
		return answer(data)
	})
	c.ws.SetPongHandler(func(string) error {
		f()
		return nil
	})
}

func (c *wsConn) ReadFrame() ([]byte, error) {
	kind, frame, err := c.read()
	switch {
	case err == nil && kind == websocket.TextMessage:
		return frame, nil
	case err == nil:
		return nil, ErrBinary
	case errors.Is(err, websocket.ErrReadLimit) && !c.tooLarge:
		c.tooLarge = true
		return nil, ErrTooLarge
	default:
		return nil, c.finish(err)
	}
}

func (c *wsConn) read() (kind int, frame []byte, err error) {
	kind, r, err := c.ws.NextReader()
	if err != nil {
		return kind, nil, err
	}
	n, err := io.ReadFull(r, c.short[:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // gorilla has another error for a message that breaks off
		return kind, c.short[:n], nil
	}
	if err != nil {
		return kind, nil, err
	}
	var long bytes.Buffer
	long.Write(c.short[:])
	_, err = long.ReadFrom(r)
	return kind, long.Bytes(), err
}

// finish closes the socket. What the worker still sends is read first: closing
// with unread data would reset the connection, and our close frame be lost.
func (c *wsConn) finish(err error) *Closed {
	c.mu.Lock()
	ours := c.closing
	c.mu.Unlock()
	end := &Closed{Code: websocket.CloseAbnormalClosure, Err: err}
	var frame *websocket.CloseError
	answered := errors.As(err, &frame) && frame.Code != websocket.CloseAbnormalClosure
	switch {
	case ours != 0:
		end.Code = ours
	case answered:
		end.Code, end.ByPeer = frame.Code, true
	}
	raw := c.ws.NetConn()
	if !answered {
		_ = raw.SetReadDeadline(time.Now().Add(CloseWait))
		_, _ = io.CopyN(io.Discard, raw, maxDrain)
	}
	_ = raw.Close()
	return end
}

func (c *wsConn) WriteFrame(frame []byte) error {
	if err := c.ws.SetWriteDeadline(time.Now().Add(WriteWait)); err != nil {
		return err
	}
	return c.ws.WriteMessage(websocket.TextMessage, frame)
}

func (c *wsConn) Close(code int, reason string) error {
	c.mu.Lock()
	first := c.closing == 0
	if first {
		c.closing = code
	}
	c.mu.Unlock()
	if !first {
		return nil
	}
	until := time.Now().Add(CloseWait)
	err := c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, cut(reason)), until)
	_ = c.ws.SetReadDeadline(until)
	if err != nil && !errors.Is(err, websocket.ErrCloseSent) {
		_ = c.ws.NetConn().Close() // the worker does not read: it cannot be told
	}
	return err
}

// cut shortens a reason to what a close frame holds.
func cut(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	end := maxReason
	for !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}
