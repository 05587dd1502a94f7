package auth

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// CreateToken makes a token of the caller's; the secret is not kept.
func (s *Service) CreateToken(ctx context.Context, c Caller, n NewToken) (Token, string, error) {
	now := s.opt.Now()
	if err := n.Validate(now); err != nil {
		return Token{}, "", err
	}
	if err := s.checkTokenGroups(ctx, c.UserID, n); err != nil {
		return Token{}, "", err
	}
	if n.Kind == KindAPI && len(n.Scopes) == 0 {
		n.Scopes = DefaultScopes
	}
	secret := newSecret(n.Kind)
	t := Token{
		ID: newID(), UserID: c.UserID, Kind: n.Kind, Name: n.Name, Hash: hashSecret(secret),
		Groups: n.Groups, Scopes: n.Scopes, DeviceID: n.DeviceID, CreatedAt: now, ExpiresAt: n.ExpiresAt,
	}
	return t, secret, s.opt.Store.InsertToken(ctx, t)
}

// checkTokenGroups holds the groups against what the user may do in them.
func (s *Service) checkTokenGroups(ctx context.Context, user string, n NewToken) error {
	if n.Groups == nil {
		return nil
	}
	roles, err := s.opt.Memberships.RolesOf(ctx, user)
	if err != nil {
		return err
	}
	need := map[Kind]Permission{KindWorker: RunWorkers, KindDevice: ManageTokens, KindAPI: View}[n.Kind]
	for i, g := range n.Groups {
		switch role, member := roles[g]; {
		case !member:
			return fault.InvalidField("body.groups["+strconv.Itoa(i)+"]", "is not one of your groups")
		case !role.May(need):
			return fault.New(fault.Forbidden, "role_too_low", "Your role in the group does not allow a %s token.", n.Kind)
		}
	}
	return nil
}

// Tokens lists the caller's tokens, newest first, after the one with id before.
func (s *Service) Tokens(ctx context.Context, c Caller, before string, limit int) ([]Token, error) {
	return s.opt.Store.Tokens(ctx, c.UserID, before, limit)
}

// DeleteToken revokes one of the caller's tokens: ErrNoToken.
func (s *Service) DeleteToken(ctx context.Context, c Caller, id string) error {
	if err := s.opt.Store.DeleteToken(ctx, c.UserID, id, s.opt.Now()); err != nil {
		return err
	}
	s.ended(id)
	return nil
}

// maxBearer is far above any token of ours, in bytes.
const maxBearer = 2048

// Authenticate returns who a bearer token belongs to: ErrUnauthenticated for an
// unknown, expired or revoked one, or one of a disabled user. What it says is at
// most cacheTTL old.
func (s *Service) Authenticate(ctx context.Context, token string) (Caller, error) {
	return s.authenticate(ctx, token, s.cache.get)
}

// Recheck is Authenticate by the store as it is now, for what stays open: whoever
// is told of revocations first and asks then misses none.
func (s *Service) Recheck(ctx context.Context, token string) (Caller, error) {
	return s.authenticate(ctx, token, func(_ string, _ time.Time, load func() (Caller, error)) (Caller, error) { return load() })
}

func (s *Service) authenticate(
	ctx context.Context, token string, get func(key string, now time.Time, load func() (Caller, error)) (Caller, error),
) (Caller, error) {
	if len(token) > maxBearer {
		return Caller{}, ErrUnauthenticated
	}
	now := s.opt.Now()
	if isSecret(token) {
		hash := hashSecret(token)
		return get(hash, now, func() (Caller, error) { return s.tokenCaller(ctx, hash, now) })
	}
	id, user, expires, err := s.signer.checkAccess(token, now)
	if err != nil {
		return Caller{}, err
	}
	c, err := get(id, now, func() (Caller, error) { return s.sessionCaller(ctx, id, user, now) })
	c.ExpiresAt = expires
	return c, err
}

func isSecret(token string) bool {
	for _, prefix := range secretPrefixes {
		if strings.HasPrefix(token, prefix) {
			return true
		}
	}
	return false
}

func (s *Service) sessionCaller(ctx context.Context, id, user string, now time.Time) (Caller, error) {
	ses, err := s.opt.Store.SessionByID(ctx, id)
	if errors.Is(err, ErrNoSession) {
		err = ErrUnauthenticated
	}
	if err != nil {
		return Caller{}, err
	}
	u, err := s.activeUser(ctx, user)
	if err != nil {
		return Caller{}, err
	}
	s.used(id, ses.LastUsedAt, now)
	return Caller{UserID: u.ID, Username: u.Username, Admin: u.Admin, Kind: KindSession, SessionID: id}, nil
}

func (s *Service) tokenCaller(ctx context.Context, hash string, now time.Time) (Caller, error) {
	t, err := s.opt.Store.TokenByHash(ctx, hash)
	if errors.Is(err, ErrNoToken) || !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
		err = ErrUnauthenticated
	}
	if err != nil {
		return Caller{}, err
	}
	u, err := s.activeUser(ctx, t.UserID)
	if err != nil {
		return Caller{}, err
	}
	if t.Kind == KindDevice {
		if err := s.mayReport(ctx, t); err != nil {
			return Caller{}, err
		}
	}
	s.used(t.ID, t.LastUsedAt, now)
	return Caller{
		UserID: u.ID, Username: u.Username, Admin: u.Admin, Kind: t.Kind, TokenID: t.ID,
		Scopes: t.Scopes, Groups: t.Groups, DeviceID: t.DeviceID, ExpiresAt: t.ExpiresAt,
	}, nil
}

// mayReport returns ErrUnauthenticated for a device token whose owner may no longer
// have one for the group: nobody else would see that it is still used.
func (s *Service) mayReport(ctx context.Context, t Token) error {
	roles, err := s.opt.Memberships.RolesOf(ctx, t.UserID)
	if err != nil {
		return err
	}
	if len(t.Groups) != 1 || !roles[t.Groups[0]].May(ManageTokens) {
		return ErrUnauthenticated
	}
	return nil
}

// activeUser returns ErrUnauthenticated for one who is gone, disabled or deleted.
func (s *Service) activeUser(ctx context.Context, id string) (User, error) {
	u, err := s.opt.Store.UserByID(ctx, id)
	if errors.Is(err, ErrNoUser) || u.gone() {
		return User{}, ErrUnauthenticated
	}
	return u, err
}

// Identity is who a worker works for.
type Identity struct {
	User      string // id
	Username  string
	TokenID   string
	Groups    []string  // sorted; where the user's role lets them run workers
	Limit     []string  // groups that the token is for; nil: every one of the user
	ExpiresAt time.Time // of the token; zero: never
}

// WorkerIdentity reads a worker token straight from the store: ErrUnauthenticated
// for an unknown, expired or revoked one, ErrWrongKind for one of another kind.
func (s *Service) WorkerIdentity(ctx context.Context, bearer string) (Identity, error) {
	if !isSecret(bearer) {
		if _, err := s.Authenticate(ctx, bearer); err != nil {
			return Identity{}, err
		}
		return Identity{}, ErrWrongKind
	}
	c, err := s.tokenCaller(ctx, hashSecret(bearer), s.opt.Now())
	if err != nil {
		return Identity{}, err
	}
	if err := c.Allowed("", KindWorker); err != nil {
		return Identity{}, err
	}
	roles, err := s.opt.Memberships.RolesOf(ctx, c.UserID)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{User: c.UserID, Username: c.Username, TokenID: c.TokenID, Limit: c.Groups, ExpiresAt: c.ExpiresAt}
	for g, role := range roles {
		if role.May(RunWorkers) && c.Reaches(g) {
			id.Groups = append(id.Groups, g)
		}
	}
	slices.Sort(id.Groups)
	return id, nil
}

// WorkerGroups returns the groups in which each of these users may run workers.
func (s *Service) WorkerGroups(ctx context.Context, users ...string) (map[string][]string, error) {
	roles, err := s.opt.Memberships.RolesOfEach(ctx, users...)
	if err != nil {
		return nil, err
	}
	groups := make(map[string][]string, len(roles))
	for user, of := range roles {
		for g, role := range of {
			if role.May(RunWorkers) {
				groups[user] = append(groups[user], g)
			}
		}
	}
	return groups, nil
}

// cacheTTL is how long an answer about a token may be used again: a revoked one
// works less than a second longer, on every server.
const cacheTTL = 900 * time.Millisecond

// maxCached bounds the cache; when full it is emptied.
const maxCached = 20_000

// callerCache remembers who a session or token belongs to.
type callerCache struct {
	mu      sync.Mutex
	callers map[string]cachedCaller // by session id or secret's hash; guarded by mu
}

type cachedCaller struct {
	Caller
	asOf time.Time // when the store was asked
}

func newCallerCache() *callerCache { return &callerCache{callers: map[string]cachedCaller{}} }

func (c *callerCache) get(key string, now time.Time, load func() (Caller, error)) (Caller, error) {
	c.mu.Lock()
	hit, ok := c.callers[key]
	c.mu.Unlock()
	if ok && now.Sub(hit.asOf) < cacheTTL {
		if !hit.ExpiresAt.IsZero() && !now.Before(hit.ExpiresAt) {
			return Caller{}, ErrUnauthenticated
		}
		return hit.Caller, nil
	}
	caller, err := load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		delete(c.callers, key)
		return Caller{}, err
	}
	if len(c.callers) >= maxCached {
		clear(c.callers)
	}
	c.callers[key] = cachedCaller{Caller: caller, asOf: now}
	return caller, nil
}

// drop forgets callers by the ids of their sessions, tokens or users.
func (c *callerCache) drop(ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, hit := range c.callers {
		if slices.ContainsFunc(ids, func(id string) bool {
			return id == hit.UserID || id == hit.TokenID || id == hit.SessionID
		}) {
			delete(c.callers, key)
		}
	}
}
