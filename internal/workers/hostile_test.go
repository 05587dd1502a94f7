package workers_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// wsClient is a worker's end of a real socket. Its read must go on until the end
// for closed to return.
type wsClient struct {
	ws   *websocket.Conn
	mu   sync.Mutex // of writes: the test's, and the reader's pongs
	code int
	end  chan struct{}
}

func (c *wsClient) read() ([]byte, error) {
	_, frame, err := c.ws.ReadMessage()
	if err != nil {
		c.code = websocket.CloseAbnormalClosure
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			c.code = closed.Code
		}
		close(c.end)
		_ = c.ws.Close()
	}
	return frame, err
}

func (c *wsClient) write(frame []byte) error { return c.writeAs(websocket.TextMessage, frame) }

func (c *wsClient) writeAs(kind int, frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws.WriteMessage(kind, frame)
}

func (c *wsClient) cut() { _ = c.ws.NetConn().Close() }

func (c *wsClient) leave(code int) {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Minute))
}

func (c *wsClient) closed() int {
	<-c.end
	return c.code
}

// realWorld serves a hub on a real port.
func realWorld(t testing.TB) (w *world, dial func() *client) {
	w, url := serveReal(t)
	return w, func() *client {
		dialer := websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}}
		ws, response, err := dialer.Dial(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if ws.Subprotocol() != protocol.Subprotocol {
			t.Errorf("subprotocol %q", ws.Subprotocol())
		}
		return newClient(t, &wsClient{ws: ws, end: make(chan struct{})})
	}
}

func serveReal(t testing.TB) (w *world, url string) {
	w = newWorld(t, realStore(t))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !workers.Offers(r) {
			http.Error(rw, "no subprotocol", http.StatusBadRequest)
			return
		}
		conn, err := workers.Accept(rw, r)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		w.wg.Go(func() { w.hub.Serve(context.Background(), conn, alice) })
	}))
	t.Cleanup(func() {
		w.stop()
		server.Close()
	})
	return w, "ws" + strings.TrimPrefix(server.URL, "http")
}

func TestSubprotocolIsNeeded(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/api/v1/worker", nil)
	if workers.Offers(r) {
		t.Error("not offered")
	}
	r.Header.Set("Sec-WebSocket-Protocol", "other, "+protocol.Subprotocol)
	if !workers.Offers(r) {
		t.Error("offered")
	}
}

// What a hostile worker sends has the answer that the protocol documents, and
// disturbs no other session.
func TestHostileFrames(t *testing.T) {
	w, dial := realWorld(t)
	honest := dial()
	honest.send(hello())
	expect[protocol.Welcome](honest)
	w.assign("honest")
	assigned := expect[protocol.Assign](honest)

	const helloFrame = `{"type":"hello","name":"evil","kinds":["x"],"slots":1}`
	progress := `{"type":"progress","task":"honest","attempt":1,"message":"mine now"}`
	tests := map[string]struct {
		frames []string
		binary bool
		code   int    // close code, or
		error  string // code of an error message, or
		ack    string // reason of a refused result
	}{
		"no hello":          {frames: []string{progress}, code: 4400},
		"not JSON":          {frames: []string{helloFrame, `{"type":`}, code: 4400},
		"an array":          {frames: []string{helloFrame, `[{"type":"pong"}]`}, code: 4400},
		"not UTF-8":         {frames: []string{helloFrame, "{\"type\":\"pong\",\"x\":\"\xff\"}"}, code: 4400},
		"binary":            {frames: []string{helloFrame}, binary: true, code: 4400},
		"10 MB":             {frames: []string{helloFrame, strings.Repeat("x", 10_000_000)}, code: 1009},
		"10 MB hello":       {frames: []string{strings.Repeat("x", 10_000_000)}, code: 1009},
		"deep nesting":      {frames: []string{helloFrame, strings.Repeat(`{"a":`, 100_000)}, code: 4400},
		"deep and closed":   {frames: []string{helloFrame, `{"type":"pong","a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}"}, code: 4400},
		"hello twice":       {frames: []string{helloFrame, helloFrame}, code: 4400},
		"empty frame":       {frames: []string{helloFrame, ""}, code: 4400},
		"a flood":           {frames: []string{helloFrame, strings.Repeat("{\"type\":\"pong\"}\n", 200_000)}, code: 4429},
		"slots below 0":     {frames: []string{helloFrame, `{"type":"slots","slots":-1}`}, error: "bad_field"},
		"slots above limit": {frames: []string{helloFrame, `{"type":"slots","slots":100000}`}, error: "bad_field"},
		"server's type":     {frames: []string{helloFrame, `{"type":"assign","task":"t","attempt":1}`}, error: "unknown_type"},
		"no type":           {frames: []string{helloFrame, `{"task":"t"}`}, error: "unknown_type"},
		"long type":         {frames: []string{helloFrame, `{"type":"` + strings.Repeat("x", 100_000) + `"}`}, error: "unknown_type"},
		"wrong JSON type":   {frames: []string{helloFrame, `{"type":"result","task":7,"attempt":"one"}`}, error: "bad_field"},
		"someone's task":    {frames: []string{helloFrame, progress}, error: "bad_field"},
		"large checkpoint": {frames: []string{helloFrame, `{"type":"checkpoint","task":"honest","attempt":1,"data":"` +
			strings.Repeat("x", 300_000) + `"}`}, error: "too_large"},
		"large output": {frames: []string{helloFrame, `{"type":"result","task":"honest","attempt":1,"status":"succeeded","output":"` +
			strings.Repeat("x", 2_000_000) + `"}`}, error: "too_large"},
		"someone's result": {frames: []string{helloFrame, `{"type":"result","task":"honest","attempt":1,"status":"succeeded","output":666}`}, ack: "not_owner"},
		"wrong attempt":    {frames: []string{helloFrame, `{"type":"result","task":"honest","attempt":9,"status":"succeeded","output":666}`}, ack: "stale_attempt"},
		"no task":          {frames: []string{helloFrame, `{"type":"result","task":"nope","attempt":1,"status":"succeeded","output":666}`}, ack: "unknown_task"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			evil := dial()
			for _, frame := range tt.frames {
				_ = evil.sock.write([]byte(frame)) // a long one may be cut off by the close
			}
			if tt.binary {
				_ = evil.sock.(*wsClient).writeAs(websocket.BinaryMessage, []byte(`{"type":"pong"}`))
			}
			if tt.code != 0 {
				if code := evil.sock.closed(); code != tt.code {
					t.Errorf("closed with %d, want %d", code, tt.code)
				}
				<-evil.done
				return
			}
			expect[protocol.Welcome](evil)
			if tt.error != "" {
				if got := expect[protocol.Error](evil); got.Code != tt.error || len(got.Message) > 1000 {
					t.Errorf("error %+v", got)
				}
			} else if ack := expect[protocol.Ack](evil); ack.Accepted || ack.Reason != tt.ack {
				t.Errorf("ack %+v", ack)
			}
			evil.sock.leave(1000)
			<-evil.done
		})
	}
	honest.result(assigned, protocol.Succeeded)
	if ack := expect[protocol.Ack](honest); !ack.Accepted {
		t.Errorf("the honest worker's result: %+v", ack)
	}
	honest.sock.leave(1000)
	<-honest.done
}

func TestControlFramesCountAsLife(t *testing.T) {
	heard, ended := make(chan struct{}), make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		conn, err := workers.Accept(rw, r)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		conn.Alive(func() { close(heard) })
		go func() {
			_, err := conn.ReadFrame()
			ended <- err
		}()
	}))
	defer server.Close()
	dialer := websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}}
	ws, response, err := dialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if err := ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	<-heard
	c := &wsClient{ws: ws, end: make(chan struct{})}
	c.leave(1000)
	_, _ = c.read()
	if c.closed() != 1000 {
		t.Errorf("answered with %d", c.code)
	}
	var end *workers.Closed
	if err := <-ended; !errors.As(err, &end) || !end.ByPeer || end.Code != 1000 {
		t.Errorf("ended with %v", err)
	}
}

// A frame with several messages, and several messages in one frame of ours.
func TestLargeFrames(t *testing.T) {
	w, dial := realWorld(t)
	c := dial()
	h := hello()
	h.Slots = 8
	c.send(h)
	expect[protocol.Welcome](c)
	for range 8 {
		slot := w.reserve("k")
		input := append(append([]byte(`"`), bytes.Repeat([]byte("x"), 1<<20-2)...), '"')
		if err := slot.Assign(w.claimed(slot, "t"+strings.Repeat("i", w.open()), 1), input, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		a := expect[protocol.Assign](c)
		if len(a.Input) != 1<<20 {
			t.Errorf("input of %d bytes", len(a.Input))
		}
		c.send(protocol.Result{Task: a.Task, Attempt: a.Attempt, Status: protocol.Succeeded, Output: a.Input})
	}
	for range 8 {
		if ack := expect[protocol.Ack](c); !ack.Accepted {
			t.Errorf("ack %+v", ack)
		}
	}
	c.sock.leave(1000)
	<-c.done
}

func (w *world) open() (n int) {
	for _, s := range w.hub.Snapshot() {
		n += len(s.Open)
	}
	return n
}
