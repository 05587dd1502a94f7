package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// domain stands for tasks.Service: it knows who owns which attempt, and no more.
type domain struct {
	mu       sync.Mutex
	owners   map[protocol.AttemptRef]tasks.Task
	accepted map[protocol.AttemptRef]bool
	taken    []string // back, with the reason
	said     []string // progress, logs, checkpoints and results, in order
	away     error    // what every call that writes answers, if set

	during chan struct{} // if set, Result waits until it is closed
	lost   chan loss
}

type loss struct {
	session string
	tasks.Loss
	at time.Time
}

func newDomain() *domain {
	return &domain{
		owners:   make(map[protocol.AttemptRef]tasks.Task),
		accepted: make(map[protocol.AttemptRef]bool),
		lost:     make(chan loss, 100),
	}
}

func (d *domain) own(t tasks.Task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owners[ref(t)] = t
}

func (d *domain) setAway(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = err
}

func (d *domain) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, what)
}

func (d *domain) Result(ctx context.Context, t tasks.Task, r protocol.Result) (protocol.Ack, error) {
	if d.during != nil {
		select {
		case <-d.during:
		case <-ctx.Done():
			return protocol.Ack{}, ctx.Err()
		}
	}
	d.note("result " + r.Task)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away != nil {
		return protocol.Ack{}, d.away
	}
	id := protocol.AttemptRef{Task: r.Task, Attempt: r.Attempt}
	ack := protocol.Ack{Task: r.Task, Attempt: r.Attempt, Accepted: true}
	if d.owners[id].Session != t.Session && !d.accepted[id] {
		ack.Accepted, ack.Reason = false, protocol.StaleAttempt
		return ack, nil
	}
	delete(d.owners, id)
	d.accepted[id] = true
	return ack, nil
}

func (d *domain) StrayResult(_ context.Context, session string, r protocol.Result) (protocol.Ack, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := protocol.AttemptRef{Task: r.Task, Attempt: r.Attempt}
	ack := protocol.Ack{Task: r.Task, Attempt: r.Attempt}
	owner, running := d.owners[id]
	switch {
	case d.accepted[id]:
		ack.Accepted = true
	case running && owner.Session != session:
		ack.Reason = protocol.NotOwner
	case d.knows(r.Task):
		ack.Reason = protocol.StaleAttempt
	default:
		ack.Reason = protocol.UnknownTask
	}
	return ack, d.away
}

func (d *domain) knows(task string) bool {
	for ref := range d.owners {
		if ref.Task == task {
			return true
		}
	}
	return false
}

func (d *domain) Progress(t tasks.Task, _ *float64, message string) {
	d.note("progress " + t.ID + " " + message)
}

func (d *domain) Log(_ context.Context, t tasks.Task, _ string, lines []string) error {
	d.note("log " + t.ID + " " + lines[0])
	return nil
}

func (d *domain) Checkpoint(_ context.Context, t tasks.Task, data []byte) error {
	d.note("checkpoint " + t.ID + " " + string(data))
	return nil
}

func (d *domain) Resume(_ context.Context, session, server string, epoch int64, running []protocol.AttemptRef) (resumed []tasks.Task, dropped []protocol.AttemptRef, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ref, t := range d.owners {
		if t.Session == session && !slices.Contains(running, ref) {
			delete(d.owners, ref)
		}
	}
	for _, ref := range running {
		t, ok := d.owners[ref]
		if !ok || t.Session != session {
			if !d.accepted[ref] {
				dropped = append(dropped, ref)
				continue
			}
			t = tasks.Task{ID: ref.Task, Attempt: ref.Attempt, Session: session, Group: "g1"}
		} else {
			t.Epoch, t.Server = epoch, server
			d.owners[ref] = t
		}
		resumed = append(resumed, t)
	}
	return resumed, dropped, d.away
}

func (d *domain) Lost(_ context.Context, session string, l tasks.Loss) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ref, t := range d.owners {
		if t.Session == session {
			delete(d.owners, ref)
		}
	}
	d.lost <- loss{session, l, time.Now()}
	return nil
}

func (d *domain) TakeBack(_ context.Context, t tasks.Task, l tasks.Loss) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away != nil {
		return d.away
	}
	if d.owners[ref(t)].Session == t.Session {
		delete(d.owners, ref(t))
		d.taken = append(d.taken, t.ID+": "+l.Reason)
	}
	return nil
}

// membership is in which groups everybody may run workers.
type membership struct {
	mu     sync.Mutex
	groups []string
	err    error
}

func (m *membership) set(groups ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.groups = groups
}

func (m *membership) of(_ context.Context, users ...string) (map[string][]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string][]string, len(users))
	for _, u := range users {
		all[u] = slices.Clone(m.groups)
	}
	return all, m.err
}

// pipe is a Conn in memory.
type pipe struct {
	toServer chan any // []byte, or an error of ReadFrame
	toWorker chan []byte
	gone     chan struct{}
	once     sync.Once
	end      *workers.Closed
	reason   string
}

func newPipe(window int) *pipe {
	return &pipe{toServer: make(chan any), toWorker: make(chan []byte, window), gone: make(chan struct{})}
}

func (c *pipe) finish(end *workers.Closed, reason string) {
	c.once.Do(func() {
		c.end, c.reason = end, reason
		close(c.gone)
	})
}

func (c *pipe) ReadFrame() ([]byte, error) {
	select {
	case <-c.gone:
		return nil, c.end
	default:
	}
	select {
	case v := <-c.toServer:
		if err, ok := v.(error); ok {
			return nil, err
		}
		if len(v.([]byte)) > protocol.MaxMessageBytes {
			return nil, workers.ErrTooLarge
		}
		return v.([]byte), nil
	case <-c.gone:
		return nil, c.end
	}
}

func (c *pipe) WriteFrame(frame []byte) error {
	select {
	case c.toWorker <- frame:
		return nil
	case <-c.gone:
		return c.end
	case <-time.After(workers.WriteWait):
		return errors.New("write timeout")
	}
}

func (c *pipe) Close(code int, reason string) error {
	c.finish(&workers.Closed{Code: code}, reason)
	return nil
}

func (c *pipe) Alive(func())   {}
func (c *pipe) Remote() string { return "pipe" }

// socket is the worker's end of a connection.
type socket interface {
	read() ([]byte, error)
	write(frame []byte) error
	cut()           // without a close frame
	leave(code int) // with one
	closed() int    // waits for the end, returns the server's code
}

func (c *pipe) read() ([]byte, error) {
	select {
	case frame := <-c.toWorker:
		return frame, nil
	default:
	}
	select {
	case frame := <-c.toWorker:
		return frame, nil
	case <-c.gone:
		return nil, c.end
	}
}

func (c *pipe) write(frame []byte) error {
	select {
	case c.toServer <- frame:
		return nil
	case <-c.gone:
		return c.end
	}
}

func (c *pipe) cut()           { c.finish(&workers.Closed{Code: 1006}, "") }
func (c *pipe) leave(code int) { c.finish(&workers.Closed{Code: code, ByPeer: true}, "") }
func (c *pipe) closed() int {
	<-c.gone
	return c.end.Code
}

// client is a worker written from the protocol, as far as tests need one. Pings
// are answered while pong is set.
type client struct {
	t    testing.TB
	sock socket
	got  chan protocol.Message
	done chan struct{} // the reader has ended

	mu   sync.Mutex
	pong bool
}

func newClient(t testing.TB, sock socket) *client {
	c := &client{t: t, sock: sock, got: make(chan protocol.Message, 20000), done: make(chan struct{}), pong: true}
	go func() {
		defer close(c.done)
		for {
			frame, err := sock.read()
			if err != nil {
				return
			}
			for msg, err := range protocol.Messages(frame) {
				if err != nil {
					t.Errorf("server sent %.100s: %v", frame, err)
				}
				c.take(msg)
			}
		}
	}()
	return c
}

func (c *client) take(msg protocol.Message) {
	if msg.Type != protocol.TypePing {
		c.got <- msg
		return
	}
	c.mu.Lock()
	pong := c.pong
	c.mu.Unlock()
	if pong {
		_ = c.sock.write(protocol.Encode(protocol.Bare{Type: protocol.TypePong}))
	}
}

// mute stops answering pings.
func (c *client) mute() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pong = false
}

func (c *client) send(msgs ...protocol.Encoding) {
	c.t.Helper()
	if err := c.sock.write(protocol.AppendFrame(nil, msgs...)); err != nil {
		c.t.Errorf("send: %v", err)
	}
}

func (c *client) sendRaw(frame string) {
	c.t.Helper()
	if err := c.sock.write([]byte(frame)); err != nil {
		c.t.Errorf("send: %v", err)
	}
}

// expect returns the next message, which has to be an M (a Bare: any).
func expect[M protocol.Encoding](c *client) (m M) {
	c.t.Helper()
	select {
	case msg := <-c.got:
		var head protocol.Bare
		if err := json.Unmarshal(protocol.Encode(m), &head); err != nil || head.Type != "" && head.Type != msg.Type {
			c.t.Fatalf("got %.300s, want a %T", msg.Raw, m)
		}
		if err := json.Unmarshal(msg.Raw, &m); err != nil {
			c.t.Fatalf("%s: %v", msg.Raw, err)
		}
	case <-c.done:
		c.t.Fatalf("connection ended with %d, want a %T", c.sock.closed(), m)
	case <-time.After(time.Minute):
		c.t.Fatalf("nothing came, want a %T", m)
	}
	return m
}

func (c *client) result(t protocol.Assign, status protocol.ResultStatus) protocol.Result {
	r := protocol.Result{Task: t.Task, Attempt: t.Attempt, Status: status}
	if status == protocol.Succeeded {
		r.Output = []byte("1")
	}
	c.send(r)
	return r
}

// world is a hub with its store and domain.
type world struct {
	t       testing.TB
	hub     *workers.Hub
	store   workers.Store
	tasks   *domain
	changes chan []string
	wg      sync.WaitGroup
}

func pair(group, kind string) tasks.Pair { return tasks.Pair{Group: group, Kind: kind} }

func ref(t tasks.Task) protocol.AttemptRef {
	return protocol.AttemptRef{Task: t.ID, Attempt: t.Attempt}
}

// realStore is the embedded store.
func realStore(t testing.TB) workers.Store { return sqlitetest.Open(t).Sessions() }

var alice = workers.Identity{User: "u1", Username: "alice", Token: "tok1", Groups: []string{"g1", "g2"}}

func newWorld(t testing.TB, store workers.Store, change ...func(*workers.HubOptions)) *world {
	w := &world{t: t, store: store, tasks: newDomain(), changes: make(chan []string, 1000)}
	o := workers.HubOptions{
		Store: store, Tasks: w.tasks, Server: "s1", Drain: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		OnChange: func(groups, _ []string) {
			select {
			case w.changes <- groups:
			default: // nobody looks
			}
		},
	}
	for _, f := range change {
		f(&o)
	}
	w.hub = workers.NewHub(o)
	if err := w.hub.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// pass lets the clock of a synctest bubble go on.
func pass(d time.Duration) { <-time.After(d) }

// stop ends the hub; it does not wait for busy sessions unless told so.
func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.hub.Stop(ctx); err != nil {
		w.t.Errorf("stop: %v", err)
	}
	w.wg.Wait()
}

// dial connects a worker in memory, without hello.
func (w *world) dial(id workers.Identity) *client {
	sock := newPipe(10000)
	w.wg.Go(func() { w.hub.Serve(context.Background(), sock, id) })
	return newClient(w.t, sock)
}

func hello() protocol.Hello {
	return protocol.Hello{Name: "pc", Kinds: []string{"k", "l"}, Slots: 2}
}

// connect dials and says hello; in a bubble only.
func (w *world) connect(h protocol.Hello) (*client, protocol.Welcome) {
	w.t.Helper()
	c := w.dial(alice)
	c.send(h)
	welcome := expect[protocol.Welcome](c)
	synctest.Wait() // the slots are offered after the welcome
	return c, welcome
}

// reserve takes one slot for group g1.
func (w *world) reserve(kind string) *workers.Slot {
	w.t.Helper()
	slots, err := w.hub.Reserve(w.t.Context(), pair("g1", kind), 1)
	if err != nil {
		w.t.Fatal(err)
	}
	return slots[0]
}

// claimed is a task that slot's session has claimed in the store.
func (w *world) claimed(slot *workers.Slot, id string, attempt int) tasks.Task {
	o := slot.Owner()
	t := tasks.Task{
		ID: id, Group: "g1", Kind: "k", Attempt: attempt, Status: tasks.Running, Timeout: time.Minute,
		Server: o.Server, Session: o.Session, Epoch: o.Epoch, Worker: o.Worker, Deadline: time.Now().Add(time.Minute),
	}
	w.tasks.own(t)
	return t
}

// assign gives a task to whoever has a slot.
func (w *world) assign(id string) tasks.Task {
	w.t.Helper()
	slot := w.reserve("k")
	t := w.claimed(slot, id, 1)
	if err := slot.Assign(t, []byte(`{"n":1}`), nil); err != nil {
		w.t.Fatal(err)
	}
	return t
}

// state returns a session as it is in the store.
func (w *world) state(id string) workers.Session {
	w.t.Helper()
	ss, err := w.store.Sessions(context.Background(), id)
	if err != nil || len(ss) != 1 {
		w.t.Fatalf("session %s: %v, %v", id, ss, err)
	}
	return ss[0]
}
