package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

// Times. A worker on a busy machine may be late; only where the protocol says
// at least, or not before, does a little less count as wrong.
const (
	arrival = 20 * time.Second // of a program that has just been started
	answer  = 5 * time.Second  // for what has to come at once
	back    = 5 * time.Second  // for the next connection, where it may come at once
	away    = 3 * time.Second  // in which what must not come does not
)

// Bounds of what a case keeps.
const (
	keptFrames = 16
	frameChars = 300
	maxWaiting = 4096 // messages that a case has not looked at yet
)

// failed ends a case; see scene.run.
type failed struct{ why string }

// scene is the stage of one case: the coordinator as its worker sees it. Its
// methods that wait end the case when what they wait for does not come.
type scene struct {
	ctx     context.Context
	hall    *coordinator
	token   string
	program Program // nil: started by somebody else
	began   time.Time
	visits  sync.WaitGroup
	arrived chan *conn
	broken  chan struct{} // closed once the worker has broken a rule that holds in every case

	mu        sync.Mutex // guards what follows
	violation string
	shut      bool // connections are refused with 503
	knocks    []time.Time
	conns     []*conn
	attempts  map[protocol.AttemptRef]*attempt
	trace     []string
}

// attempt is what the coordinator knows of one that it gave out.
type attempt struct {
	protocol.AttemptRef
	status protocol.ResultStatus // of the first result
}

func newScene(ctx context.Context, k *coordinator) *scene {
	return &scene{
		ctx: ctx, hall: k, began: time.Now(), arrived: make(chan *conn, 100),
		broken: make(chan struct{}), attempts: make(map[protocol.AttemptRef]*attempt),
	}
}

// run plays a case to its end, or to its first failure.
func (s *scene) run(play func(*scene)) (failure string) {
	defer func() {
		cause := recover()
		if f, ok := cause.(failed); ok {
			failure = f.why
		} else if cause != nil {
			panic(cause)
		}
	}()
	play(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.violation
}

func (s *scene) fail(format string, args ...any) {
	panic(failed{fmt.Sprintf(format, args...)})
}

// violate notes that the worker broke a rule; whatever the case waits for, it
// fails with that.
func (s *scene) violate(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.violation == "" {
		s.violation = fmt.Sprintf(format, args...)
		close(s.broken)
	}
}

// end closes what is open and waits for its goroutines.
func (s *scene) end() {
	s.mu.Lock()
	s.shut = true
	conns := s.conns
	s.mu.Unlock()
	for _, c := range conns {
		c.cut()
	}
	s.visits.Wait()
	for _, c := range conns {
		c.pinging.Wait()
	}
}

// note keeps a line for the report.
func (s *scene) note(who, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.trace) >= keptFrames {
		s.trace = slices.Delete(s.trace, 0, 1)
	}
	s.trace = append(s.trace, fmt.Sprintf("%7.3f s  %-6s  %s", time.Since(s.began).Seconds(), who, protocol.Clip(what, frameChars)))
}

func (s *scene) frames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.trace)
}

var upgrader = websocket.Upgrader{
	Subprotocols: []string{protocol.Subprotocol},
	CheckOrigin:  func(*http.Request) bool { return true }, // workers are no browsers
}

// visit is one request to connect, and the connection if it becomes one.
func (s *scene) visit(w http.ResponseWriter, r *http.Request) {
	defer s.visits.Done()
	s.mu.Lock()
	s.knocks = append(s.knocks, time.Now())
	shut := s.shut
	s.mu.Unlock()
	if shut {
		s.note("server", "(503 to a request to connect)")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if !slices.Contains(websocket.Subprotocols(r), protocol.Subprotocol) {
		s.violate("the worker did not offer the subprotocol %s", protocol.Subprotocol)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.violate("the worker's request to connect is no WebSocket handshake: %v", err)
		return
	}
	c := newConn(s, ws)
	s.mu.Lock()
	shut = s.shut
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	if shut { // meanwhile
		c.cut()
		return
	}
	s.note("worker", "(connected)")
	s.arrived <- c
	c.read()
}

// shutDoor refuses connections, or lets them in again.
func (s *scene) shutDoor(shut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = shut
}

// knocksSince returns when the worker tried to connect after a moment.
func (s *scene) knocksSince(t time.Time) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.knocks), func(k time.Time) bool { return k.Before(t) })
}

// check ends the case if the worker has broken a rule, or the time is up.
func (s *scene) check(waitingFor string) {
	select {
	case <-s.broken:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fail("%s", s.violation)
	case <-s.ctx.Done():
		s.fail("expected %s, but the case's time is up", waitingFor)
	default:
	}
}

// connection waits for the worker to connect and to say hello.
func (s *scene) connection(within time.Duration) *conn {
	c := s.next(within)
	if c == nil {
		s.fail("expected a connection within %s, but none came%s", within, s.hall.strangers())
	}
	m := c.next(10*time.Second, "hello")
	hello, ok := m.(*protocol.Hello)
	if !ok {
		s.fail("expected hello as the first message, got %s", describe(m))
	}
	c.hello = *hello
	s.mu.Lock()
	for _, ref := range hello.Running {
		if s.program == nil && s.attempts[ref] == nil { // of the case before
			s.attempts[ref] = &attempt{AttemptRef: ref}
			c.stray[ref] = true
		}
	}
	s.mu.Unlock()
	return c
}

// exited is closed once the program has ended; nil for one that somebody else
// started.
func (s *scene) exited() <-chan struct{} {
	if s.program == nil {
		return nil
	}
	return s.program.Done()
}

// next waits for a connection; nil if there is none in time.
func (s *scene) next(within time.Duration) *conn {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case c := <-s.arrived:
		return c
	case <-s.exited():
		s.fail("expected a connection, but the program has ended")
	case <-s.broken:
	case <-s.ctx.Done():
	case <-timer.C:
		return nil
	}
	s.check("a connection")
	return nil
}

// first waits for the worker's first connection and welcomes it.
func (s *scene) first(change ...func(*protocol.Welcome)) *conn {
	c := s.connection(arrival)
	c.welcome(change...)
	return c
}

// again waits for the next connection and welcomes it.
func (s *scene) again() *conn {
	c := s.connection(back)
	c.welcome()
	return c
}

// nobody makes sure that the worker does not connect for a while; one that has
// ended cannot. Where somebody else starts workers, one that resumes nothing is
// a new one.
func (s *scene) nobody(d time.Duration, why string) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case c := <-s.arrived:
		if hello, ok := c.next(answer, "hello").(*protocol.Hello); ok && hello.Session == "" && s.program == nil {
			return
		}
		s.fail("the worker connected again within %s, %s", d, why)
	case <-s.exited():
	case <-timer.C:
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// resumed is a welcome that lets the worker go on with what it lists.
func resumed(hello protocol.Hello) func(*protocol.Welcome) {
	return func(w *protocol.Welcome) {
		w.Session, w.Resumed = hello.Session, hello.Running
	}
}

// dropped is a welcome to a worker that came back too late.
func dropped(hello protocol.Hello) func(*protocol.Welcome) {
	return func(w *protocol.Welcome) { w.Dropped = hello.Running }
}

func refNames(refs []protocol.AttemptRef) string {
	if len(refs) == 0 {
		return "none"
	}
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = refName(r)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func refName(r protocol.AttemptRef) string {
	return fmt.Sprintf("task %s attempt %d", r.Task, r.Attempt)
}
