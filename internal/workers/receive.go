package workers

import (
	"context"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

func (p *peer) receiveFrame(frame []byte) {
	for msg, err := range protocol.Messages(frame) {
		if p.isOver() {
			return
		}
		if err != nil {
			p.violated(protocol.CloseMalformed, err.Error())
			return
		}
		p.receive(msg)
	}
}

func (p *peer) isOver() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// receive decodes one message; what needs the store goes to the inbox.
func (p *peer) receive(msg protocol.Message) {
	if !p.limiter.Allow() {
		p.finish(tooMany)
		return
	}
	switch msg.Type {
	case protocol.TypeHello:
		p.violated(protocol.CloseMalformed, "a second hello")
	case protocol.TypePong:
	case protocol.TypeDrain:
		p.hub.sched.drain(p.seat)
		p.change(func(s *Session) { s.Draining = true })
	case protocol.TypeSlots:
		decoded(p, msg, func(m *protocol.Slots) {
			p.adapt(func(t *terms) { t.slots = m.Slots })
		})
	case protocol.TypeProgress:
		decoded(p, msg, func(m *protocol.Progress) {
			p.push(m.Task, len(msg.Raw), func(context.Context) { p.progress(*m) })
		})
	case protocol.TypeLog:
		decoded(p, msg, func(m *protocol.Log) {
			p.push(m.Task, len(msg.Raw), func(ctx context.Context) { p.logged(ctx, *m) })
		})
	case protocol.TypeCheckpoint:
		decoded(p, msg, func(m *protocol.Checkpoint) {
			p.push(m.Task, len(msg.Raw), func(ctx context.Context) { p.checkpoint(ctx, *m) })
		})
	case protocol.TypeResult:
		decoded(p, msg, func(m *protocol.Result) {
			p.push(m.Task, len(msg.Raw), func(ctx context.Context) { p.result(ctx, *m) })
		})
	default:
		p.send(protocol.Error{
			Code: protocol.CodeUnknownType, Message: protocol.Clip("unknown type: "+string(msg.Type), protocol.MaxErrorChars),
		})
	}
}

func (p *peer) violated(code int, reason string) {
	p.finish(ending{code: code, reason: reason, loss: "The worker broke the protocol: " + reason + "."})
}

// decoded calls use with the message, or answers what is wrong with it.
func decoded[M any](p *peer, msg protocol.Message, use func(*M)) {
	var m M
	if err := msg.Decode(&m); err != nil {
		p.send(replyTo(err))
		return
	}
	use(&m)
}

// push queues work for the session's processor.
func (p *peer) push(task string, size int, do func(context.Context)) {
	if p.in.push(item{task: task, size: size, do: do}) {
		p.hub.crew.Go(p.process)
	}
}

// process does what was received, batch by batch, until nothing is left.
func (p *peer) process() {
	defer p.wg.Done() // inbox has added it
	for {
		batch := p.in.take()
		if batch == nil {
			return
		}
		run(p.hub.life, p.hub.crew, batch)
	}
}

// change alters what the store knows of the session, and tells those who care.
func (p *peer) change(f func(*Session)) {
	p.mu.Lock()
	f(&p.session)
	s := p.session
	p.mu.Unlock()
	p.hub.changed(s.Groups, s.Kinds)
	p.push("", 0, func(ctx context.Context) {
		p.save(ctx)
		p.hub.changed(s.Groups, s.Kinds) // for those who list workers: they are read from the store
	})
}

// save writes the session as it is now; several changes may have come together.
func (p *peer) save(ctx context.Context) {
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	_, err := p.hub.o.Store.Update(ctx, s)
	if err != nil {
		p.logger().WarnContext(ctx, "session could not be updated, will try again", "error", err)
	}
	p.mu.Lock()
	p.unsaved = err != nil
	p.mu.Unlock()
}

// find returns the attempt if it holds a slot here.
func (p *peer) find(task string, n int) (attempt, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.attempts[protocol.AttemptRef{Task: task, Attempt: n}]
	if !ok {
		return attempt{}, false
	}
	return *a, true
}

// cancel tells the worker to stop an attempt: once, whoever has reason to.
func (p *peer) cancel(ref protocol.AttemptRef, reason string) {
	p.mu.Lock()
	a := p.attempts[ref]
	first := a != nil && !a.told
	if first {
		a.told = true
	}
	p.mu.Unlock()
	if first {
		p.send(protocol.Cancel{Task: ref.Task, Attempt: ref.Attempt, Reason: reason})
	}
}

// owned returns the task of an attempt that this session runs. What comes for
// another is not used; for a dropped one, which the worker is about to stop,
// that goes without saying.
func (p *peer) owned(task string, n int) (tasks.Task, bool) {
	a, ok := p.find(task, n)
	if !ok {
		p.send(protocol.Error{Code: protocol.CodeBadField, Message: "task: this attempt is not open in this session"})
	}
	return a.task, ok && !a.dropped
}

func (p *peer) progress(m protocol.Progress) {
	if t, ok := p.owned(m.Task, m.Attempt); ok {
		p.hub.o.Tasks.Progress(t, m.Percent, m.Message)
	}
}

func (p *peer) logged(ctx context.Context, m protocol.Log) {
	t, ok := p.owned(m.Task, m.Attempt)
	if !ok || len(m.Lines) == 0 {
		return
	}
	if err := p.hub.o.Tasks.Log(ctx, t, m.Stream, m.Lines); err != nil {
		p.logger().WarnContext(ctx, "log lines were not kept", "task_id", m.Task, "error", err)
	}
}

func (p *peer) checkpoint(ctx context.Context, m protocol.Checkpoint) {
	t, ok := p.owned(m.Task, m.Attempt)
	if !ok {
		return
	}
	if err := p.hub.o.Tasks.Checkpoint(ctx, t, m.Data); err != nil {
		p.logger().WarnContext(ctx, "checkpoint was not kept", "task_id", m.Task, "error", err)
	}
}

// result has the attempt ended in the store, acknowledges it and frees its slot,
// in this order, so that the worker has the ack before it gets the next task.
func (p *peer) result(ctx context.Context, r protocol.Result) {
	a, held := p.find(r.Task, r.Attempt)
	var ack protocol.Ack
	var err error
	if held && !a.dropped {
		ack, err = p.hub.o.Tasks.Result(ctx, a.task, r)
	} else {
		ack, err = p.hub.o.Tasks.StrayResult(ctx, p.id, r)
	}
	if err != nil {
		p.logger().WarnContext(ctx, "result could not be kept; the worker will send it again",
			"task_id", r.Task, "attempt", r.Attempt, "error", err)
		return
	}
	ack.Type = protocol.TypeAck
	p.send(ack)
	if !held {
		return
	}
	switch {
	case r.Status == protocol.Rejected && !a.dropped:
		p.hub.sched.rejected(p.seat, a.task.Kind)
	case r.Status == protocol.Succeeded && !a.dropped:
		p.hub.sched.succeeded(p.seat, a.task.Kind)
	}
	p.answered(protocol.AttemptRef{Task: r.Task, Attempt: r.Attempt})
}

// answered frees the slot of an attempt, once.
func (p *peer) answered(ref protocol.AttemptRef) {
	p.mu.Lock()
	_, held := p.attempts[ref]
	delete(p.attempts, ref)
	p.mu.Unlock()
	if held {
		p.hub.sched.free(p.seat)
		p.hub.leaveIfIdle(p)
	}
}

// follow deals with the session after its connection has ended, in a goroutine
// of the hub's; see loss.go.
func (h *Hub) follow(p *peer, e ending) {
	if e.taken {
		return
	}
	if h.stopping.Err() != nil && !e.left {
		e.byServer = true
	}
	at := time.Now()
	h.wg.Go(func() { h.lose(p, e, at) })
}

func replyTo(err error) protocol.Error {
	var field *protocol.FieldError
	if errors.As(err, &field) {
		return field.Reply()
	}
	return protocol.Error{Code: protocol.CodeBadField, Message: "the message could not be read"}
}
