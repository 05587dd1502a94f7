// Package groups is who works together: groups, members and their roles,
// invitations. What a role may do stands in package auth.
package groups

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// Group is people whose workers share the tasks they submit.
type Group struct {
	ID          string
	Name        string
	Description string
	// ResultRetention shortens or lengthens how long payloads stay after a task
	// ended; nil: the default by status.
	ResultRetention *time.Duration
	CreatedAt       time.Time
}

// Membership is a user in a group. Its id grows with the time of joining.
type Membership struct {
	ID       string
	Group    string
	User     string
	Username string // read only
	Role     auth.Role
	JoinedAt time.Time
}

// Mine is a group as one of its members sees it.
type Mine struct {
	Group
	Role    auth.Role
	Members int
}

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

// Faults about groups.
var (
	ErrNoGroup        = fault.New(fault.NotFound, "group_not_found", "There is no such group.")
	ErrNoInvitation   = fault.New(fault.NotFound, "invitation_not_found", "There is no such invitation.")
	ErrAlreadyMember  = fault.New(fault.Conflict, "already_member", "The user is a member already.")
	ErrAlreadyInvited = fault.New(fault.Conflict, "already_invited", "The user is invited already.")
	ErrRole           = fault.New(fault.Forbidden, "role_too_low", "Your role in the group does not allow this.")
)

// Limits of a group (docs/http-api.md).
const (
	minName        = 3
	maxName        = 50
	maxDescription = 300
	// MaxRetention is the longest result retention a group may ask for.
	MaxRetention = 30 * 24 * time.Hour
)

// Store keeps groups. A nil error of a write means that it is durable.
type Store interface {
	// InsertGroup adds the group with its first member, as one step.
	InsertGroup(ctx context.Context, g Group, owner Membership) error
	// GroupByID returns ErrNoGroup.
	GroupByID(ctx context.Context, id string) (Group, error)
	// GroupOf returns ErrNoGroup for one the user is not in.
	GroupOf(ctx context.Context, id, user string) (Mine, error)
	// GroupsOf lists the user's groups by id, those after the id after.
	GroupsOf(ctx context.Context, user, after string, limit int) ([]Mine, error)
	// UpdateGroup writes the settings that are set: ErrNoGroup.
	UpdateGroup(ctx context.Context, id string, s Settings) error
	// RolesOf is auth.Memberships.
	RolesOf(ctx context.Context, user string) (map[string]auth.Role, error)
	// Members lists a group's by membership id, those after the id after.
	Members(ctx context.Context, group, after string, limit int) ([]Membership, error)
	// InsertInvitation returns ErrAlreadyInvited or ErrAlreadyMember.
	InsertInvitation(ctx context.Context, i Invitation) error
	// InvitationsTo lists those to a user by id, those after the id after.
	InvitationsTo(ctx context.Context, user, after string, limit int) ([]Invitation, error)
	// AnswerInvitation deletes the invitation to the user, and with join adds
	// them to its group, as one step: ErrNoInvitation.
	AnswerInvitation(ctx context.Context, id, user string, join *Membership) error
}

// Settings is what a group is created or changed with; a nil field stays.
type Settings struct {
	Name        *string
	Description *string
	// ResultRetention is used if SetRetention; nil then means the default.
	SetRetention    bool
	ResultRetention *time.Duration
}

// Validate brings the fields into the form they are kept in, and reports all
// that are wrong.
func (s *Settings) Validate() error {
	text := func(field string, v *string, least, most int) error {
		if v == nil {
			return nil
		}
		clean, err := fault.Text(field, *v, least, most)
		*v = clean
		return err
	}
	var retentionErr error
	if d := s.ResultRetention; d != nil && (*d < 0 || *d > MaxRetention) {
		retentionErr = fault.InvalidField("body.result_retention_s", "must be 0 to %d", int(MaxRetention/time.Second))
	}
	return fault.Join(text("body.name", s.Name, minName, maxName),
		text("body.description", s.Description, 0, maxDescription), retentionErr)
}
