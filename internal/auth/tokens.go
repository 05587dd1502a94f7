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
	if err := s.opt.Store.DeleteToken(ctx, c.UserID, id); err != nil {
		return err
	}
	s.cache.dropToken(id)
	s.mu.Lock()
	hooks := slices.Clone(s.onRevoked)
	s.mu.Unlock()
	for _, f := range hooks {
		f(id)
	}
	return nil
}

// OnTokenRevoked has f called, on this server, after a token was deleted here.
// It must not block.
func (s *Service) OnTokenRevoked(f func(tokenID string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRevoked = append(s.onRevoked, f)
}

// maxBearer is far above any token of ours, in bytes.
const maxBearer = 2048

// Authenticate returns who a bearer token belongs to: ErrUnauthenticated for an
// unknown, expired or revoked one. What it says is at most cacheTTL old.
func (s *Service) Authenticate(ctx context.Context, token string) (Caller, error) {
	if len(token) > maxBearer {
		return Caller{}, ErrUnauthenticated
	}
	now := s.opt.Now()
	if isSecret(token) {
		hash := hashSecret(token)
		return s.cache.get(hash, now, func() (Caller, time.Time, error) { return s.tokenCaller(ctx, hash, now) })
	}
	id, user, err := s.signer.checkAccess(token, now)
	if err != nil {
		return Caller{}, err
	}
	return s.cache.get(id, now, func() (Caller, time.Time, error) { return s.sessionCaller(ctx, id, user) })
}

func isSecret(token string) bool {
	for _, prefix := range secretPrefixes {
		if strings.HasPrefix(token, prefix) {
			return true
		}
	}
	return false
}

func (s *Service) sessionCaller(ctx context.Context, id, user string) (Caller, time.Time, error) {
	ses, err := s.opt.Store.SessionByID(ctx, id)
	var u User
	if err == nil {
		u, err = s.opt.Store.UserByID(ctx, user)
	}
	if errors.Is(err, ErrNoSession) || errors.Is(err, ErrNoUser) {
		err = ErrUnauthenticated
	}
	return Caller{
		UserID: u.ID, Username: u.Username, Admin: u.Admin, Kind: KindSession, SessionID: ses.ID,
	}, time.Time{}, err
}

// tokenCaller also returns when the token expires.
func (s *Service) tokenCaller(ctx context.Context, hash string, now time.Time) (Caller, time.Time, error) {
	t, err := s.opt.Store.TokenByHash(ctx, hash)
	var u User
	if err == nil {
		u, err = s.opt.Store.UserByID(ctx, t.UserID)
	}
	if errors.Is(err, ErrNoToken) || errors.Is(err, ErrNoUser) {
		err = ErrUnauthenticated
	}
	if err != nil {
		return Caller{}, time.Time{}, err
	}
	if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
		return Caller{}, time.Time{}, ErrUnauthenticated
	}
	if now.Sub(t.LastUsedAt) >= time.Minute {
		if err := s.opt.Store.TouchToken(ctx, t.ID, now); err != nil { // no reason to refuse
			s.opt.Log.WarnContext(ctx, "note a token's use", "token_id", t.ID, "error", err)
		}
	}
	return Caller{
		UserID: u.ID, Username: u.Username, Admin: u.Admin, Kind: t.Kind, TokenID: t.ID,
		Scopes: t.Scopes, Groups: t.Groups, DeviceID: t.DeviceID,
	}, t.ExpiresAt, nil
}

// Identity is who a worker works for.
type Identity struct {
	User      string // id
	Username  string
	TokenID   string
	Groups    []string  // sorted; where the user's role lets them run workers
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
	c, expires, err := s.tokenCaller(ctx, hashSecret(bearer), s.opt.Now())
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
	id := Identity{User: c.UserID, Username: c.Username, TokenID: c.TokenID, ExpiresAt: expires}
	for g, role := range roles {
		if role.May(RunWorkers) && c.Reaches(g) {
			id.Groups = append(id.Groups, g)
		}
	}
	slices.Sort(id.Groups)
	return id, nil
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
	asOf    time.Time // when the store was asked
	expires time.Time // zero: never
}

func newCallerCache() *callerCache { return &callerCache{callers: map[string]cachedCaller{}} }

func (c *callerCache) get(key string, now time.Time, load func() (Caller, time.Time, error)) (Caller, error) {
	c.mu.Lock()
	hit, ok := c.callers[key]
	c.mu.Unlock()
	if ok && now.Sub(hit.asOf) < cacheTTL {
		if !hit.expires.IsZero() && !now.Before(hit.expires) {
			return Caller{}, ErrUnauthenticated
		}
		return hit.Caller, nil
	}
	caller, expires, err := load()
	if err != nil {
		c.drop(key)
		return Caller{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.callers) >= maxCached {
		clear(c.callers)
	}
	c.callers[key] = cachedCaller{Caller: caller, asOf: now, expires: expires}
	return caller, nil
}

func (c *callerCache) drop(keys ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		delete(c.callers, key)
	}
}

func (c *callerCache) dropToken(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, hit := range c.callers {
		if hit.TokenID == id {
			delete(c.callers, key)
		}
	}
}
