package notify

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

// flushEvery is between two writes of what happened meanwhile; the first goes at
// once. A crash loses as much: a line of somebody's list, or its count, and never
// what it tells of.
const flushEvery = 500 * time.Millisecond

const (
	addAtOnce  = 100 // notifications of one write
	membersOne = 200 // members in one read
)

// run is the one goroutine that writes and tells, so that each user's pages hear
// of the counts in their order. It ends with ctx; what it writes with writes.
func (s *Service) run(ctx, writes context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.flush(writes)
		select {
		case <-ctx.Done():
			return
		case <-time.After(flushEvery):
		}
	}
}

// flush writes what waits. What the store did not take waits again.
func (s *Service) flush(ctx context.Context) {
	w := s.take()
	if w.dropped > 0 {
		s.Log.ErrorContext(ctx, "notifications dropped: too many wait for the store", "count", w.dropped)
	}
	f := &flushing{s: s, ctx: ctx, settings: map[string]Settings{}, roles: map[string]map[string]auth.Role{}, names: map[string]string{}}
	for _, e := range w.events {
		f.expand(e)
	}
	for _, n := range w.alerts {
		f.expandAlert(n)
	}
	for _, n := range w.due {
		f.prepare(n)
	}
	for some := range slices.Chunk(f.ready, addAtOnce) {
		f.write(some)
	}
	f.tell(w.fewer)
	if f.failed != nil {
		s.Log.WarnContext(ctx, "notifications not written, will try again", "error", f.failed)
	}
}

// flushing is one flush, with what it has looked up.
type flushing struct {
	s        *Service
	ctx      context.Context
	settings map[string]Settings             // by user
	roles    map[string]map[string]auth.Role // by user and group
	names    map[string]string               // of groups; empty: deleted
	ready    []Notification
	written  []Notification
	failed   error
}

// expand makes ready what a group's event tells each receiver.
func (f *flushing) expand(e groups.Event) {
	to, err := f.receivers(e)
	if err != nil {
		f.again(err, func(w *waiting) { w.addEvent(e) })
		return
	}
	for _, user := range to {
		f.prepare(Notification{
			ID: newID(), To: user, Type: Type(e.Type), About: about(e, user), Count: 1, CreatedAt: e.At, UpdatedAt: e.At,
		})
	}
}

// expandAlert makes an alert ready for each who manages the group.
func (f *flushing) expandAlert(n Notification) {
	to, err := f.managers(n.Group.ID)
	if err != nil {
		f.again(err, func(w *waiting) { w.addAlert(n) })
		return
	}
	for _, user := range to {
		n.To = user
		f.prepare(n)
	}
}

// receivers are those whom an event concerns, without who did it.
func (f *flushing) receivers(e groups.Event) ([]string, error) {
	var to []string
	var err error
	switch e.Type {
	case groups.Invited, groups.RoleChanged:
		to = []string{e.User.ID}
	case groups.Deleted:
		to = e.Members
	case groups.Kicked:
		if to, err = f.managers(e.Group.ID); err == nil {
			to = append(to, e.User.ID)
		}
	case groups.Joined, groups.Left:
		to, err = f.managers(e.Group.ID)
		to = slices.DeleteFunc(to, func(id string) bool { return id == e.User.ID })
	}
	to = slices.Clone(to)
	return slices.DeleteFunc(to, func(id string) bool { return id == e.Actor.ID }), err
}

// managers are the owner and the admins of a group.
func (f *flushing) managers(group string) ([]string, error) {
	var found []string
	for after := ""; ; {
		page, err := f.s.Groups.Members(f.ctx, group, after, membersOne)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if managing(m.Role) {
				found = append(found, m.User)
			}
			after = m.ID
		}
		if len(page) < membersOne {
			return found, nil
		}
	}
}

// prepare makes a notification ready to be written, unless its user does not
// want it, or may not see the task or device any more: they left its group, or it is gone.
func (f *flushing) prepare(n Notification) {
	wanted, err := f.wanted(n)
	if err == nil && wanted && (n.Task != nil || n.Device != nil) {
		n.Group, err = f.group(n.To, n.Group.ID)
		wanted = n.Group != nil
	}
	switch {
	case err != nil:
		f.again(err, func(w *waiting) { w.add(n) })
	case wanted:
		if n.ID == "" {
			n.ID = newID()
		}
		f.ready = append(f.ready, n)
	}
}

func (f *flushing) wanted(n Notification) (bool, error) {
	set, ok := f.settings[n.To]
	if !ok {
		var err error
		if set, err = f.s.Store.Settings(f.ctx, n.To); err != nil {
			return false, err
		}
		f.settings[n.To] = set
	}
	return !set.off(n), nil
}

// group returns a group with its name for a user who is in it, else nil: they
// are not to learn of it any more, or it was deleted.
func (f *flushing) group(user, id string) (*GroupRef, error) {
	roles, ok := f.roles[user]
	if !ok {
		var err error
		if roles, err = f.s.Groups.RolesOf(f.ctx, user); err != nil {
			return &GroupRef{ID: id}, err
		}
		f.roles[user] = roles
	}
	name, ok := f.names[id]
	if !ok {
		g, err := f.s.Groups.GroupByID(f.ctx, id)
		if err != nil && !errors.Is(err, groups.ErrNoGroup) {
			return &GroupRef{ID: id}, err
		}
		name = g.Name
		f.names[id] = name
	}
	if name == "" || roles[id] == "" {
		return nil, nil
	}
	return &GroupRef{id, name}, nil
}

func (f *flushing) write(some []Notification) {
	kept, err := f.s.Store.Add(f.ctx, some...)
	if err != nil {
		f.again(err, func(w *waiting) {
			for _, n := range some {
				w.add(n)
			}
		})
		return
	}
	f.written = append(f.written, kept...)
}

// again puts back what could not be written.
func (f *flushing) again(err error, put func(*waiting)) {
	f.failed = err
	f.s.mu.Lock()
	put(&f.s.waiting)
	f.s.mu.Unlock()
	f.s.signal()
}

// tell sends what was written, and the counts of those who have fewer, to the
// users' pages. Those who have too many lose the oldest.
func (f *flushing) tell(fewer map[string]bool) {
	users := make(map[string]int)
	for user := range fewer {
		users[user] = 0
	}
	for _, n := range f.written {
		users[n.To] = 0
	}
	for user := range users {
		unread, err := f.count(user)
		if err != nil {
			f.s.Log.WarnContext(f.ctx, "a user's pages were not told of notifications", "error", err)
			delete(users, user)
			continue
		}
		users[user] = unread
	}
	for _, n := range f.written {
		if unread, ok := users[n.To]; ok {
			view := n.View()
			f.s.Live.Notify(n.To, Change{NotificationView: &view, Unread: unread})
		}
		delete(fewer, n.To)
	}
	for user := range fewer {
		if unread, ok := users[user]; ok {
			f.s.Live.Notify(user, Change{Unread: unread})
		}
	}
}

// count returns how many a user has not read, of those that stay.
func (f *flushing) count(user string) (int, error) {
	unread, all, err := f.s.Store.Count(f.ctx, user)
	if err != nil || all <= MaxOfUser {
		return unread, err
	}
	if err := f.s.Store.Trim(f.ctx, user, MaxOfUser); err != nil {
		return unread, err
	}
	unread, _, err = f.s.Store.Count(f.ctx, user)
	return unread, err
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
