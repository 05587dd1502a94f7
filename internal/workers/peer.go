package workers

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// peer is one connection of a session, from its welcome to its end: a reader
// (the goroutine of Serve), and a writer and a processor while they have
// something to do.
type peer struct {
	hub     *Hub
	conn    Conn
	id      string // of the session
	epoch   int64
	ident   Identity
	owner   tasks.Owner
	seat    *seat
	out     *outbox
	in      *inbox
	limiter *rate.Limiter
	heard   atomic.Int64   // nanoseconds since Hub.began
	wg      sync.WaitGroup // writer, processor, closer
	over    chan struct{}  // closed when the connection counts as ended
	turn    int            // of its pings; Hub.mu guards it

	// order is held while the scheduler and the worker are told of a change, so
	// that the last they hear is the newest.
	order sync.Mutex

	mu       sync.Mutex // guards all below
	session  Session    // as in the store, or on its way there
	terms    terms      // what session's slots, kinds and groups follow from
	unsaved  bool       // the store did not take session; the next refresh tries again
	attempts map[protocol.AttemptRef]*attempt
	again    *time.Timer // calls watch; nil until it has to be called between two pings
	ended    bool
}

// attempt is one that holds a slot. A dropped one belongs to this session no
// longer; only its task's id is known.
type attempt struct {
	task    tasks.Task
	dropped bool
	told    bool // to stop
}

// ending is how a connection ends, and what that means for its session.
type ending struct {
	code     int
	reason   string
	gone     bool   // the socket is closed already
	abrupt   bool   // what is queued is thrown away
	left     bool   // lost at once, without grace: the worker left by itself, or was told to
	byServer bool   // not the worker's fault
	taken    bool   // the session lives on elsewhere
	revoked  bool   // the worker's owner ended it
	loss     string // for the timelines
	cause    tasks.Cause
}

// Endings that the server decides.
var (
	goingAway = ending{code: protocol.CloseGoingAway, reason: "the server is going away", byServer: true,
		loss: "The server was stopped."}
	internal = ending{code: protocol.CloseInternal, reason: "internal error", byServer: true,
		loss: "The server could not go on with the session."}
	foreign = ending{code: protocol.CloseInternal, reason: "the session is no longer this server's",
		abrupt: true, taken: true}
	resumedElsewhere = ending{code: protocol.CloseResumed, reason: "resumed on another connection",
		abrupt: true, taken: true}
	tooSlow = ending{code: protocol.CloseSlow, reason: "messages are not read", abrupt: true,
		loss: "The worker read too slowly."}
	tooMany = ending{code: protocol.CloseTooMany, reason: "too many messages",
		loss: "The worker sent too many messages."}
	revoked = ending{code: protocol.CloseUnauthorized, reason: "the token is no longer valid",
		revoked: true, loss: "The worker's token was revoked."}
	disconnected = ending{code: protocol.CloseDisconnected, reason: "disconnected by an administrator",
		left: true, byServer: true, loss: Disconnected, cause: tasks.CauseDisconnect}
	expired = ending{code: protocol.CloseUnauthorized, reason: "the token has expired",
		loss: "The worker's token expired."}
)

func newPeer(h *Hub, conn Conn, id Identity, s Session, t terms) *peer {
	p := &peer{
		hub: h, conn: conn, id: s.ID, epoch: s.Epoch, ident: id, session: s, terms: t,
		owner: tasks.Owner{
			Server: h.o.Server, Session: s.ID, Epoch: s.Epoch,
			Worker: s.Worker, WorkerName: s.Name, User: s.Owner,
		},
		over:    make(chan struct{}),
		limiter: rate.NewLimiter(messagesPerSecond, messagesBurst),
	}
	p.out, p.in = newOutbox(&p.wg), newInbox(&p.wg)
	p.seat = &seat{peer: p, worker: s.Worker}
	p.touch()
	conn.Alive(p.touch)
	return p
}

// hold takes over what a hello listed: attempts this session still owns, and
// dropped ones, which keep their slots until the worker answers them.
func (p *peer) hold(owned []tasks.Task, dropped []protocol.AttemptRef) {
	p.mu.Lock()
	p.attempts = make(map[protocol.AttemptRef]*attempt, len(owned)+len(dropped))
	for _, t := range owned {
		p.attempts[refOf(t)] = &attempt{task: t}
	}
	for _, ref := range dropped {
		p.attempts[ref] = &attempt{dropped: true}
	}
	s, taken := p.session, len(p.attempts)
	p.mu.Unlock()
	p.hub.sched.add(p.seat, s.Groups, s.Kinds, s.Slots, taken)
}

// start lets messages out and tasks in.
func (p *peer) start() {
	go p.write()
	p.hub.join(p)
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	p.hub.sched.open(p.seat)
	p.logger().Info("worker connected", "name", s.Name, "epoch", s.Epoch, "slots", s.Slots, "remote", p.conn.Remote())
	p.hub.changed(s.Groups, s.Kinds)
}

func (p *peer) groups() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session.Groups
}

// logger is made when there is something to say: most connections say nothing for hours.
func (p *peer) logger() *slog.Logger {
	return p.hub.log.With("session_id", p.id, "worker_id", p.seat.worker)
}

// touch notes a sign of life.
func (p *peer) touch() { p.heard.Store(int64(time.Since(p.hub.began))) }

func (p *peer) lastHeard() time.Time { return p.hub.began.Add(time.Duration(p.heard.Load())) }

// ping is the same for everybody.
var ping = protocol.Encode(protocol.Bare{Type: protocol.TypePing})

// beat pings; it is called once in each interval.
func (p *peer) beat() {
	p.watch()
	p.sent(p.out.push(ping))
}

// watch ends a connection that is silent or whose token has expired. Where one of these is
// due before the next ping it comes again by itself.
func (p *peer) watch() {
	if p.in.stuck() {
		p.touch() // it is the store that keeps us from reading
	}
	o, now := p.hub.o, time.Now()
	left := p.lastHeard().Add(o.Timeout).Sub(now)
	if left <= 0 {
		p.finish(ending{
			code: protocol.CloseSilent, reason: fmt.Sprintf("nothing heard for %v", o.Timeout), abrupt: true,
			loss: fmt.Sprintf("Nothing was heard of the worker for %v.", o.Timeout),
		})
		return
	}
	if expires := p.ident.ExpiresAt; !expires.IsZero() {
		left = min(left, expires.Sub(now))
		if left <= 0 {
			p.finish(expired)
			return
		}
	}
	if left >= o.Ping {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
	case p.again == nil:
		p.again = time.AfterFunc(left, p.watch)
	default:
		p.again.Reset(left)
	}
}

// send queues a message. A worker that leaves too many unread is closed.
func (p *peer) send(msg protocol.Encoding) {
	result, start := p.out.push(protocol.Encode(msg))
	p.sent(result, start)
}

// sent follows up on outbox.push.
func (p *peer) sent(result pushed, start bool) {
	if start {
		go p.write()
	}
	switch result {
	case full:
		p.finish(tooSlow)
	case clogs:
		p.tellClogged()
	}
}

func (p *peer) tellClogged() {
	p.order.Lock()
	defer p.order.Unlock()
	p.hub.sched.clog(p.seat, p.out.isClogged())
}

// write is the socket's writer; it ends when the outbox is empty.
func (p *peer) write() {
	defer p.wg.Done() // outbox has added it
	for {
		frame, unclogged, last := p.out.next()
		if frame == nil {
			if last != nil {
				_ = p.conn.Close(last.code, last.reason)
			}
			return
		}
		if unclogged {
			p.tellClogged()
		}
		if err := p.conn.WriteFrame(frame); err != nil {
			p.finish(tooSlow)
			_ = p.conn.Close(tooSlow.code, tooSlow.reason)
			return
		}
	}
}

// finish ends the connection; the first call counts. The socket itself may take
// until CloseWait.
func (p *peer) finish(e ending) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	p.ended = true
	if p.again != nil {
		p.again.Stop()
	}
	groups, kinds := p.session.Groups, p.session.Kinds
	p.mu.Unlock()

	p.hub.unregister(p)
	p.hub.sched.remove(p.seat)
	p.in.close()
	switch {
	case e.gone:
		p.out.finish(nil)
	case e.abrupt:
		p.out.finish(nil)
		p.wg.Go(func() { _ = p.conn.Close(e.code, e.reason) })
	case p.out.finish(&closing{e.code, e.reason}):
		go p.write()
	}
	p.logger().Info("worker disconnected", "code", e.code, "reason", e.reason)
	p.hub.changed(groups, kinds)
	p.hub.follow(p, e)
	close(p.over)
}

// read reads the connection to its end; rest came with the hello.
func (p *peer) read(rest []protocol.Message) {
	for _, msg := range rest {
		p.receive(msg)
	}
	for {
		frame, err := p.conn.ReadFrame()
		if !ended(err) {
			p.touch()
		}
		if err == nil {
			p.receiveFrame(frame)
			p.in.wait(p.over)
			continue
		}
		var end *Closed
		if errors.As(err, &end) {
			p.finish(endingOf(end))
			return
		}
		code, reason := violation(err)
		p.finish(ending{code: code, reason: reason, loss: "The worker broke the protocol: " + reason + "."})
	}
}

// violation is the close code for a frame that the protocol does not allow, or 0.
func violation(err error) (code int, reason string) {
	switch {
	case errors.Is(err, ErrBinary):
		return protocol.CloseMalformed, "binary frame"
	case errors.Is(err, ErrTooLarge):
		return protocol.CloseTooLarge, "frame too large"
	}
	return 0, ""
}

func ended(err error) bool {
	var end *Closed
	return errors.As(err, &end)
}

// endingOf is what the end of a socket means. Only a worker that closed by
// itself, and normally, has left; all else may be a broken line.
func endingOf(end *Closed) ending {
	e := ending{code: end.Code, reason: "closed by the worker", gone: true, loss: "The connection to the worker broke."}
	switch {
	case !end.ByPeer:
		e.reason = "connection lost"
	case end.Code == protocol.CloseNormal || end.Code == protocol.CloseGoingAway:
		e.left = true
		e.loss, e.cause = "The worker closed its connection.", tasks.CauseWorkerLeft
	}
	return e
}
