package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/e2e/kit"
)

// This file and protocol_*_test.go are a worker written from
// docs/worker-protocol.md alone, without the SDK and without package protocol:
// one subtest for each rule of the page.

const (
	rulePing    = 200 * time.Millisecond
	ruleTimeout = 2 * time.Second
	ruleGrace   = 3 * time.Second

	patience = 15 * time.Second       // for what has to come
	silence  = 300 * time.Millisecond // in which what must not come does not
	atOnce   = 2 * time.Second        // less than ruleGrace, to be told from waiting for its end
)

type protocolRule struct {
	name string
	test func(*outsider)
}

// TestProtocol goes through the rules on one server, several at a time: most of
// each is waiting.
func TestProtocol(t *testing.T) {
	c := start(t, fmt.Sprint("FIRMLIGHT_WORKER_PING=", rulePing),
		fmt.Sprint("FIRMLIGHT_WORKER_TIMEOUT=", ruleTimeout), fmt.Sprint("FIRMLIGHT_WORKER_GRACE=", ruleGrace))
	turn := make(chan struct{}, 8)
	var all sync.WaitGroup
	defer all.Wait()
	for _, section := range []struct {
		name  string
		rules []protocolRule
	}{
		{"opening", openingRules}, {"transport", transportRules}, {"work", workRules},
		{"fences", fenceRules}, {"liveness", livenessRules},
	} {
		for i, r := range section.rules {
			turn <- struct{}{}
			all.Go(func() {
				defer func() { <-turn }()
				t.Run(section.name+"/"+r.name, func(t *testing.T) {
					r.test(newOutsider(t, c, fmt.Sprint(section.name, ".", i)))
				})
			})
		}
	}
}

// outsider tests one rule, with a kind that no other rule uses.
type outsider struct {
	cluster
	t    *testing.T
	kind string
}

func newOutsider(t *testing.T, c *cluster, kind string) *outsider {
	s := &outsider{*c, t, kind}
	s.cluster.t = t
	return s
}

type msg map[string]any

// with returns m with some members replaced; nil takes one away.
func (m msg) with(others msg) msg {
	m = maps.Clone(m)
	maps.Copy(m, others)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}

// of makes a message about the attempt that m, an assign, gave out.
func (m msg) of(kind string, members msg) msg {
	return msg{"type": kind, "task": m["task"], "attempt": m["attempt"]}.with(members)
}

func (m msg) id() string { s, _ := m["task"].(string); return s }

func (m msg) has(t testing.TB, want msg) {
	t.Helper()
	for k, v := range want {
		if fmt.Sprint(m[k]) != fmt.Sprint(v) {
			t.Errorf("%s: %v, want %v, in %v", k, m[k], v, m)
		}
	}
}

// dial offers the subprotocol with a token; the response is that of a refusal.
func (s *outsider) dial(token string) (*conn, *http.Response) {
	s.t.Helper()
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return s.dialWith(h, "firmlight.worker.v1")
}

func (s *outsider) dialWith(h http.Header, protocols ...string) (*conn, *http.Response) {
	s.t.Helper()
	d := websocket.Dialer{Subprotocols: protocols}
	ws, resp, err := d.DialContext(s.t.Context(), "ws"+strings.TrimPrefix(s.Server.URL, "http")+"/api/v1/worker", h)
	if err != nil {
		if resp == nil {
			s.t.Fatal(err)
		}
		return nil, resp
	}
	w := &conn{t: s.t, ws: ws, in: make(chan msg, 1024), pings: make(chan time.Time, 256)}
	s.t.Cleanup(func() { _ = ws.Close() })
	go w.read()
	return w, nil
}

// open dials with the worker token.
func (s *outsider) open() *conn {
	s.t.Helper()
	return s.openWith(s.token)
}

func (s *outsider) openWith(token string) *conn {
	s.t.Helper()
	w, resp := s.dial(token)
	if w == nil {
		s.t.Fatalf("refused: %s", resp.Status)
	}
	return w
}

func (s *outsider) hello() msg {
	return msg{"type": "hello", "name": s.kind, "kinds": []string{s.kind}, "slots": 1}
}

// connect opens a session whose hello differs from the usual one.
func (s *outsider) connect(different msg) *conn {
	s.t.Helper()
	w := s.open()
	w.send(s.hello().with(different))
	w.welcome = w.expect("welcome")
	return w
}

// task submits a task of the rule's kind.
func (s *outsider) task(different msg) kit.Task {
	s.t.Helper()
	return s.submit(msg{"kind": s.kind, "input": "x"}.with(different))
}

// busy is a session that runs one task.
func (s *outsider) busy(hello, task msg) (*conn, msg) {
	s.t.Helper()
	w := s.connect(hello)
	s.task(task)
	return w, w.expect("assign")
}

// resumption is the hello that continues a session, with what is still running.
func (w *conn) resumption(running ...msg) msg {
	refs := make([]msg, len(running))
	for i, a := range running {
		refs[i] = msg{"task": a["task"], "attempt": a["attempt"]}
	}
	return msg{"session": w.welcome["session"], "resume": w.welcome["resume"], "running": refs}
}

// status reads a task.
func (s *outsider) status(id string) kit.Task {
	s.t.Helper()
	t, err := s.Get(s.t.Context(), id)
	must(s.t, err)
	return t
}

// conn is one connection; pings are answered as they come, unless it is mute.
type conn struct {
	t       testing.TB
	ws      *websocket.Conn
	welcome msg
	in      chan msg       // all but pings; closed with the connection
	pings   chan time.Time // when they came
	mute    atomic.Bool
	end     error // once in is closed

	mu sync.Mutex // of writes
}

func (w *conn) read() {
	defer close(w.in)
	for {
		kind, frame, err := w.ws.ReadMessage()
		if err == nil && kind != websocket.TextMessage {
			err = errors.New("the server sent a binary frame")
		}
		if err != nil {
			w.end = err
			return
		}
		for line := range bytes.SplitSeq(frame, []byte("\n")) {
			var m msg
			if err := json.Unmarshal(line, &m); err != nil {
				w.end = fmt.Errorf("%w: %.200q", err, frame)
				return
			}
			if m["type"] != "ping" {
				w.in <- m
				continue
			}
			select {
			case w.pings <- time.Now():
			default:
			}
			if !w.mute.Load() {
				w.send(msg{"type": "pong"})
			}
		}
	}
}

// send sends messages in one frame. That the peer has closed shows when reading.
func (w *conn) send(ms ...msg) {
	lines := make([][]byte, len(ms))
	for i, m := range ms {
		lines[i], _ = json.Marshal(m)
	}
	w.frame(websocket.TextMessage, string(bytes.Join(lines, []byte("\n"))))
}

func (w *conn) frame(kind int, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.ws.WriteMessage(kind, []byte(text))
}

// next returns the next message, whatever it is.
func (w *conn) next() msg {
	w.t.Helper()
	select {
	case m, ok := <-w.in:
		if !ok {
			w.t.Fatalf("the connection has ended: %v", w.end)
		}
		return m
	case <-time.After(patience):
		w.t.Fatal("nothing came")
	}
	return nil
}

// expect returns the next message, which has to be of a type.
func (w *conn) expect(kind string) msg {
	w.t.Helper()
	m := w.next()
	if m["type"] != kind {
		w.t.Fatalf("%v came, want %s", m, kind)
	}
	return m
}

// quiet says that nothing comes for a while.
func (w *conn) quiet(d time.Duration) {
	w.t.Helper()
	select {
	case m, ok := <-w.in:
		w.t.Fatalf("nothing was to come, but %v did (open: %v, %v)", m, ok, w.end)
	case <-time.After(d):
	}
}

// closes waits for the close frame, before which no message may come.
func (w *conn) closes(code int) {
	w.t.Helper()
	select {
	case m, ok := <-w.in:
		if ok {
			w.t.Fatalf("%v came, want close code %d", m, code)
		}
		var got *websocket.CloseError
		if !errors.As(w.end, &got) || got.Code != code {
			w.t.Fatalf("closed with %v, want code %d", w.end, code)
		}
	case <-time.After(patience):
		w.t.Fatalf("not closed, want code %d", code)
	}
}

// sync returns when the server has dealt with all that was sent before.
func (w *conn) sync() {
	w.t.Helper()
	w.send(msg{"type": "are you there"})
	w.refused("unknown_type")
}

// refused expects an error message, after which the connection stays.
func (w *conn) refused(code string) {
	w.t.Helper()
	m := w.expect("error")
	if text, _ := m["message"].(string); m["code"] != code || text == "" {
		w.t.Fatalf("%v, want code %s", m, code)
	}
}

// answer sends the result of an attempt and returns the ack.
func (w *conn) answer(a, result msg) msg {
	w.t.Helper()
	w.send(a.of("result", result))
	ack := w.expect("ack")
	ack.has(w.t, msg{"task": a["task"], "attempt": a["attempt"]})
	return ack
}

var done = msg{"status": "succeeded", "output": "y"}

// finish succeeds with an attempt.
func (w *conn) finish(a msg) {
	w.t.Helper()
	w.answer(a, done).has(w.t, msg{"accepted": true, "reason": nil})
}

// late sends a result that must be refused for a reason.
func (w *conn) late(a msg, reason string) {
	w.t.Helper()
	w.answer(a, done).has(w.t, msg{"accepted": false, "reason": reason})
}

// leave closes with a code, as a worker that goes.
func (w *conn) leave(code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(patience))
}

// cut breaks the line without a close frame.
func (w *conn) cut() { _ = w.ws.UnderlyingConn().Close() }
