package groups

import (
	"slices"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
)

// EventType is what happened to a group's people.
type EventType string

const (
	Invited     EventType = "invited"       // User was invited by Actor
	Joined      EventType = "joined"        // User came in, as Role
	Left        EventType = "left"          // User went
	Kicked      EventType = "kicked"        // User was removed by Actor
	RoleChanged EventType = "role_changed"  // User is Role now
	Deleted     EventType = "group_deleted" // by Actor; Members says who was in it
)

// Ref names a user or group as people see it.
type Ref struct{ ID, Name string }

// Event is one change of a group's people, durable when it is told. A step that
// changes two people is told as two events.
type Event struct {
	Type    EventType
	Group   Ref
	Actor   Ref       // who did it
	User    Ref       // whom it happened to; zero for Deleted
	Role    auth.Role // the user's from now on; of Left and Kicked the one they had
	Members []string  // user ids, of a deleted group: who was in it
	At      time.Time
}

// Events is told of every change, on the server that made it. It must not block.
type Events interface{ GroupChanged(e Event) }

// listeners are those who are told.
type listeners struct {
	mu  sync.Mutex
	all []Events // guarded by mu
}

func (l *listeners) tell(events ...Event) {
	l.mu.Lock()
	all := slices.Clone(l.all)
	l.mu.Unlock()
	for _, e := range events {
		for _, to := range all {
			to.GroupChanged(e)
		}
	}
}

// Listen has e told of every change from now on.
func (s *Service) Listen(e Events) {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	s.listeners.all = append(s.listeners.all, e)
}
