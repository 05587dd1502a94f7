package workers

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firmlight/firmlight/internal/background"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// Tasks is what the hub needs of the domain.
type Tasks interface {
	// Result ends an attempt as assigned. An error means that the store is away:
	// no ack is sent and the worker sends the result again.
	Result(ctx context.Context, t tasks.Task, r protocol.Result) (protocol.Ack, error)
	// StrayResult answers a result for an attempt this session has not open.
	StrayResult(ctx context.Context, session string, r protocol.Result) (protocol.Ack, error)
	// Progress never blocks.
	Progress(t tasks.Task, percent *float64, message string)
	Log(ctx context.Context, t tasks.Task, stream string, lines []string) error
	Checkpoint(ctx context.Context, t tasks.Task, data []byte) error
	// Resume gives the listed attempts that session still owns the new epoch,
	// queues its other tasks again, and returns both lists.
	Resume(ctx context.Context, session, server string, epoch int64, running []protocol.AttemptRef) (resumed []tasks.Task, dropped []protocol.AttemptRef, err error)
	// Lost takes back every task of a session that is lost in the store.
	Lost(ctx context.Context, session string, l tasks.Loss) error
	// TakeBack queues one attempt again, unless it has ended.
	TakeBack(ctx context.Context, t tasks.Task, l tasks.Loss) error
}

// Defaults of HubOptions, and times that have no option. The server pings more
// than twice within the time after which it takes a silent worker for lost:
// 2 × Ping < Timeout. Opening > Timeout, so that a slow start is not a bad one.
const (
	DefaultPing    = 2500 * time.Millisecond
	DefaultTimeout = 7 * time.Second
	DefaultGrace   = 3 * time.Second
	DefaultDrain   = 10 * time.Second
	Opening        = 10 * time.Second // from the upgrade to hello

	// DefaultPerToken is how many connections one token may have at a time.
	DefaultPerToken = 1024
	beats           = 25 // of all connections together, for each ping
	// A session may send so many messages, above which it is closed with 4429.
	messagesPerSecond = 2000
	messagesBurst     = 5000
)

// HubOptions are the hub's collaborators and times; zero times mean defaults.
type HubOptions struct {
	Store  Store
	Tasks  Tasks
	Server string // id of this server
	// Groups returns in which groups each of these users may run workers now.
	// Nil: as Identity says.
	Groups func(ctx context.Context, users ...string) (map[string][]string, error)

	Ping, Timeout, Grace time.Duration
	Drain                time.Duration // how long Stop waits for busy sessions
	PerToken             int
	Logger               *slog.Logger

	// Trace, if set, returns the traceparent of a task's newest attempt, or "".
	Trace func(t tasks.Task) string
	// OnChange, if set, is told the groups and kinds of a session that came,
	// left or changed what it takes. It is called without a lock and must not block.
	OnChange func(groups, kinds []string)
	// OnResume, if set, is told of every resume here, so that the server which
	// had the session before can be told to Evict its connection.
	OnResume func(session string, epoch int64)
	// OnLost, if set, is told of each session that was lost to a fault of its
	// worker or the line. It must not block.
	OnLost func(s Session)
}

// Identity is who connects, as the token says.
type Identity struct {
	User      string // owner of the worker
	Username  string
	Token     string    // token id
	Groups    []string  // the token's groups that the user may run workers in now
	Limit     []string  // the groups that the token is for; nil: every one of the user
	ExpiresAt time.Time // zero: never
	// Alive returns a fault of kind Unauthenticated once the token was revoked. It
	// is asked when the session is known here, so that a Revoke which came
	// before is not missed. Nil: not asked.
	Alive func(ctx context.Context) error
}

// Hub holds all worker sessions of this server.
//
// Locks: Hub.mu, outbox.mu, inbox.mu and scheduler.mu are leaves, none is taken
// while another of them is held. peer.order comes before peer.mu, and that
// before outbox.mu; peer.order also before scheduler.mu. Under none of them is anything sent, closed or awaited.
type Hub struct {
	o     HubOptions
	log   *slog.Logger
	sched *scheduler
	began time.Time     // what peer.heard counts from
	turns atomic.Uint64 // of refresh: orders what was read

	life     context.Context  // of work for sessions; ends at the end of Stop
	crew     *background.Crew // does the work; its goroutines end with life
	end      context.CancelFunc
	stopping context.Context // ends at the start of Stop
	stop     context.CancelFunc
	wg       sync.WaitGroup // connections, and what follows their loss
	pinger   sync.WaitGroup

	mu     sync.Mutex // guards all below
	open   bool       // between Start and Stop
	peers  map[string]*peer
	pinged [beats]map[*peer]struct{} // connections by the turn of their pings
	tokens map[string]int            // connections by token
	claims map[string]map[protocol.AttemptRef]*claim
}

// claim is an attempt that a session may own in the store and not yet here.
type claim struct {
	n      int
	cancel string // reason of a cancel that came meanwhile
}

// NewHub returns a hub that has to be started.
func NewHub(o HubOptions) *Hub {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Ping, DefaultPing)
	def(&o.Timeout, DefaultTimeout)
	def(&o.Grace, DefaultGrace)
	def(&o.Drain, DefaultDrain)
	if o.PerToken == 0 {
		o.PerToken = DefaultPerToken
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Hub{
		o: o, log: o.Logger, sched: newScheduler(), began: time.Now(),
		peers: make(map[string]*peer), tokens: make(map[string]int),
		claims: make(map[string]map[protocol.AttemptRef]*claim),
	}
	for i := range h.pinged {
		h.pinged[i] = make(map[*peer]struct{})
	}
	h.life, h.end = context.WithCancel(context.Background())
	h.crew = background.NewCrew(h.life.Done())
	h.stopping, h.stop = context.WithCancel(context.Background())
	return h
}

// Start lets connections in.
func (h *Hub) Start(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open = h.stopping.Err() == nil; h.open {
		h.wg.Go(h.keepTerms)
		h.pinger.Go(h.keepPinging)
	}
	return nil
}

// Stop lets no more connections in, tells the workers to drain, waits until
// they are idle (for Drain at most), closes all with 1001 and returns when
// everything has ended. What still ran stays with its session for the grace.
func (h *Hub) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.open = false
	h.mu.Unlock()
	h.stop()
	for _, p := range h.all() {
		h.sched.drain(p.seat)
		p.send(protocol.Bare{Type: protocol.TypeDrain})
		h.leaveIfIdle(p)
	}
	done := make(chan struct{})
	go func() {
		h.wg.Wait()
		close(done)
	}()
	drained := time.NewTimer(h.o.Drain)
	defer drained.Stop()
	select {
	case <-done:
	case <-drained.C:
	case <-ctx.Done():
	}
	for _, p := range h.all() {
		p.finish(goingAway)
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	h.end()
	<-done // sockets end within WriteWait and CloseWait
	h.pinger.Wait()
	return ctx.Err()
}

// join has p pinged one interval after the last beat, and so on. All connections are pinged
// on a few common beats, beats in each interval: thousands of idle workers wake the server
// a few times for each ping, not each for itself.
func (h *Hub) join(p *peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peers[p.id] == p { // else it has ended already
		p.turn = int(time.Since(h.began)/(h.o.Ping/beats)) % beats
		h.pinged[p.turn][p] = struct{}{}
	}
}

// keepPinging pings each connection when its turn has come.
func (h *Hub) keepPinging() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var turn []*peer
	for n := 1; ; n++ {
		timer.Reset(time.Until(h.began.Add(time.Duration(n) * (h.o.Ping / beats))))
		select {
		case <-h.life.Done():
			return
		case <-timer.C:
		}
		h.mu.Lock()
		turn = slices.AppendSeq(turn[:0], maps.Keys(h.pinged[n%beats]))
		h.mu.Unlock()
		for _, p := range turn {
			p.beat()
		}
		clear(turn)
	}
}

// leaveIfIdle closes a session of a stopping server once it holds no slot.
func (h *Hub) leaveIfIdle(p *peer) {
	if h.stopping.Err() != nil && h.sched.idle(p.seat) {
		p.finish(goingAway)
	}
}

// Serve runs one connection till its end. It returns when the socket is closed
// and all it sent has been dealt with. The end of ctx closes it with 1001.
func (h *Hub) Serve(ctx context.Context, conn Conn, id Identity) {
	if code, reason := h.enter(id); code != 0 {
		refuse(conn, code, reason)
		return
	}
	defer h.leave(id)
	p, rest := h.openSession(ctx, conn, id)
	if p == nil {
		discard(conn)
		return
	}
	unwatch := context.AfterFunc(ctx, func() { p.finish(goingAway) })
	defer unwatch()
	if id.Alive != nil && fault.KindOf(id.Alive(ctx)) == fault.Unauthenticated {
		h.Revoke(id.Token)
	}
	if _, err := h.refresh(ctx, p); err != nil { // what changed while it was opened
		p.logger().WarnContext(ctx, "settings not read again", "error", err)
	}
	p.read(rest)
	<-p.over
	p.wg.Wait()
}

func (h *Hub) enter(id Identity) (code int, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.open:
		return protocol.CloseGoingAway, "the server is stopping"
	case h.tokens[id.Token] >= h.o.PerToken:
		return protocol.CloseTooMany, "too many connections of this token"
	}
	h.tokens[id.Token]++
	h.wg.Add(1)
	return 0, ""
}

func (h *Hub) leave(id Identity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tokens[id.Token]--; h.tokens[id.Token] == 0 {
		delete(h.tokens, id.Token)
	}
	h.wg.Done()
}

func refuse(conn Conn, code int, reason string) {
	_ = conn.Close(code, reason)
	discard(conn)
}

// discard reads a closed connection to its end.
func discard(conn Conn) {
	for {
		if _, err := conn.ReadFrame(); ended(err) {
			return
		}
	}
}

// register makes p its session's connection, unless the server is stopping or a
// later resume was faster.
func (h *Hub) register(p *peer) (code int, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.open {
		return protocol.CloseGoingAway, "the server is stopping"
	}
	if old := h.peers[p.id]; old != nil && old.epoch > p.epoch {
		return protocol.CloseResumed, resumedElsewhere.reason
	}
	h.peers[p.id] = p
	return 0, ""
}

func (h *Hub) unregister(p *peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peers[p.id] == p {
		delete(h.peers, p.id)
	}
	delete(h.pinged[p.turn], p)
}

// peer returns the connection of a session, or nil.
func (h *Hub) peer(session string) *peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.peers[session]
}

func (h *Hub) all() []*peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	ps := make([]*peer, 0, len(h.peers))
	for _, p := range h.peers {
		ps = append(ps, p)
	}
	return ps
}

func (h *Hub) changed(groups, kinds []string) {
	if h.o.OnChange != nil {
		h.o.OnChange(groups, kinds)
	}
}

// claim notes attempts that session may own from now on.
func (h *Hub) claim(session string, refs ...protocol.AttemptRef) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.claims[session]
	if of == nil && len(refs) > 0 {
		of = make(map[protocol.AttemptRef]*claim)
		h.claims[session] = of
	}
	for _, ref := range refs {
		if of[ref] == nil {
			of[ref] = &claim{}
		}
		of[ref].n++
	}
}

// unclaim ends a claim and returns the reason of a cancel that came meanwhile.
func (h *Hub) unclaim(session string, ref protocol.AttemptRef) (cancel string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.claims[session]
	c := of[ref]
	if c == nil {
		return ""
	}
	if c.n--; c.n == 0 {
		delete(of, ref)
	}
	if len(of) == 0 {
		delete(h.claims, session)
	}
	return c.cancel
}
