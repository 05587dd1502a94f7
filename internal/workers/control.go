package workers

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// sessionsAtOnce is how many sessions DropForeign asks the store for in one call.
const sessionsAtOnce = 500

// SessionInfo is a session of this server as lists and live events show it.
type SessionInfo struct {
	Session
	Open   []protocol.AttemptRef // attempts that hold a slot
	Remote string
}

// Snapshot returns this server's sessions, the oldest first.
func (h *Hub) Snapshot() []SessionInfo {
	var infos []SessionInfo
	for _, p := range h.all() {
		p.mu.Lock()
		info := SessionInfo{Session: p.session, Remote: p.conn.Remote()}
		for ref := range p.attempts {
			info.Open = append(info.Open, ref)
		}
		p.mu.Unlock()
		info.LastHeard = p.lastHeard().UTC().Truncate(time.Millisecond)
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b SessionInfo) int {
		return cmp.Or(a.ConnectedAt.Compare(b.ConnectedAt), cmp.Compare(a.ID, b.ID))
	})
	return infos
}

// Knows returns the attempts that a session owns here, or may own because a
// claim or a resume is on its way; nil for a session that is not here.
func (h *Hub) Knows(session string) map[protocol.AttemptRef]bool {
	h.mu.Lock()
	p := h.peers[session]
	var known map[protocol.AttemptRef]bool
	if claims := h.claims[session]; p != nil || claims != nil {
		known = make(map[protocol.AttemptRef]bool)
		for ref := range claims {
			known[ref] = true
		}
	}
	h.mu.Unlock()
	if p == nil {
		return known
	}
	// A claim ends only after its attempt stands here, so none is missed.
	p.mu.Lock()
	defer p.mu.Unlock()
	for ref, a := range p.attempts {
		if !a.dropped {
			known[ref] = true
		}
	}
	return known
}

// Cancel asks for the end of an attempt and reports whether its session is here.
// One that is just being claimed hears of it after its assign.
func (h *Hub) Cancel(t tasks.Task, reason string) bool {
	ref := refOf(t)
	h.mu.Lock()
	p := h.peers[t.Session]
	c := h.claims[t.Session][ref]
	if c != nil {
		c.cancel = reason
	}
	h.mu.Unlock()
	if p == nil {
		return c != nil
	}
	if a, ok := p.find(ref.Task, ref.Attempt); !ok || a.dropped {
		return c != nil
	}
	p.cancel(ref, reason)
	return true
}

// Revoke closes the connections of tokens and users, by id, with CloseUnauthorized.
func (h *Hub) Revoke(ids ...string) {
	for _, p := range h.all() {
		if slices.Contains(ids, p.ident.Token) || slices.Contains(ids, p.ident.User) {
			p.finish(revoked)
		}
	}
}

// Disconnected is what the timeline says of tasks whose worker was disconnected.
const Disconnected = "An administrator disconnected the worker."

// CloseWorker closes all connections of a worker with CloseDisconnected. Their
// sessions are lost at once, which does not count against their tasks.
func (h *Hub) CloseWorker(worker string) {
	for _, p := range h.all() {
		if p.seat.worker == worker {
			p.finish(disconnected)
		}
	}
}

// Evict closes the connection of a session that was resumed, with this epoch,
// on another one.
func (h *Hub) Evict(session string, epoch int64) {
	if p := h.peer(session); p != nil && p.epoch < epoch {
		p.finish(resumedElsewhere)
	}
}

// Stalled stops reservations (true), or lets them go on: this server's own heartbeat is late, and it
// may no longer own its sessions.
func (h *Hub) Stalled(stalled bool) { h.sched.stall(stalled) }

// DropForeign closes (4500) the sessions that, after a stall, the store says
// are no longer this server's. Errors are the store's.
func (h *Hub) DropForeign(ctx context.Context) error {
	for some := range slices.Chunk(h.all(), sessionsAtOnce) {
		ids := make([]string, len(some))
		for i, p := range some {
			ids[i] = p.id
		}
		kept, err := h.o.Store.Sessions(ctx, ids...)
		if err != nil {
			return err
		}
		own := make(map[string]int64, len(kept))
		for _, s := range kept {
			if s.State == Connected && s.Server == h.o.Server {
				own[s.ID] = s.Epoch
			}
		}
		for _, p := range some {
			if own[p.id] != p.epoch {
				p.finish(foreign)
			}
		}
	}
	return nil
}
