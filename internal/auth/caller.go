package auth

import (
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// Kind is what a bearer token was made for.
type Kind string

const (
	KindSession Kind = "session" // access token of a person who logged in
	KindWorker  Kind = "worker"
	KindDevice  Kind = "device"
	KindAPI     Kind = "api"
)

// Scope is what an API token may be used for.
type Scope string

const (
	TasksRead   Scope = "tasks:read"
	TasksWrite  Scope = "tasks:write"
	GroupsRead  Scope = "groups:read"
	GroupsWrite Scope = "groups:write"
	DevicesRead Scope = "devices:read"
	Metrics     Scope = "metrics"
)

// Scopes lists every scope; DefaultScopes is what an API token gets when it
// asks for none: all but metrics.
var (
	Scopes        = []Scope{TasksRead, TasksWrite, GroupsRead, GroupsWrite, DevicesRead, Metrics}
	DefaultScopes = []Scope{TasksRead, TasksWrite, GroupsRead, GroupsWrite, DevicesRead}
)

// Caller is who makes a request, as told by its bearer token.
type Caller struct {
	UserID   string
	Username string
	Admin    bool
	Kind     Kind
	// SessionID is set for KindSession, TokenID for the others.
	SessionID string
	TokenID   string
	Scopes    []Scope   // of an API token
	Groups    []string  // what a token is limited to; nil: every group of the user
	DeviceID  string    // what a device token is bound to; empty: any
	ExpiresAt time.Time // of the bearer token; zero: never
}

// Faults of a bearer token.
var (
	ErrUnauthenticated = fault.New(fault.Unauthenticated, "unauthenticated", "A valid token is needed.")
	ErrWrongKind       = fault.New(fault.Forbidden, "wrong_token_kind", "This kind of token cannot be used here.")
	ErrScope           = fault.New(fault.Forbidden, "missing_scope", "The token lacks the scope for this.")
	ErrNotAdmin        = fault.New(fault.Forbidden, "not_admin", "Only an administrator may do this.")
)

// Allowed returns ErrWrongKind unless the caller's token is of one of kinds, and
// ErrScope for an API token without the scope (empty: none needed).
func (c Caller) Allowed(scope Scope, kinds ...Kind) error {
	if !slices.Contains(kinds, c.Kind) {
		return ErrWrongKind
	}
	if c.Kind == KindAPI && scope != "" && !slices.Contains(c.Scopes, scope) {
		return ErrScope
	}
	return nil
}

// Reaches reports whether the caller's token may be used for the group at all;
// the user's role in it is another question.
func (c Caller) Reaches(group string) bool {
	return c.Groups == nil || slices.Contains(c.Groups, group)
}
