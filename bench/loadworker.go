package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

// loadWorker is one worker socket that answers each assignment at once. One
// goroutine reads and answers a frame with a frame; it parses only what it
// needs, for the machine is shared with the server.
type loadWorker struct {
	ws       *websocket.Conn
	tally    *tally
	assigned func(task string, at time.Time) // may be nil; called by the reader
	graceMS  int64
	reply    []byte
	early    []byte // messages that came with the welcome
	ended    sync.WaitGroup
}

// connectWorker opens a socket that takes one kind; close ends it.
func (r *rig) connectWorker(ctx context.Context, name, kind string, slots int, t *tally, assigned func(string, time.Time)) (*loadWorker, error) {
	w := &loadWorker{tally: t, assigned: assigned}
	hello := protocol.Hello{Name: name, Kinds: []string{kind}, Slots: slots, SDK: "firmlight-bench"}
	return w, w.connect(ctx, r.URL, r.workerToken, hello, 64<<10)
}

// connect opens the socket and begins to answer; buffer is how many bytes it
// reads at once.
func (w *loadWorker) connect(ctx context.Context, url, token string, hello protocol.Hello, buffer int) error {
	d := websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}, ReadBufferSize: buffer, WriteBufferSize: buffer, HandshakeTimeout: 10 * time.Second}
	ws, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http")+protocol.Path,
		http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
			return fmt.Errorf("worker socket: %s: %w", resp.Status, err)
		}
		return fmt.Errorf("worker socket: %w", err)
	}
	w.ws = ws
	if err := w.greet(hello); err != nil {
		_ = ws.Close()
		return err
	}
	w.ended.Go(w.serve)
	return nil
}

// greet says hello and reads the welcome.
func (w *loadWorker) greet(hello protocol.Hello) error {
	if err := w.ws.WriteMessage(websocket.TextMessage, protocol.Encode(hello)); err != nil {
		return err
	}
	_ = w.ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, frame, err := w.ws.ReadMessage()
	if err != nil {
		return fmt.Errorf("no welcome: %w", err)
	}
	first, rest, _ := bytes.Cut(frame, []byte("\n"))
	w.early = rest
	var welcome protocol.Welcome
	if err := json.Unmarshal(first, &welcome); err != nil || welcome.Type != protocol.TypeWelcome {
		return fmt.Errorf("not a welcome: %s", frame)
	}
	w.graceMS = welcome.GraceMS
	return w.ws.SetReadDeadline(time.Time{})
}

// close leaves cleanly, with 1000.
func (w *loadWorker) close() {
	text := websocket.FormatCloseMessage(protocol.CloseNormal, "")
	_ = w.ws.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second))
	_ = w.ws.SetReadDeadline(time.Now().Add(time.Second))
	w.ended.Wait()
	w.ws.Close()
}

// serve ends with the socket. That it ended early shows in the round: its tasks
// are not done.
func (w *loadWorker) serve() {
	frame, err := w.early, error(nil)
	for ; ; _, frame, err = w.ws.ReadMessage() {
		if err != nil {
			if !websocket.IsCloseError(err, protocol.CloseNormal) {
				w.tally.strange("worker socket: " + err.Error())
			}
			return
		}
		if len(frame) == 0 {
			continue // nothing came with the welcome
		}
		if err := w.answer(frame, time.Now()); err != nil {
			w.tally.strange("worker socket: " + err.Error())
			return
		}
	}
}

// pieces of messages, as the server writes them.
var (
	assignStart = []byte(`{"type":"assign"`)
	ackStart    = []byte(`{"type":"ack"`)
	pingStart   = []byte(`{"type":"ping"`)
	accepted    = []byte(`"accepted":true`)
	output      = json.RawMessage(`{"ok":true}`)
)

func (w *loadWorker) answer(frame []byte, at time.Time) error {
	var assigned, done, refused int
	w.reply = w.reply[:0]
	for line := range bytes.SplitSeq(frame, []byte("\n")) {
		switch {
		case bytes.HasPrefix(line, assignStart):
			ref, err := attemptOf(line)
			if err != nil {
				return err
			}
			assigned++
			if w.assigned != nil {
				w.assigned(ref.Task, at)
			}
			w.reply = protocol.AppendFrame(w.reply, protocol.Result{
				Task: ref.Task, Attempt: ref.Attempt, Status: protocol.Succeeded, Output: output,
			})
		case bytes.HasPrefix(line, ackStart) && bytes.Contains(line, accepted):
			done++
		case bytes.HasPrefix(line, ackStart):
			refused++
		case bytes.HasPrefix(line, pingStart):
			w.reply = protocol.AppendFrame(w.reply, protocol.Bare{Type: protocol.TypePong})
		default:
			w.tally.strange("message " + string(line[:min(len(line), 80)]))
		}
	}
	w.tally.add(assigned, done, refused)
	if len(w.reply) == 0 {
		return nil
	}
	return w.ws.WriteMessage(websocket.TextMessage, w.reply)
}

// attemptOf cuts task and attempt out of an assign: ids need no unquoting.
func attemptOf(line []byte) (protocol.AttemptRef, error) {
	_, rest, ok := bytes.Cut(line, []byte(`"task":"`))
	task, rest, ok2 := bytes.Cut(rest, []byte(`"`))
	_, rest, ok3 := bytes.Cut(rest, []byte(`"attempt":`))
	end := bytes.IndexAny(rest, ",}")
	if !ok || !ok2 || !ok3 || end < 0 {
		return protocol.AttemptRef{}, fmt.Errorf("no attempt in %s", line)
	}
	n, err := strconv.Atoi(string(rest[:end]))
	return protocol.AttemptRef{Task: string(task), Attempt: n}, err
}

// connectWorkers opens several sockets for one kind.
func (r *rig) connectWorkers(ctx context.Context, n, slots int, kind string, t *tally) (closeAll func(), err error) {
	var all []*loadWorker
	closeAll = func() {
		for _, w := range all {
			w.close()
		}
	}
	for i := range n {
		w, err := r.connectWorker(ctx, fmt.Sprintf("load-%d", i), kind, slots, t, nil)
		if err != nil {
			closeAll()
			return nil, err
		}
		all = append(all, w)
	}
	return closeAll, nil
}
