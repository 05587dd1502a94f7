package groups

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/auth"
)

// Users finds users; auth's store is one.
type Users interface {
	// UserByLogin returns auth.ErrNoUser.
	UserByLogin(ctx context.Context, login string) (auth.User, error)
}

// Service is what people do with groups. It is safe for concurrent use.
type Service struct {
	store Store
	users Users
	now   func() time.Time

	listeners listeners
}

// NewService makes a Service; now tells the time.
func NewService(store Store, users Users, now func() time.Time) *Service {
	return &Service{store: store, users: users, now: func() time.Time { return now().UTC().Truncate(time.Millisecond) }}
}

// Create makes a group owned by the caller. A token limited to some groups
// makes none: auth.ErrScope.
func (s *Service) Create(ctx context.Context, c auth.Caller, name, description string, retention *time.Duration) (Mine, error) {
	if c.Groups != nil {
		return Mine{}, auth.ErrScope
	}
	set := Settings{Name: &name, Description: &description, ResultRetention: retention}
	if err := set.Validate(); err != nil {
		return Mine{}, err
	}
	g := Group{ID: newID(), Name: name, Description: description, ResultRetention: retention, CreatedAt: s.now()}
	owner := Membership{ID: newID(), Group: g.ID, User: c.UserID, Role: auth.Owner, JoinedAt: g.CreatedAt}
	if err := s.store.InsertGroup(ctx, g, owner); err != nil {
		return Mine{}, err
	}
	return Mine{Group: g, Role: auth.Owner, Members: 1}, nil
}

// Authorize returns the group if the caller may do p in it. For one who is no
// member, or whose token does not reach the group, there is no such group
// (ErrNoGroup); a member whose role is too low gets ErrRole.
func (s *Service) Authorize(ctx context.Context, c auth.Caller, group string, p auth.Permission) (Mine, error) {
	if !c.Reaches(group) {
		return Mine{}, ErrNoGroup
	}
	m, err := s.store.GroupOf(ctx, group, c.UserID)
	if err != nil {
		return Mine{}, err
	}
	if !m.Role.May(p) {
		return Mine{}, ErrRole
	}
	return m, nil
}

// Get returns a group to the server itself: ErrNoGroup.
func (s *Service) Get(ctx context.Context, id string) (Group, error) {
	return s.store.GroupByID(ctx, id)
}

// List lists the caller's groups, oldest first, those after the id after.
func (s *Service) List(ctx context.Context, c auth.Caller, after string, limit int) ([]Mine, error) {
	if c.Groups == nil {
		return s.store.GroupsOf(ctx, c.UserID, after, limit)
	}
	return s.listLimited(ctx, c, after, limit)
}

// listLimited lists for a token that reaches some of the user's groups only.
func (s *Service) listLimited(ctx context.Context, c auth.Caller, after string, limit int) ([]Mine, error) {
	var found []Mine
	for {
		page, err := s.store.GroupsOf(ctx, c.UserID, after, limit)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if c.Reaches(m.ID) && len(found) < limit {
				found = append(found, m)
			}
		}
		if len(page) < limit || len(found) == limit {
			return found, nil
		}
		after = page[len(page)-1].ID
	}
}

// Update changes the settings of a group.
func (s *Service) Update(ctx context.Context, c auth.Caller, group string, set Settings) (Mine, error) {
	if _, err := s.Authorize(ctx, c, group, auth.ManageSettings); err != nil {
		return Mine{}, err
	}
	if err := set.Validate(); err != nil {
		return Mine{}, err
	}
	if err := s.store.UpdateGroup(ctx, group, set); err != nil {
		return Mine{}, err
	}
	return s.store.GroupOf(ctx, group, c.UserID)
}

// Members lists a group's members in the order they joined, those after the
// membership id after.
func (s *Service) Members(ctx context.Context, c auth.Caller, group, after string, limit int) ([]Membership, error) {
	if _, err := s.Authorize(ctx, c, group, auth.View); err != nil {
		return nil, err
	}
	return s.store.Members(ctx, group, after, limit)
}

// Invite invites a user by name: auth.ErrNoUser, ErrAlreadyMember, ErrAlreadyInvited.
func (s *Service) Invite(ctx context.Context, c auth.Caller, group, username string) (Invitation, error) {
	m, err := s.Authorize(ctx, c, group, auth.ManageMembers)
	if err != nil {
		return Invitation{}, err
	}
	u, err := s.users.UserByLogin(ctx, username)
	if err != nil {
		return Invitation{}, err
	}
	if u.Username != username { // found by email: addresses are not for others to try
		return Invitation{}, auth.ErrNoUser
	}
	i := Invitation{
		ID: newID(), Group: group, GroupName: m.Name, User: u.ID, Username: u.Username,
		InvitedBy: c.UserID, InvitedByName: c.Username, CreatedAt: s.now(),
	}
	if err := s.store.InsertInvitation(ctx, i); err != nil {
		return Invitation{}, err
	}
	s.listeners.tell(Event{
		Type: Invited, Group: Ref{m.ID, m.Name}, Actor: Ref{c.UserID, c.Username}, User: Ref{u.ID, u.Username},
		Role: auth.Member, At: i.CreatedAt,
	})
	return i, nil
}

// Invitations lists those to the caller, oldest first, after the id after. A
// token limited to some groups sees none: they are to groups beyond it.
func (s *Service) Invitations(ctx context.Context, c auth.Caller, after string, limit int) ([]Invitation, error) {
	if c.Groups != nil {
		return nil, nil
	}
	return s.store.InvitationsTo(ctx, c.UserID, after, limit)
}

// Answer makes the caller a member of the group they were invited to, or turns
// the invitation down: ErrNoInvitation.
func (s *Service) Answer(ctx context.Context, c auth.Caller, invitation string, accept bool) error {
	if c.Groups != nil {
		return ErrNoInvitation
	}
	var join *Membership
	if accept {
		join = &Membership{ID: newID(), User: c.UserID, Role: auth.Member, JoinedAt: s.now()}
	}
	return s.store.AnswerInvitation(ctx, invitation, c.UserID, join)
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
