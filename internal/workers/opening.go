package workers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// refusal is a close code and its reason, as an error of the opening.
type refusal struct {
	code   int
	reason string
}

func (r *refusal) Error() string { return r.reason }

// greeting is a decoded hello with what followed it in the same frame.
type greeting struct {
	hello protocol.Hello
	rest  []protocol.Message
}

// openSession turns a connection into a session's: hello, the store, welcome.
// It returns nil after it has closed the connection.
func (h *Hub) openSession(ctx context.Context, conn Conn, id Identity) (*peer, []protocol.Message) {
	late := time.AfterFunc(Opening, func() { _ = conn.Close(protocol.CloseMalformed, "no hello in time") })
	unwatch := context.AfterFunc(h.stopping, func() { _ = conn.Close(protocol.CloseGoingAway, goingAway.reason) })
	defer unwatch()
	g, err := readHello(conn)
	late.Stop()
	var p *peer
	if err == nil {
		p, err = h.admit(ctx, conn, id, g.hello)
	}
	if err == nil {
		return p, g.rest
	}
	var no *refusal
	switch {
	case errors.As(err, &no):
		_ = conn.Close(no.code, no.reason)
	case !ended(err):
		h.log.ErrorContext(ctx, "session could not be opened", "error", err)
		_ = conn.Close(protocol.CloseInternal, "internal error")
	}
	return nil, nil
}

// readHello reads the first frame. Its errors are refusals, or the end of the
// connection.
func readHello(conn Conn) (g greeting, err error) {
	frame, err := conn.ReadFrame()
	if err != nil {
		if code, reason := violation(err); code != 0 {
			return g, &refusal{code, reason}
		}
		return g, err
	}
	next, stop := iter.Pull2(protocol.Messages(frame))
	defer stop()
	first, err, _ := next()
	switch {
	case err != nil:
		return g, &refusal{protocol.CloseMalformed, err.Error()}
	case first.Type != protocol.TypeHello:
		return g, &refusal{protocol.CloseMalformed, "the first message must be hello"}
	}
	if err := first.Decode(&g.hello); err != nil {
		return g, &refusal{protocol.CloseMalformed, err.Error()}
	}
	for msg, err, more := next(); more; msg, err, more = next() {
		if err != nil {
			return g, &refusal{protocol.CloseMalformed, err.Error()}
		}
		g.rest = append(g.rest, msg)
	}
	g.hello.Kinds = sorted(g.hello.Kinds)
	if len(g.hello.Groups) > 0 {
		g.hello.Groups = sorted(g.hello.Groups)
	} else {
		g.hello.Groups = nil
	}
	return g, nil
}

// sorted returns names in order and once each; never nil, which JSON calls null.
func sorted(names []string) []string {
	names = append([]string{}, names...)
	slices.Sort(names)
	return slices.Compact(names)
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// admit opens or resumes the session in the store and starts its connection.
// While it is at it the attempts of hello count as known (Hub.Knows).
func (h *Hub) admit(ctx context.Context, conn Conn, id Identity, hello protocol.Hello) (*peer, error) {
	if hello.Session != "" {
		h.claim(hello.Session, hello.Running...)
	}
	cancels := make(map[protocol.AttemptRef]string)
	unclaim := func() {
		for _, ref := range hello.Running {
			if reason := h.unclaim(hello.Session, ref); reason != "" {
				cancels[ref] = reason
			}
		}
		hello.Running = nil
	}
	defer unclaim()
	t, err := h.termsOf(ctx, id, hello)
	if err != nil {
		return nil, err
	}
	s, secret, resumed, err := h.keep(ctx, id, hello, t)
	if err != nil {
		return nil, err
	}
	p := newPeer(h, conn, id, s, t)
	dropped := hello.Running
	var took []tasks.Task
	if resumed {
		h.Evict(s.ID, s.Epoch)
		if h.o.OnResume != nil {
			h.o.OnResume(s.ID, s.Epoch)
		}
		if took, dropped, err = h.takeUp(ctx, s, hello.Running); err != nil {
			h.follow(p, internal)
			return nil, err
		}
	}
	p.hold(took, dropped)
	p.welcome(secret, took, dropped)
	if code, reason := h.register(p); code != 0 {
		h.sched.remove(p.seat)
		h.follow(p, ending{code: code, byServer: true, taken: code == protocol.CloseResumed})
		return nil, &refusal{code, reason}
	}
	unclaim()
	for _, t := range took {
		reason := cancels[refOf(t)]
		if !t.CancelRequestedAt.IsZero() {
			reason = protocol.CancelRequested // the first one may have died with the socket
		}
		if reason != "" {
			p.cancel(refOf(t), reason)
		}
	}
	p.start()
	return p, nil
}

// takeUp is what becomes of the attempts of a resumed session: it goes on with
// those that it still owns, and whose groups it still works for.
func (h *Hub) takeUp(ctx context.Context, s Session, running []protocol.AttemptRef) (took []tasks.Task, dropped []protocol.AttemptRef, err error) {
	owned, dropped, err := h.o.Tasks.Resume(ctx, s.ID, h.o.Server, s.Epoch, running)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range owned {
		if slices.Contains(s.Groups, t.Group) {
			took = append(took, t)
			continue
		}
		if err := h.o.Tasks.TakeBack(ctx, t, groupLost); err != nil {
			return nil, nil, err
		}
		dropped = append(dropped, refOf(t))
	}
	return took, dropped, nil
}

// keep resumes the session of hello in the store, or opens a new one.
func (h *Hub) keep(ctx context.Context, id Identity, hello protocol.Hello, t terms) (s Session, secret string, resumed bool, err error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	s = t.inForce(Session{
		Name: hello.Name, Owner: id.User, Token: id.Token, Server: h.o.Server,
		State: Connected, LastHeard: now, ConnectedAt: now,
		Offered: t.offered, Asked: t.asked, Labels: hello.Labels, SDK: hello.SDK,
	}, now)
	if hello.Session != "" {
		s.ID, s.SecretHash = hello.Session, hashSecret(hello.Resume)
		s, err := h.o.Store.Resume(ctx, s)
		if !errors.Is(err, ErrNoSession) {
			return s, hello.Resume, err == nil, err
		}
	}
	fresh, err := uuid.NewV7()
	if err != nil {
		return s, "", false, err
	}
	secret = rand.Text()
	s.ID, s.SecretHash, s.Epoch = fresh.String(), hashSecret(secret), 1
	s, err = h.o.Store.Open(ctx, s)
	return s, secret, false, err
}

// welcome queues the first message of a connection.
func (p *peer) welcome(secret string, resumed []tasks.Task, dropped []protocol.AttemptRef) {
	o := p.hub.o
	w := protocol.Welcome{
		Session: p.id, Resume: secret, Worker: p.seat.worker, Groups: p.groups(),
		PingMS: o.Ping.Milliseconds(), TimeoutMS: o.Timeout.Milliseconds(), GraceMS: o.Grace.Milliseconds(),
		MaxMessageBytes: protocol.MaxMessageBytes,
		Resumed:         []protocol.AttemptRef{}, Dropped: append([]protocol.AttemptRef{}, dropped...), // [], never null
	}
	for _, t := range resumed {
		w.Resumed = append(w.Resumed, refOf(t))
	}
	p.send(w)
}

func refOf(t tasks.Task) protocol.AttemptRef {
	return protocol.AttemptRef{Task: t.ID, Attempt: t.Attempt}
}
