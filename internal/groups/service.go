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
	store    Store
	users    Users
	throttle auth.Throttle // of codes that do not fit, by address
	now      func() time.Time

	listeners listeners
}

// NewService makes a Service; now tells the time.
func NewService(store Store, users Users, throttle auth.Throttle, now func() time.Time) *Service {
	return &Service{
		store: store, users: users, throttle: throttle,
		now: func() time.Time { return now().UTC().Truncate(time.Millisecond) },
	}
}

// Create makes a group owned by the caller: ErrTooManyGroups. A token limited to
// some groups makes none: auth.ErrScope.
func (s *Service) Create(ctx context.Context, c auth.Caller, name, description string, retention *time.Duration) (Mine, error) {
	if c.Groups != nil {
		return Mine{}, auth.ErrScope
	}
	if err := s.room(ctx, c.UserID); err != nil {
		return Mine{}, err
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

// room returns ErrTooManyGroups for a user who is in as many as allowed.
func (s *Service) room(ctx context.Context, user string) error {
	roles, err := s.store.RolesOf(ctx, user)
	if err == nil && len(roles) >= MaxGroups {
		err = ErrTooManyGroups
	}
	return err
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

func newID() string { return uuid.Must(uuid.NewV7()).String() }
