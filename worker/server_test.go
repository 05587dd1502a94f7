package worker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/firmlight/firmlight/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a server that does what a test says: a real HTTP server and real
// WebSockets over pipes in memory, so that a test runs in a synctest bubble
// and time costs nothing.
type scripted struct {
	t      *testing.T
	pipes  chan net.Conn
	closed chan struct{}
	peers  chan *peer // connections, each after its hello

	mu    sync.Mutex
	dials []time.Time
	down  func(try int) bool // the network, by number of the try
	deny  func() int         // HTTP status for the upgrade, 0 for none
}

// peer is one connection as the server sees it.
type peer struct {
	t        *testing.T
	hello    protocol.Hello
	helloRaw json.RawMessage
	ws       *websocket.Conn
	inbox    chan received
	pings    atomic.Bool
	mu       sync.Mutex // one writer at a time
}

type received struct {
	protocol.Message
	err error // of the connection's end
}

func newScripted(t *testing.T) *scripted {
	s := &scripted{t: t, pipes: make(chan net.Conn), closed: make(chan struct{}), peers: make(chan *peer, 100)}
	server := &http.Server{Handler: s}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(s) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return s
}

// Accept, Close and Addr make it a net.Listener.
func (s *scripted) Accept() (net.Conn, error) {
	select {
	case c := <-s.pipes:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *scripted) Close() error {
	close(s.closed)
	return nil
}

func (s *scripted) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (s *scripted) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	s.dials = append(s.dials, time.Now())
	down := s.down != nil && s.down(len(s.dials))
	s.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	select {
	case s.pipes <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// times are those of all dials so far.
func (s *scripted) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.dials)
}

// refuse takes the network down for tries that match.
func (s *scripted) refuse(down func(try int) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != protocol.Path || r.Header.Get("Authorization") != "Bearer secret" {
		s.t.Errorf("asked for %s with %q", r.URL.Path, r.Header.Get("Authorization"))
	}
	if s.deny != nil {
		if status := s.deny(); status != 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"title":"no","detail":"not today"}`)
			return
		}
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the worker has gone, which the test will see
	}
	if ws.Subprotocol() != protocol.Subprotocol {
		s.t.Errorf("subprotocol: %q", ws.Subprotocol())
	}
	defer ws.Close()
	p := newPeer(s.t, ws)
	stop := context.AfterFunc(s.t.Context(), p.drop)
	defer stop()
	go func() {
		m, err := p.message()
		if err != nil {
			return // the worker has gone, which the test will see
		}
		if err := m.Decode(&p.hello); err != nil || m.Type != protocol.TypeHello {
			s.t.Errorf("want hello, got %.300s, %v", m.Raw, err)
		}
		p.helloRaw = m.Raw
		s.peers <- p
	}()
	p.read()
}

func newPeer(t *testing.T, ws *websocket.Conn) *peer {
	return &peer{t: t, ws: ws, inbox: make(chan received, 100_000)}
}

// read takes in what the worker sends, to the end of the connection. Pongs
// count only without keepAlive.
func (p *peer) read() {
	for {
		_, frame, err := p.ws.ReadMessage()
		if err != nil {
			p.inbox <- received{err: err}
			return
		}
		for m, err := range protocol.Messages(frame) {
			if err != nil || m.Type != protocol.TypePong || !p.pings.Load() {
				p.inbox <- received{m, err}
			}
		}
	}
}

// next waits for the next connection.
func (s *scripted) next() *peer {
	s.t.Helper()
	select {
	case p := <-s.peers:
		return p
	case <-time.After(time.Hour):
		s.t.Fatal("no connection")
		return nil
	}
}

// open waits for the next connection and welcomes it.
func (s *scripted) open(change ...func(*protocol.Welcome)) *peer {
	s.t.Helper()
	p := s.next()
	m := protocol.Welcome{Session: "session", Resume: "resume", Worker: "worker", Groups: []string{"g"},
		PingMS: 2500, TimeoutMS: 7000, GraceMS: 3000, MaxMessageBytes: protocol.MaxMessageBytes}
	for _, f := range change {
		f(&m)
	}
	p.send(m)
	p.keepAlive()
	return p
}

// keepAlive pings like a server until the connection ends; message ignores the
// pongs from here on.
func (p *peer) keepAlive() {
	p.pings.Store(true)
	var ping func()
	ping = func() {
		if p.write(protocol.Encode(protocol.Bare{Type: protocol.TypePing})) == nil {
			time.AfterFunc(2500*time.Millisecond, ping)
		}
	}
	time.AfterFunc(2500*time.Millisecond, ping)
}

func (p *peer) send(msgs ...protocol.Encoding) {
	p.t.Helper()
	if err := p.write(protocol.AppendFrame(nil, msgs...)); err != nil {
		p.t.Fatalf("server: %v", err)
	}
}

func (p *peer) write(frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ws.WriteMessage(websocket.TextMessage, frame)
}

// message waits for the worker's next message.
func (p *peer) message() (protocol.Message, error) {
	select {
	case m := <-p.inbox:
		return m.Message, m.err
	case <-time.After(time.Hour):
		return protocol.Message{}, errors.New("the worker says nothing")
	}
}

// receive waits for a message of one type.
func (p *peer) receive(want protocol.Type, v any) protocol.Message {
	p.t.Helper()
	m, err := p.message()
	if err == nil && m.Type == want {
		err = m.Decode(v)
	}
	if err != nil || m.Type != want {
		p.t.Fatalf("server: want %s, got %.300s, %v", want, m.Raw, err)
	}
	return m
}

func (p *peer) result() (r protocol.Result) {
	p.t.Helper()
	p.receive(protocol.TypeResult, &r)
	return r
}

// finished receives a result of an attempt with a status and acknowledges it.
func (p *peer) finished(task string, attempt int, status protocol.ResultStatus) protocol.Result {
	p.t.Helper()
	r := p.result()
	if r.Task != task || r.Attempt != attempt || r.Status != status {
		p.t.Fatalf("server: want %s %d %s, got %+v, %+v", task, attempt, status, r, r.Error)
	}
	p.send(protocol.Ack{Task: task, Attempt: attempt, Accepted: true})
	return r
}

// closed waits for the end of the connection and returns the close code, 1006
// for an end without one.
func (p *peer) closed() int {
	p.t.Helper()
	defer p.drop()
	for {
		m, err := p.message()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			return closed.Code
		case err != nil:
			return websocket.CloseAbnormalClosure
		default:
			p.t.Fatalf("server: want the end, got %.300s", m.Raw)
		}
	}
}

// closeWith ends the connection with a code.
func (p *peer) closeWith(code int, reason string) {
	p.t.Helper()
	err := p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
	if err != nil {
		p.t.Fatal(err)
	}
	p.drop()
}

// drop ends the connection without a word.
func (p *peer) drop() { p.ws.Close() }

func assignment(task string, attempt int, kind, input string) protocol.Assign {
	return protocol.Assign{Task: task, Attempt: attempt, Kind: kind, Group: "g", Input: json.RawMessage(input), TimeoutMS: 300_000}
}

// running is a worker and the end of its Run.
type running struct {
	*Worker
	t     *testing.T
	drain context.CancelFunc
	end   chan error
}

func (s *scripted) options() Options {
	return Options{Server: "http://memory", Token: "secret", Name: "test", Slots: 2,
		Logger: slog.New(slog.NewTextHandler(s.t.Output(), nil)), DialContext: s.dial}
}

// start runs a worker, which is stopped with the test.
func (s *scripted) start(opts Options, handlers map[string]Handler) *running {
	w := New(opts)
	for kind, h := range handlers {
		w.Handle(kind, h)
	}
	return s.run(w)
}

func (s *scripted) run(w *Worker) *running {
	ctx, cancel := context.WithCancel(s.t.Context())
	r := &running{Worker: w, t: s.t, drain: cancel, end: make(chan error, 1)}
	var run sync.WaitGroup
	run.Go(func() { r.end <- w.Run(ctx) })
	s.t.Cleanup(func() {
		w.Stop()
		cancel()
		run.Wait()
	})
	return r
}

// ended waits for the end of Run.
func (r *running) ended() error {
	r.t.Helper()
	select {
	case err := <-r.end:
		return err
	case <-time.After(5 * time.Minute):
		r.t.Fatal("Run does not end")
		return nil
	}
}

// bubble runs a test with a scripted server on a clock of its own.
func bubble(t *testing.T, test func(t *testing.T, s *scripted)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newScripted(t)) })
}

func echo(_ context.Context, task *Task) (any, error) { return task.Input, nil }

// untilCancelled is a handler that has nothing better to do.
func untilCancelled(ctx context.Context, _ *Task) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// pass lets time go by, which in a bubble it does at once.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // only ever called within testing/synctest
}
