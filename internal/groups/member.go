package groups

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// Membership is a user in a group. Its id grows with the time of joining.
type Membership struct {
	ID       string
	Group    string
	User     string
	Username string // read only
	Role     auth.Role
	JoinedAt time.Time
}

// MaxMembers is how many people a group may have.
const MaxMembers = 1000

// Faults about members.
var (
	ErrNoMember      = fault.New(fault.NotFound, "member_not_found", "There is no such member.")
	ErrAlreadyMember = fault.New(fault.Conflict, "already_member", "The user is a member already.")
	ErrGroupFull     = fault.New(fault.Conflict, "group_full", "A group may have no more than %d members.", MaxMembers)
	ErrIsOwner       = fault.New(fault.Conflict, "is_owner", "The owner's role changes only when another member is made owner.")
	ErrUseLeave      = fault.New(fault.Conflict, "use_leave", "To go yourself, leave the group.")

	errOvertaken = fault.New(fault.Unavailable, "group_busy", "The group's members change faster than this could be done.")
)

// Roster is everybody in a group as of one version of it. The version changes
// with each change of members and roles.
type Roster struct {
	Group   Group
	Version int64
	Members []Membership // in the order they joined
}

// find returns nil for nobody.
func (r *Roster) find(user string) *Membership {
	i := slices.IndexFunc(r.Members, func(m Membership) bool { return m.User == user })
	if i < 0 {
		return nil
	}
	return &r.Members[i]
}

// heir is who becomes owner when the owner goes: the longest-standing of the
// highest role there is, so that a group is never without an owner. nil: nobody
// is left.
func (r *Roster) heir() *Membership {
	for _, role := range []auth.Role{auth.Admin, auth.Member, auth.Viewer} {
		for i := range r.Members {
			if r.Members[i].Role == role {
				return &r.Members[i]
			}
		}
	}
	return nil
}

// Change is what becomes of a group's people in one step, decided on the roster
// of a version.
type Change struct {
	Group   string
	Version int64
	Remove  string               // a user; empty: nobody
	Roles   map[string]auth.Role // new ones, by user
	Delete  bool                 // the whole group
	At      time.Time            // of Delete
}

// MemberStore keeps who is in a group.
type MemberStore interface {
	// Roster returns ErrNoGroup.
	Roster(ctx context.Context, group string) (Roster, error)
	// ChangeMembers makes the change if the group still has the version, and
	// reports whether it did; false also for a group that is gone. Links made by
	// somebody who may no longer manage members end with it. Delete takes
	// members, invitations and links along and leaves a Tombstone.
	ChangeMembers(ctx context.Context, c Change) (bool, error)
	// AddMember ends an invitation of the user to the group: ErrNoGroup,
	// ErrAlreadyMember, ErrGroupFull.
	AddMember(ctx context.Context, m Membership) error
	// Members lists a group's by membership id, those after the id after.
	Members(ctx context.Context, group, after string, limit int) ([]Membership, error)
	// SetStar returns ErrNoGroup for one the user is not in.
	SetStar(ctx context.Context, group, user string, starred bool) error
}

// Members lists a group's members in the order they joined, those after the
// membership id after.
func (s *Service) Members(ctx context.Context, c auth.Caller, group, after string, limit int) ([]Membership, error) {
	if _, err := s.Authorize(ctx, c, group, auth.View); err != nil {
		return nil, err
	}
	return s.store.Members(ctx, group, after, limit)
}

// Star marks a group for the caller alone, or takes the mark away.
func (s *Service) Star(ctx context.Context, c auth.Caller, group string, starred bool) error {
	if !c.Reaches(group) {
		return ErrNoGroup
	}
	return s.store.SetStar(ctx, group, c.UserID, starred)
}

// SetRole changes a member's role; Owner hands the group over, and the old owner
// becomes an admin: ErrRole, ErrNoMember, ErrIsOwner.
func (s *Service) SetRole(ctx context.Context, c auth.Caller, group, user string, role auth.Role) (Membership, error) {
	var after Membership
	err := s.change(ctx, c, group, func(r *Roster, me *Membership) (Change, []Event, error) {
		m, err := r.target(me, user)
		if err != nil {
			return Change{}, nil, err
		}
		if m.Role == auth.Owner {
			return Change{}, nil, ErrIsOwner
		}
		if me.Role != auth.Owner && role != auth.Member && role != auth.Viewer {
			return Change{}, nil, ErrRole
		}
		after = *m
		if m.Role == role {
			return Change{}, nil, nil
		}
		after.Role = role
		ch, events := Change{Roles: map[string]auth.Role{user: role}}, []Event{told(RoleChanged, m, role)}
		if role == auth.Owner {
			ch.Roles[me.User] = auth.Admin
			events = append(events, told(RoleChanged, me, auth.Admin))
		}
		return ch, events, nil
	})
	return after, err
}

// Kick removes a member whom the caller outranks: ErrRole, ErrNoMember, and
// ErrUseLeave for oneself.
func (s *Service) Kick(ctx context.Context, c auth.Caller, group, user string) error {
	return s.change(ctx, c, group, func(r *Roster, me *Membership) (Change, []Event, error) {
		if user == me.User {
			return Change{}, nil, ErrUseLeave
		}
		m, err := r.target(me, user)
		if err != nil {
			return Change{}, nil, err
		}
		return Change{Remove: user}, []Event{told(Kicked, m, m.Role)}, nil
	})
}

// target is the member whom me wants to change: one below, but for the owner,
// who may change everybody.
func (r *Roster) target(me *Membership, user string) (*Membership, error) {
	if !me.Role.May(auth.ManageMembers) {
		return nil, ErrRole
	}
	m := r.find(user)
	if m == nil {
		return nil, ErrNoMember
	}
	if me.Role != auth.Owner && m.Role.May(auth.ManageMembers) {
		return nil, ErrRole
	}
	return m, nil
}

// Leave takes the caller out of the group. An owner hands it over to the heir;
// with the last one goes the group.
func (s *Service) Leave(ctx context.Context, c auth.Caller, group string) error {
	return s.change(ctx, c, group, func(r *Roster, me *Membership) (Change, []Event, error) {
		if len(r.Members) == 1 {
			return Change{Delete: true}, []Event{deleted(r)}, nil
		}
		ch, events := Change{Remove: me.User}, []Event{told(Left, me, me.Role)}
		if me.Role == auth.Owner {
			heir := r.heir()
			ch.Roles = map[string]auth.Role{heir.User: auth.Owner}
			events = append(events, told(RoleChanged, heir, auth.Owner))
		}
		return ch, events, nil
	})
}

// LeaveAll takes a user who goes out of every group, and declines what they are
// invited to.
func (s *Service) LeaveAll(ctx context.Context, user Ref) error {
	c := auth.Caller{UserID: user.ID, Username: user.Name}
	roles, err := s.store.RolesOf(ctx, user.ID)
	if err != nil {
		return err
	}
	for group := range roles {
		if err := s.Leave(ctx, c, group); err != nil && !errors.Is(err, ErrNoGroup) {
			return err
		}
	}
	_, err = s.AnswerAll(ctx, c, false)
	return err
}

// Delete ends the group: ErrRole for all but the owner. Its tasks are cancelled
// by whoever listens, and by the sweep of its Tombstone.
func (s *Service) Delete(ctx context.Context, c auth.Caller, group string) error {
	return s.change(ctx, c, group, func(r *Roster, me *Membership) (Change, []Event, error) {
		if !me.Role.May(auth.DeleteGroup) {
			return Change{}, nil, ErrRole
		}
		return Change{Delete: true}, []Event{deleted(r)}, nil
	})
}

func told(t EventType, m *Membership, role auth.Role) Event {
	return Event{Type: t, User: Ref{m.User, m.Username}, Role: role}
}

func deleted(r *Roster) Event {
	e := Event{Type: Deleted}
	for _, m := range r.Members {
		e.Members = append(e.Members, m.User)
	}
	return e
}

// maxOvertaken is how often a decision is made anew because the members have
// changed meanwhile, before the caller is asked to try again.
const maxOvertaken = 100

// change decides on the roster as the caller finds it, makes the change as one
// step, and tells of it; where somebody was faster it decides again. The rules of
// who may do what stand in decide, so they hold at the moment of the step. A
// decision without events changes nothing.
func (s *Service) change(ctx context.Context, c auth.Caller, group string, decide func(r *Roster, me *Membership) (Change, []Event, error)) error {
	if !c.Reaches(group) {
		return ErrNoGroup
	}
	for range maxOvertaken {
		r, err := s.store.Roster(ctx, group)
		if err != nil {
			return err
		}
		me := r.find(c.UserID)
		if me == nil {
			return ErrNoGroup
		}
		ch, events, err := decide(&r, me)
		if err != nil || len(events) == 0 {
			return err
		}
		ch.Group, ch.Version, ch.At = group, r.Version, s.now()
		ok, err := s.store.ChangeMembers(ctx, ch)
		if err != nil {
			return err
		}
		if ok {
			for i := range events {
				e := &events[i]
				e.Group, e.Actor, e.At = Ref{group, r.Group.Name}, Ref{me.User, me.Username}, ch.At
			}
			s.listeners.tell(events...)
			return nil
		}
	}
	return errOvertaken
}

// Tombstone stands for a deleted group until nothing can come after it any more.
type Tombstone struct {
	Group     string
	DeletedAt time.Time
	SweepAt   time.Time // when its remains are to be looked for next
}

// TombstoneStore keeps what is left of deleted groups.
type TombstoneStore interface {
	// DueTombstones returns those to sweep by now, longest due first.
	DueTombstones(ctx context.Context, now time.Time, limit int) ([]Tombstone, error)
	// SweepTombstone sets when the group's is due again; zero: it is forgotten.
	SweepTombstone(ctx context.Context, group string, next time.Time) error
}
