package groups

import (
	"context"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// Invitation waits for the answer of the invited; answered, it is deleted.
type Invitation struct {
	ID            string
	Group         string
	GroupName     string // read only
	User          string // the invited
	Username      string // read only
	InvitedBy     string
	InvitedByName string // read only
	CreatedAt     time.Time
}

// MaxInvitations is how many of a group may wait for an answer.
const MaxInvitations = 200

// Faults about invitations.
var (
	ErrNoInvitation       = fault.New(fault.NotFound, "invitation_not_found", "There is no such invitation.")
	ErrAlreadyInvited     = fault.New(fault.Conflict, "already_invited", "The user is invited already.")
	ErrTooManyInvitations = fault.New(fault.Conflict, "too_many_invitations",
		"No more than %d invitations of a group may wait for an answer.", MaxInvitations)
)

// InvitationStore keeps invitations.
type InvitationStore interface {
	// InsertInvitation returns ErrNoGroup, ErrAlreadyInvited, ErrAlreadyMember or
	// ErrTooManyInvitations.
	InsertInvitation(ctx context.Context, i Invitation) error
	// InvitationByID returns ErrNoInvitation.
	InvitationByID(ctx context.Context, id string) (Invitation, error)
	// InvitationsTo lists those to a user by id, those after the id after.
	InvitationsTo(ctx context.Context, user, after string, limit int) ([]Invitation, error)
	// InvitationsOf lists those of a group by id, those after the id after.
	InvitationsOf(ctx context.Context, group, after string, limit int) ([]Invitation, error)
	// AnswerInvitation deletes the invitation to the user, and with join adds
	// them to its group, as one step: ErrNoInvitation, and with ErrGroupFull it
	// stays.
	AnswerInvitation(ctx context.Context, id, user string, join *Membership) error
	// WithdrawInvitation returns ErrNoInvitation where the group has none such.
	WithdrawInvitation(ctx context.Context, group, id string) error
}

// Invite invites a user by name: auth.ErrNoUser, ErrAlreadyMember,
// ErrAlreadyInvited, ErrTooManyInvitations.
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

// Pending lists a group's that wait for an answer, oldest first, after the id
// after, for those who may withdraw them.
func (s *Service) Pending(ctx context.Context, c auth.Caller, group, after string, limit int) ([]Invitation, error) {
	if _, err := s.Authorize(ctx, c, group, auth.ManageMembers); err != nil {
		return nil, err
	}
	return s.store.InvitationsOf(ctx, group, after, limit)
}

// Withdraw takes an invitation back: ErrNoInvitation.
func (s *Service) Withdraw(ctx context.Context, c auth.Caller, group, invitation string) error {
	if _, err := s.Authorize(ctx, c, group, auth.ManageMembers); err != nil {
		return err
	}
	return s.store.WithdrawInvitation(ctx, group, invitation)
}

// Answer makes the caller a member of the group they were invited to, or turns
// the invitation down, and returns it: ErrNoInvitation, ErrGroupFull,
// ErrTooManyGroups.
func (s *Service) Answer(ctx context.Context, c auth.Caller, invitation string, accept bool) (Invitation, error) {
	if c.Groups != nil {
		return Invitation{}, ErrNoInvitation
	}
	i, err := s.store.InvitationByID(ctx, invitation)
	if err == nil && i.User != c.UserID { // nothing else may tell that it exists
		err = ErrNoInvitation
	}
	if err != nil {
		return Invitation{}, err
	}
	return i, s.answer(ctx, c, i, accept)
}

func (s *Service) answer(ctx context.Context, c auth.Caller, i Invitation, accept bool) error {
	if !accept {
		return s.store.AnswerInvitation(ctx, i.ID, c.UserID, nil)
	}
	if err := s.room(ctx, c.UserID); err != nil {
		return err
	}
	m := Membership{ID: newID(), Group: i.Group, User: c.UserID, Role: auth.Member, JoinedAt: s.now()}
	if err := s.store.AnswerInvitation(ctx, i.ID, c.UserID, &m); err != nil {
		return err
	}
	s.joined(Ref{i.Group, i.GroupName}, Ref{c.UserID, c.Username}, m)
	return nil
}

func (s *Service) joined(group, user Ref, m Membership) {
	s.listeners.tell(Event{Type: Joined, Group: group, Actor: user, User: user, Role: m.Role, At: m.JoinedAt})
}

// AnswerAll answers every invitation to the caller and returns of which groups.
// Those to groups that are full stay; ErrTooManyGroups where no more can be accepted.
func (s *Service) AnswerAll(ctx context.Context, c auth.Caller, accept bool) ([]string, error) {
	const portion = 100
	var answered []string
	after := ""
	for {
		page, err := s.Invitations(ctx, c, after, portion)
		if err != nil {
			return answered, err
		}
		for _, i := range page {
			err := s.answer(ctx, c, i, accept)
			switch {
			case err == nil:
				answered = append(answered, i.Group)
			case errors.Is(err, ErrGroupFull), errors.Is(err, ErrNoInvitation): // taken back meanwhile
			default:
				return answered, err
			}
			after = i.ID
		}
		if len(page) < portion {
			return answered, nil
		}
	}
}
