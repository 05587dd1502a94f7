package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/gorilla/websocket"
)

// ioSocket is a worker socket of the socket.io peer, as cheap as ours: it speaks
// just enough of Engine.IO 4 and Socket.IO 5 over a WebSocket to acknowledge each
// event with a result.
type ioSocket struct {
	ws    *websocket.Conn
	ended sync.WaitGroup
	mu    sync.Mutex
	err   error // why it ended early
}

func dialIO(ctx context.Context, address string) (*ioSocket, error) {
	ws, resp, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+address+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	s := &ioSocket{ws: ws}
	// 0{…} opens the transport, 40 asks for the main namespace, 40{…} grants it.
	for _, want := range []string{"0", "40"} {
		_, frame, err := ws.ReadMessage()
		if err == nil && !bytes.HasPrefix(frame, []byte(want)) {
			err = fmt.Errorf("got %.80s, want %s", frame, want)
		}
		if err == nil && want == "0" {
			err = ws.WriteMessage(websocket.TextMessage, []byte("40"))
		}
		if err != nil {
			_ = ws.Close()
			return nil, fmt.Errorf("socket.io: %w", err)
		}
	}
	s.ended.Go(s.serve)
	return s, nil
}

func (s *ioSocket) serve() {
	reply := make([]byte, 0, 64)
	for {
		_, frame, err := s.ws.ReadMessage()
		if err == nil {
			reply, err = ioReply(reply[:0], frame)
		}
		if err == nil && len(reply) > 0 {
			err = s.ws.WriteMessage(websocket.TextMessage, reply)
		}
		if err != nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			return
		}
	}
}

// ioReply appends the answer to a packet: 43 with the id of the event and the
// result to 42, an event; 3 to 2, a ping.
func ioReply(to, frame []byte) ([]byte, error) {
	if string(frame) == "2" {
		return append(to, '3'), nil
	}
	id, event := bytes.CutPrefix(frame, []byte("42"))
	end := bytes.IndexByte(id, '[')
	if !event || end < 1 {
		return nil, fmt.Errorf("not an event that wants an answer: %.80s", frame)
	}
	to = append(append(to, "43"...), id[:end]...)
	return append(append(append(to, '['), output...), ']'), nil
}

// failed returns why the socket ended, nil while it lives.
func (s *ioSocket) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *ioSocket) close() {
	_ = s.ws.Close()
	s.ended.Wait()
}
