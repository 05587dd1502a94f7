package workers

import (
	"context"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// terms are what a session's slots, kinds and groups follow from: what its worker
// offers and asks for, what its owner may, and what the owner decided.
type terms struct {
	slots    int      // the worker said last
	offered  []string // kinds, sorted
	asked    []string // groups, sorted; nil: all
	member   []string // groups of the token that its owner may run workers in, sorted
	settings Settings
	turn     uint64 // of the refresh that read the last two
}

// inForce returns s with the slots, kinds and groups of this moment.
func (t terms) inForce(s Session, now time.Time) Session {
	s.Slots = t.settings.slots(t.slots, now)
	s.Kinds = only(t.offered, t.settings.Kinds)
	s.Groups = only(only(t.member, t.asked), t.settings.Groups)
	return s
}

// refreshEvery is how often the sessions' terms are read again, so that a change
// made on another server is in force here within 5 s even without Redis.
const refreshEvery = 4 * time.Second

// groupLost is why a running task of a lost group is taken back.
var groupLost = tasks.Loss{ByServer: true, Cause: tasks.CauseGroupLost, Reason: "its worker does not work for the group any more"}

// termsOf returns the terms of a session that hello opens or resumes. A session
// keeps what it asked for at first: a worker that was told to work for fewer
// groups may come back and ask for those only. A *refusal for groups outside the
// token.
func (h *Hub) termsOf(ctx context.Context, id Identity, hello protocol.Hello) (terms, error) {
	t := terms{
		slots: hello.Slots, offered: hello.Kinds, asked: hello.Groups, member: sorted(id.Groups), turn: h.turns.Add(1),
	}
	known := false
	if hello.Session != "" {
		before, err := h.o.Store.Sessions(ctx, hello.Session)
		if err != nil {
			return t, err
		}
		for _, s := range before {
			if s.Owner == id.User && s.SecretHash == hashSecret(hello.Resume) {
				t.asked, known = s.Asked, true
			}
		}
	}
	for _, group := range t.asked {
		if !known && !slices.Contains(t.member, group) {
			return t, &refusal{protocol.CloseGroup, "group not allowed: " + group}
		}
	}
	var err error
	t.settings, err = h.o.Store.SettingsOf(ctx, id.User, hello.Name)
	return t, err
}

// keepTerms reads the terms of all sessions again and again, and looks at the
// clock with every full minute, since quiet hours begin and end with one.
func (h *Hub) keepTerms() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(min(refreshEvery, nextMinute(time.Now())))
		select {
		case <-h.stopping.Done():
			return
		case <-timer.C:
		}
		ctx, cancel := context.WithTimeout(h.stopping, refreshEvery)
		if _, err := h.refresh(ctx, h.all()...); err != nil && h.stopping.Err() == nil {
			h.log.WarnContext(ctx, "settings and memberships not read, will try again", "error", err)
		}
		cancel()
	}
}

// Refresh puts in force at once what has changed of an owner's settings or
// memberships, and waits until the store says so too. Errors are the store's; the
// next look at all sessions is near.
func (h *Hub) Refresh(ctx context.Context, owner string) error {
	of := slices.DeleteFunc(h.all(), func(p *peer) bool { return p.ident.User != owner })
	saved, err := h.refresh(ctx, of...)
	for p, done := range saved {
		select {
		case <-done:
		case <-p.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// refresh reads the terms of connections and puts them in force; what cannot be
// read stays as it was, but the clock goes on. It returns the connections that
// changed, each with what is closed once the store has it.
func (h *Hub) refresh(ctx context.Context, ps ...*peer) (map[*peer]chan struct{}, error) {
	if len(ps) == 0 {
		return nil, nil
	}
	turn := h.turns.Add(1) // before reading: who reads later knows more
	settings, member, err := h.readTerms(ctx, ps)
	saved := make(map[*peer]chan struct{})
	for _, p := range ps {
		done := p.adapt(func(t *terms) {
			if err != nil || turn < t.turn {
				return
			}
			t.turn, t.settings = turn, settings[p.seat.worker]
			if member != nil {
				t.member = only(member[p.ident.User], p.ident.Limit)
			}
		})
		if done != nil {
			saved[p] = done
		}
	}
	return saved, err
}

func (h *Hub) readTerms(ctx context.Context, ps []*peer) (settings map[string]Settings, member map[string][]string, err error) {
	ids, users := make([]string, len(ps)), make([]string, len(ps))
	for i, p := range ps {
		ids[i], users[i] = p.seat.worker, p.ident.User
	}
	if settings, err = h.o.Store.Settings(ctx, sorted(ids)...); err != nil || h.o.Groups == nil {
		return settings, nil, err
	}
	member, err = h.o.Groups(ctx, sorted(users)...)
	for user, groups := range member {
		member[user] = sorted(groups)
	}
	return settings, member, err
}

// adapt changes the terms and puts in force what follows from them. What runs
// goes on, but the tasks of groups that are lost: they are taken back, and hold
// their slots until the worker answers. Where there is something to save it
// returns what is closed once that was done, or could not be.
func (p *peer) adapt(change func(*terms)) (saved chan struct{}) {
	p.order.Lock()
	p.mu.Lock()
	change(&p.terms)
	before := p.session
	now := p.terms.inForce(before, time.Now())
	sameGroups := slices.Equal(before.Groups, now.Groups)
	same := sameGroups && before.Slots == now.Slots && slices.Equal(before.Kinds, now.Kinds)
	if p.ended || same && !p.unsaved {
		p.mu.Unlock()
		p.order.Unlock()
		return nil
	}
	p.session = now
	lost := p.dropOthers(now.Groups)
	p.mu.Unlock()
	p.hub.sched.set(p.seat, now.Groups, now.Kinds, now.Slots)
	result, start := sent, false
	if !sameGroups {
		result, start = p.out.push(protocol.Encode(protocol.Groups{Groups: sorted(now.Groups)}))
	}
	p.order.Unlock()
	p.sent(result, start)
	for _, t := range lost {
		p.cancel(refOf(t), protocol.CancelReassigned)
		p.push(t.ID, 0, func(ctx context.Context) { p.takeBack(ctx, t) })
	}
	groups, kinds := sorted(slices.Concat(before.Groups, now.Groups)), sorted(slices.Concat(before.Kinds, now.Kinds))
	p.hub.changed(groups, kinds)
	saved = make(chan struct{})
	p.push("", 0, func(ctx context.Context) {
		p.save(ctx)
		close(saved)
		p.hub.changed(groups, kinds) // for those who list workers: they are read from the store
	})
	return saved
}

// dropOthers drops the attempts for groups other than these and returns their
// tasks. p.mu is held.
func (p *peer) dropOthers(groups []string) (lost []tasks.Task) {
	for _, a := range p.attempts {
		if !a.dropped && !slices.Contains(groups, a.task.Group) {
			a.dropped = true
			lost = append(lost, a.task)
		}
	}
	return lost
}

// takeBack gives a dropped attempt's task to others. Where the store is away the
// audit of failover does, since the hub does not know the attempt any more.
func (p *peer) takeBack(ctx context.Context, t tasks.Task) {
	if err := p.hub.o.Tasks.TakeBack(ctx, t, groupLost); err != nil {
		p.logger().WarnContext(ctx, "task of a lost group not taken back", "task_id", t.ID, "error", err)
	}
}

// takes reports whether the session may be given t now, for which it had a slot
// when that was reserved. p.mu is held.
func (p *peer) takes(t tasks.Task) bool {
	kinds := p.terms.settings.Kinds
	return len(p.attempts) < p.session.Slots && slices.Contains(p.session.Groups, t.Group) &&
		(kinds == nil || slices.Contains(kinds, t.Kind))
}
