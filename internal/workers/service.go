package workers

import (
	"context"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// Service is what people do with their own workers. It is safe for concurrent use.
type Service struct {
	roster  Roster
	members auth.Memberships
	refresh func(ctx context.Context, owner string)
}

// NewService makes a Service. refresh puts changed settings in force on every
// server, on this one before it returns.
func NewService(r Roster, m auth.Memberships, refresh func(ctx context.Context, owner string)) *Service {
	return &Service{roster: r, members: m, refresh: refresh}
}

// List lists the caller's workers by id, those after the id after. For a token
// that is for some groups only there are none here and below: a worker is for
// all of them.
func (s *Service) List(ctx context.Context, c auth.Caller, after string, limit int) ([]Worker, error) {
	if c.Groups != nil {
		return nil, nil
	}
	return s.roster.Workers(ctx, c.UserID, after, limit)
}

// Get returns one of the caller's workers: ErrNoWorker.
func (s *Service) Get(ctx context.Context, c auth.Caller, id string) (Worker, error) {
	if c.Groups != nil {
		return Worker{}, ErrNoWorker
	}
	return s.roster.Worker(ctx, c.UserID, id)
}

// errOvertaken is for a change that others kept overtaking.
var errOvertaken = fault.New(fault.Conflict, "settings_changed", "The settings were changed at the same time; try again.")

// maxOvertaken is how often a change is tried.
const maxOvertaken = 5

// Change changes the settings of one of the caller's workers and puts them in
// force: ErrNoWorker, or a fault that names every wrong field.
func (s *Service) Change(ctx context.Context, c auth.Caller, id string, change Change) (Worker, error) {
	w, err := s.Get(ctx, c, id)
	if err != nil {
		return Worker{}, err
	}
	roles, err := s.members.RolesOf(ctx, c.UserID)
	if err != nil {
		return Worker{}, err
	}
	if err := change.Validate(func(g string) bool { return roles[g] != "" }); err != nil {
		return Worker{}, err
	}
	for range maxOvertaken {
		settings := change.applied(w.Settings)
		ok, err := s.roster.SaveSettings(ctx, w.ID, w.Revision, settings)
		if err != nil {
			return Worker{}, err
		}
		if ok {
			s.refresh(ctx, c.UserID)
			w.Settings = settings
			w.Revision++
			return w, nil
		}
		if w, err = s.Get(ctx, c, id); err != nil {
			return Worker{}, err
		}
	}
	return Worker{}, errOvertaken
}

// Forget deletes a worker that is away, with its settings and history:
// ErrNoWorker, ErrWorkerConnected.
func (s *Service) Forget(ctx context.Context, c auth.Caller, id string) error {
	if c.Groups != nil {
		return ErrNoWorker
	}
	return s.roster.RemoveWorker(ctx, c.UserID, id)
}

// Away is the state of a worker without a session.
const Away State = "away"

// Now is what a worker is at the moment, of all its sessions.
type Now struct {
	State    State
	Sessions []Session // connected or in grace
	Slots    int       // in force
	Groups   []string  // it works for, sorted
	Kinds    []string  // offered, sorted
	Idle     string    // why it gets nothing new, or ""
}

// NowOf sums up the sessions of w among some that are not lost.
func NowOf(w Worker, sessions []Session, at time.Time) Now {
	n := Now{State: Away}
	draining := true
	for _, s := range sessions {
		if s.Worker != w.ID {
			continue
		}
		if n.State != Connected {
			n.State = s.State
		}
		n.Sessions = append(n.Sessions, s)
		n.Slots += s.Slots
		n.Groups, n.Kinds = append(n.Groups, s.Groups...), append(n.Kinds, s.Offered...)
		draining = draining && s.Draining
	}
	n.Groups, n.Kinds = sorted(n.Groups), sorted(n.Kinds)
	if n.State == Away {
		n.Kinds = slices.Clone(w.Kinds)
	}
	switch n.Idle = w.Settings.Idle(at); {
	case n.State == Away:
		n.Idle = ""
	case n.Idle == "" && draining:
		n.Idle = IdleDraining
	}
	return n
}
