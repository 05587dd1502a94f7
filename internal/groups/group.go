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

// Mine is a group as one of its members sees it.
type Mine struct {
	Group
	Role    auth.Role
	Members int
	Starred bool
}

// Faults about groups.
var (
	ErrNoGroup       = fault.New(fault.NotFound, "group_not_found", "There is no such group.")
	ErrRole          = fault.New(fault.Forbidden, "role_too_low", "Your role in the group does not allow this.")
	ErrTooManyGroups = fault.New(fault.Conflict, "too_many_groups", "Nobody may be in more than %d groups.", MaxGroups)
)

// Limits of a group (docs/http-api.md).
const (
	minName        = 3
	maxName        = 50
	maxDescription = 300
	// MaxRetention is the longest result retention a group may ask for.
	MaxRetention = 30 * 24 * time.Hour
	// MaxGroups is how many groups a user may be in. It is looked at before the
	// step that adds one more, so that several at once may go beyond by a few.
	MaxGroups = 200
)

// Store keeps groups. A nil error of a write means that it is durable. A group
// with its members, invitations and links is one document to it: whatever a
// method writes is of one group, and one step.
type Store interface {
	GroupStore
	MemberStore
	InvitationStore
	LinkStore
	TombstoneStore
}

// GroupStore keeps groups and their settings.
type GroupStore interface {
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
