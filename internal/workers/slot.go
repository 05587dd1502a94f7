package workers

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// ErrSessionGone says that a slot's session has ended, lives on with another
// epoch, or takes the task no longer: its group, its kind, or so many at a time.
var ErrSessionGone = fault.New(fault.Conflict, "session_gone", "The session that was to run the task has ended.")

// Slot is a reserved place for one attempt at one session. It is used by one
// goroutine, and ends with Assign or Release.
type Slot struct {
	peer  *peer
	claim *protocol.AttemptRef
	done  atomic.Bool
}

// Reserve waits until a slot for p is free on a session of this server and
// reserves up to max at once; ctx ends the wait. Without an error there is at
// least one slot.
func (h *Hub) Reserve(ctx context.Context, p tasks.Pair, max int) ([]*Slot, error) {
	seats, err := h.sched.reserve(ctx, p, at1(max))
	return slots(seats), err
}

// TryReserve is Reserve without waiting.
func (h *Hub) TryReserve(p tasks.Pair, max int) []*Slot {
	return slots(h.sched.tryReserve(p, at1(max)))
}

func at1(n int) int { return max(n, 1) }

func slots(seats []*seat) []*Slot {
	var all []*Slot
	for _, st := range seats {
		all = append(all, &Slot{peer: st.peer})
	}
	return all
}

// Serves reports whether a connected session that is neither draining nor
// paused takes p; its slots may be busy.
func (h *Hub) Serves(p tasks.Pair) bool { return h.sched.serves(p) }

// Kinds returns what this server serves now: group → kinds, sorted.
func (h *Hub) Kinds() map[string][]string { return h.sched.kinds() }

// Workers returns the ids of the workers that take tasks here now, sorted.
func (h *Hub) Workers() []string { return h.sched.workers() }

// Owner is who owns what is claimed for the slot.
func (s *Slot) Owner() tasks.Owner { return s.peer.owner }

// Claiming notes that an attempt is being claimed for the slot: Knows counts it
// and Cancel finds it, until Assign or Release.
func (s *Slot) Claiming(task string, attempt int) {
	s.unclaim()
	s.claim = &protocol.AttemptRef{Task: task, Attempt: attempt}
	s.peer.hub.claim(s.peer.id, *s.claim)
}

func (s *Slot) unclaim() (cancel string) {
	if s.claim != nil {
		cancel = s.peer.hub.unclaim(s.peer.id, *s.claim)
		s.claim = nil
	}
	return cancel
}

// Release gives an unused reservation back; it may be called twice, and after
// Assign, where it does nothing.
func (s *Slot) Release() {
	if s.done.Swap(true) {
		return
	}
	s.unclaim()
	s.peer.hub.sched.free(s.peer.seat)
	s.peer.hub.leaveIfIdle(s.peer)
}

// Assign makes the claimed t an open attempt of the session and sends it.
// ErrSessionGone: the caller takes the claim back; the slot is released.
func (s *Slot) Assign(t tasks.Task, input, checkpoint []byte) error {
	p := s.peer
	m := assignOf(t, input, checkpoint)
	if trace := p.hub.o.Trace; trace != nil {
		m.Trace = trace(t)
	}
	msg := protocol.Encode(m)
	p.mu.Lock()
	ok := !s.done.Load() && !p.ended && t.Epoch == p.epoch && p.takes(t)
	if !ok {
		p.mu.Unlock()
		s.Release()
		return ErrSessionGone
	}
	s.done.Store(true)
	p.attempts[refOf(t)] = &attempt{task: t}
	result, start := p.out.push(msg) // under the lock: a cancel must come after it
	p.mu.Unlock()
	p.sent(result, start)
	if reason := s.unclaim(); reason != "" {
		p.cancel(refOf(t), reason)
	}
	return nil
}

func assignOf(t tasks.Task, input, checkpoint []byte) protocol.Assign {
	m := protocol.Assign{
		Task: t.ID, Attempt: t.Attempt, Kind: t.Kind, Group: t.Group,
		Input: json.RawMessage(input), Checkpoint: json.RawMessage(checkpoint),
		TimeoutMS: t.Timeout.Milliseconds(), Deadline: protocol.Time{Time: t.Deadline},
	}
	if t.Parent != "" && t.Key != tasks.ReduceKey {
		index := t.Index
		m.Parent, m.Index, m.Count = t.Parent, &index, t.Count
	}
	return m
}
