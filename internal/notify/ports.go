package notify

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

// Store keeps notifications and settings. A nil error of a write means that it
// is durable. Where a method says "each by itself", a crash may leave some done
// and some not.
type Store interface {
	// Add keeps new ones, unread, each by itself. Where the user has one in its
	// Slot, that one takes About and a later UpdatedAt and adds the Count, as one
	// step. It returns them, in order, as they stand then.
	Add(ctx context.Context, ns ...Notification) ([]Notification, error)
	// List lists a user's after a place, those that changed last first.
	List(ctx context.Context, user string, unread bool, after Place, limit int) ([]Notification, error)
	// Count returns how many a user has.
	Count(ctx context.Context, user string) (unread, all int, err error)
	// Read marks those of a user's with these ids, or nil for all, each by itself,
	// and gives up their slots; it returns how many were unread.
	Read(ctx context.Context, user string, ids []string) (int, error)
	// Delete returns ErrNone for what is not the user's.
	Delete(ctx context.Context, user, id string) error
	// Trim deletes all of a user's but the keep that changed last.
	Trim(ctx context.Context, user string, keep int) error
	// Expire deletes at most limit that changed last before a time, and returns
	// how many.
	Expire(ctx context.Context, before time.Time, limit int) (int, error)
	// Forget deletes a user's notifications, and then their settings.
	Forget(ctx context.Context, user string) error
	// Settings returns none for a user who has said nothing.
	Settings(ctx context.Context, user string) (Settings, error)
	SetSettings(ctx context.Context, user string, s Settings) error
}

// Groups is what notifications ask about groups; groups.Store answers it.
type Groups interface {
	// GroupByID returns groups.ErrNoGroup.
	GroupByID(ctx context.Context, id string) (groups.Group, error)
	Members(ctx context.Context, group, after string, limit int) ([]groups.Membership, error)
	RolesOf(ctx context.Context, user string) (map[string]auth.Role, error)
}

// Live tells a user's open pages; it never blocks and never fails.
type Live interface {
	Notify(user string, notification any)
}
