package notify

import (
	"maps"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/tasks"
)

// Bounds of what waits while the store is slow or away. Beyond them it is
// dropped, and the log says how much.
const (
	maxDue    = 10_000 // notifications, each with a count
	maxEvents = 10_000 // of groups
)

// waiting is what happened and is not written yet.
type waiting struct {
	due     map[string]Notification // by slot
	events  []groups.Event          // whose receivers are not known yet
	alerts  []Notification          // for the owner and admins of their group
	fewer   map[string]bool         // users who read or deleted: their pages are to know
	dropped int
}

func newWaiting() waiting {
	return waiting{due: make(map[string]Notification), fewer: make(map[string]bool)}
}

// add counts n where its slot is taken already.
func (w *waiting) add(n Notification) {
	slot := n.Slot()
	if first, ok := w.due[slot]; ok {
		n = first.plus(n)
	} else if len(w.due) >= maxDue {
		w.dropped += n.Count
		return
	}
	w.due[slot] = n
}

func (w *waiting) addEvent(e groups.Event) {
	if len(w.events) >= maxEvents {
		w.dropped++
		return
	}
	w.events = append(w.events, e)
}

func (w *waiting) addAlert(n Notification) {
	if len(w.alerts) >= maxEvents {
		w.dropped++
		return
	}
	w.alerts = append(w.alerts, n)
}

func (w *waiting) forget(user string) {
	maps.DeleteFunc(w.due, func(_ string, n Notification) bool { return n.To == user })
	delete(w.fewer, user)
}

// TaskChanged notes a task that ended, for who submitted it. Parts, and tasks
// that were cancelled, are no news. It costs an entry of a map: tasks end by the
// thousands a second.
func (s *Service) TaskChanged(t tasks.Task) {
	var kind Type
	switch {
	case t.Parent != "":
		return
	case t.Status == tasks.Succeeded:
		kind = TaskFinished
	case t.Status == tasks.Failed:
		kind = TaskFailed
	default:
		return
	}
	s.note(Notification{
		To: t.CreatedBy, Type: kind, Count: 1, CreatedAt: t.FinishedAt, UpdatedAt: t.FinishedAt,
		About: About{Group: &GroupRef{ID: t.Group}, Task: &TaskRef{t.ID, t.Kind, t.Title}}, // the name is looked up once, later
	})
}

// WorkerLost notes the loss of a worker, for its owner.
func (s *Service) WorkerLost(owner, id, name string) {
	at := now()
	s.note(Notification{
		To: owner, Type: WorkerLost, Count: 1, CreatedAt: at, UpdatedAt: at, About: About{Worker: &tasks.WorkerRef{ID: id, Name: name}},
	})
}

// DeviceAlert notes an alert of a device, or its recovery, for the owner and the
// admins of its group. It takes Device… types.
func (s *Service) DeviceAlert(t Type, group, device, name string, at time.Time) {
	s.mu.Lock()
	s.waiting.addAlert(Notification{
		Type: t, Count: 1, CreatedAt: at, UpdatedAt: at, About: About{Group: &GroupRef{ID: group}, Device: &DeviceRef{device, name}},
	})
	s.mu.Unlock()
	s.signal()
}

// GroupChanged notes a change of a group's people, for those it concerns.
func (s *Service) GroupChanged(e groups.Event) {
	s.mu.Lock()
	s.waiting.addEvent(e)
	s.mu.Unlock()
	s.signal()
}

// fewer notes that a user has read or deleted some.
func (s *Service) fewer(user string) {
	s.mu.Lock()
	s.waiting.fewer[user] = true
	s.mu.Unlock()
	s.signal()
}

func (s *Service) note(n Notification) {
	s.mu.Lock()
	s.waiting.add(n)
	s.mu.Unlock()
	s.signal()
}

func (s *Service) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // a token is there already
	}
}

// take empties what waits.
func (s *Service) take() waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting
	s.waiting = newWaiting() // also for an empty one: its maps are read without the lock
	return w
}

// about is what a group's event tells one receiver.
func about(e groups.Event, receiver string) About {
	a := About{Group: &GroupRef{e.Group.ID, e.Group.Name}, Actor: person(e.Actor)}
	if e.User.ID != receiver && e.User.ID != e.Actor.ID {
		a.User = person(e.User)
	}
	switch e.Type {
	case groups.Invited, groups.Joined, groups.RoleChanged:
		a.Role = e.Role
	}
	return a
}

// managing reports whether a role hears of who comes and goes.
func managing(r auth.Role) bool { return r.May(auth.ManageMembers) }
