package groups

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// Link lets whoever has its code into a group, so many times and so long. Its
// code is shown once; the store knows only its hash.
type Link struct {
	ID            string
	Group         string
	GroupName     string // read only
	Hash          string // SHA-256 of the code, base64: 128 random bits and more need no salt
	Role          auth.Role
	MaxUses       int
	Uses          int
	ExpiresAt     time.Time
	CreatedBy     string
	CreatedByName string // read only
	CreatedAt     time.Time
}

// Limits of invite links (docs/http-api.md).
const (
	// MaxLinks is how many of a group may be in force at a time.
	MaxLinks     = 50
	maxLinkUses  = 1000
	linkTime     = 7 * 24 * time.Hour // unless asked for otherwise
	maxLinkTime  = 90 * 24 * time.Hour
	badLinkCodes = 100 // from one address, in the throttle's window
)

// Faults about invite links.
var (
	ErrNoLink       = fault.New(fault.NotFound, "invite_link_not_found", "There is no such invite link, or no longer.")
	ErrTooManyLinks = fault.New(fault.Conflict, "too_many_links",
		"A group may have no more than %d invite links in force.", MaxLinks)
)

// LinkStore keeps invite links. One that is in force has uses left and has not
// expired.
type LinkStore interface {
	// InsertLink drops the group's links that are no longer in force before it
	// counts them: ErrTooManyLinks; ErrNoGroup where its maker is no member, and
	// ErrRole where they may not manage members.
	InsertLink(ctx context.Context, l Link, now time.Time) error
	// Links lists a group's by id, those after the id after.
	Links(ctx context.Context, group, after string, limit int) ([]Link, error)
	// LinkByHash returns ErrNoLink for one not in force.
	LinkByHash(ctx context.Context, hash string, now time.Time) (Link, error)
	// TakeLink uses a link once: ErrNoLink for one not in force, ErrGroupFull.
	TakeLink(ctx context.Context, hash string, now time.Time) (Link, error)
	// GiveBackLink makes a use undone; no error for a link that is gone.
	GiveBackLink(ctx context.Context, id string) error
	// DeleteLink returns ErrNoLink where the group has none such.
	DeleteLink(ctx context.Context, group, id string) error
}

// NewLink is what a link is asked for with.
type NewLink struct {
	Role      auth.Role // empty: Member
	ExpiresAt time.Time // zero: after the usual time
	MaxUses   int       // 0: 1
}

// Validate fills in what was left out, and reports what is wrong.
func (n *NewLink) Validate(now time.Time) error {
	if n.Role == "" {
		n.Role = auth.Member
	}
	if n.ExpiresAt.IsZero() {
		n.ExpiresAt = now.Add(linkTime)
	}
	if n.MaxUses == 0 {
		n.MaxUses = 1
	}
	n.ExpiresAt = n.ExpiresAt.UTC().Truncate(time.Millisecond)
	var errs []error
	if !slices.Contains([]auth.Role{auth.Admin, auth.Member, auth.Viewer}, n.Role) {
		errs = append(errs, fault.InvalidField("body.role", "must be admin, member or viewer"))
	}
	if !n.ExpiresAt.After(now) || n.ExpiresAt.After(now.Add(maxLinkTime)) {
		errs = append(errs, fault.InvalidField("body.expires_at", "must be in the future, and within 90 days"))
	}
	if n.MaxUses < 1 || n.MaxUses > maxLinkUses {
		errs = append(errs, fault.InvalidField("body.max_uses", "must be 1 to %d", maxLinkUses))
	}
	return fault.Join(errs...)
}

func hashCode(code string) string {
	sum := sha256.Sum256([]byte(code))
	return base64.RawStdEncoding.EncodeToString(sum[:])
}

// CreateLink makes a link and returns its code, which nobody can find out again:
// ErrTooManyLinks. Whoever may make one may give every role that it can have.
func (s *Service) CreateLink(ctx context.Context, c auth.Caller, group string, n NewLink) (Link, string, error) {
	if _, err := s.Authorize(ctx, c, group, auth.ManageMembers); err != nil {
		return Link{}, "", err
	}
	now := s.now()
	if err := n.Validate(now); err != nil {
		return Link{}, "", err
	}
	code := rand.Text()
	l := Link{
		ID: newID(), Group: group, Hash: hashCode(code), Role: n.Role, MaxUses: n.MaxUses, ExpiresAt: n.ExpiresAt,
		CreatedBy: c.UserID, CreatedByName: c.Username, CreatedAt: now,
	}
	if err := s.store.InsertLink(ctx, l, now); err != nil {
		return Link{}, "", err
	}
	return l, code, nil
}

// Links lists a group's links, oldest first, after the id after, for those who
// may revoke them. Some may be no longer in force.
func (s *Service) Links(ctx context.Context, c auth.Caller, group, after string, limit int) ([]Link, error) {
	if _, err := s.Authorize(ctx, c, group, auth.ManageMembers); err != nil {
		return nil, err
	}
	return s.store.Links(ctx, group, after, limit)
}

// RevokeLink ends a link: ErrNoLink.
func (s *Service) RevokeLink(ctx context.Context, c auth.Caller, group, link string) error {
	if _, err := s.Authorize(ctx, c, group, auth.ManageMembers); err != nil {
		return err
	}
	return s.store.DeleteLink(ctx, group, link)
}

// LinkByCode shows a link in force to whoever has its code: ErrNoLink, and a
// fault of kind TooMany after too many codes from addr that did not fit.
func (s *Service) LinkByCode(ctx context.Context, code string, addr netip.Addr) (Link, error) {
	return s.tried(ctx, addr, func() (Link, error) { return s.store.LinkByHash(ctx, hashCode(code), s.now()) })
}

// tried counts what find does not find against addr.
func (s *Service) tried(ctx context.Context, addr netip.Addr, find func() (Link, error)) (Link, error) {
	key := "invite link " + addr.String()
	if err := auth.Attempt(ctx, s.throttle, key, badLinkCodes); err != nil {
		return Link{}, err
	}
	l, err := find()
	if !errors.Is(err, ErrNoLink) {
		s.throttle.GiveBack(context.WithoutCancel(ctx), key)
	}
	return l, err
}

// Join makes the caller a member through a link: what LinkByCode returns,
// ErrAlreadyMember, ErrGroupFull, ErrTooManyGroups. A token limited to some
// groups joins none: auth.ErrScope.
func (s *Service) Join(ctx context.Context, c auth.Caller, code string, addr netip.Addr) (Mine, error) {
	if c.Groups != nil {
		return Mine{}, auth.ErrScope
	}
	l, err := s.LinkByCode(ctx, code, addr)
	if err != nil {
		return Mine{}, err
	}
	if _, err := s.store.GroupOf(ctx, l.Group, c.UserID); err == nil {
		return Mine{}, ErrAlreadyMember // before a use is taken
	}
	if err := s.room(ctx, c.UserID); err != nil {
		return Mine{}, err
	}
	_, err = s.JoinAs(ctx, code, addr, func() (auth.User, error) { return auth.User{ID: c.UserID, Username: c.Username}, nil })
	if err != nil {
		return Mine{}, err
	}
	return s.store.GroupOf(ctx, l.Group, c.UserID)
}

// JoinAs takes a use of a link, and then makes a member of the user that who
// returns: a new one, of a registration. The use is given back where who fails,
// or the group cannot be joined: what Join returns. It returns the group's id.
func (s *Service) JoinAs(ctx context.Context, code string, addr netip.Addr, who func() (auth.User, error)) (string, error) {
	l, err := s.tried(ctx, addr, func() (Link, error) { return s.store.TakeLink(ctx, hashCode(code), s.now()) })
	if err != nil {
		return "", err
	}
	u, err := who()
	if err == nil {
		m := Membership{ID: newID(), Group: l.Group, User: u.ID, Role: l.Role, JoinedAt: s.now()}
		if err = s.store.AddMember(ctx, m); err == nil {
			s.joined(Ref{l.Group, l.GroupName}, Ref{u.ID, u.Username}, m)
			return l.Group, nil
		}
	}
	if back := s.store.GiveBackLink(context.WithoutCancel(ctx), l.ID); back != nil {
		err = errors.Join(err, back)
	}
	return "", err
}
