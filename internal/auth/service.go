package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/background"
	"github.com/firmlight/firmlight/internal/fault"
)

// Store is everything auth keeps.
type Store interface {
	UserStore
	SessionStore
	TokenStore
}

// Memberships tells which groups a user is in; the groups' store answers.
type Memberships interface {
	// RolesOf returns the user's role by group id; empty for nobody known.
	RolesOf(ctx context.Context, user string) (map[string]Role, error)
	// GroupCounts returns in how many groups each of the users is.
	GroupCounts(ctx context.Context, users []string) (map[string]int, error)
	// RolesOfEach returns the same of several users, by user id.
	RolesOfEach(ctx context.Context, users ...string) (map[string]map[string]Role, error)
}

// Options is what a Service needs; everything is required.
type Options struct {
	Store        Store
	Memberships  Memberships
	Throttle     Throttle
	Secret       []byte // 32 bytes or more; the same on every server
	AccessTTL    time.Duration
	RefreshTTL   time.Duration
	Hash         HashParams
	HashesAtOnce int
	Registration bool // whether anybody may register
	ByInvite     bool // where nobody else may: whether those with an invite link may
	Now          func() time.Time
	Log          *slog.Logger
}

// Service is auth for one server. It is safe for concurrent use.
type Service struct {
	opt    Options
	hasher *hasher
	signer signer
	cache  *callerCache
	loops  background.Loops

	mu            sync.Mutex // guards what follows
	onRevoked     []func(ids ...string)
	onRevokedHere []func(ids ...string)
	setupCode     string          // empty: none, or used
	uses          map[string]bool // sessions and tokens, to be written
}

const minSecret = 32

// NewService checks the options that could be wrong by configuration.
func NewService(o Options) (*Service, error) {
	if len(o.Secret) < minSecret {
		return nil, errors.New("auth: the secret must have at least 32 bytes")
	}
	h, err := newHasher(o.Hash, max(1, o.HashesAtOnce))
	if err != nil {
		return nil, err
	}
	now := o.Now
	o.Now = func() time.Time { return now().UTC().Truncate(time.Millisecond) }
	return &Service{
		opt: o, hasher: h, signer: newSigner(o.Secret, o.AccessTTL), cache: newCallerCache(), uses: map[string]bool{},
	}, nil
}

// Register makes a user and logs them in: ErrClosed, ErrInviteRequired,
// ErrUsernameTaken, ErrEmailTaken, or a fault with the wrong fields.
func (s *Service) Register(ctx context.Context, r Registration, from Client) (Pair, error) {
	if !s.opt.Registration && s.opt.ByInvite {
		return Pair{}, ErrInviteRequired
	}
	return s.RegisterInvited(ctx, r, from)
}

// RegisterInvited is Register for somebody who has an invite link.
func (s *Service) RegisterInvited(ctx context.Context, r Registration, from Client) (Pair, error) {
	if !s.opt.Registration && !s.opt.ByInvite {
		return Pair{}, ErrClosed
	}
	u, err := s.addUser(ctx, r, false)
	if err != nil {
		return Pair{}, err
	}
	return s.newSession(ctx, u, from)
}

func (s *Service) addUser(ctx context.Context, r Registration, admin bool) (User, error) {
	if err := r.Validate(); err != nil {
		return User{}, err
	}
	hash, err := s.hasher.hash(ctx, r.Password)
	if err != nil {
		return User{}, err
	}
	u := User{
		ID: newID(), Username: r.Username, Email: r.Email, PasswordHash: hash, Admin: admin, CreatedAt: s.opt.Now(),
	}
	return u, s.opt.Store.InsertUser(ctx, u)
}

// Login checks a password: ErrBadCredentials, ErrDisabled after the right one, or
// a fault of kind TooMany after too many failures from there.
func (s *Service) Login(ctx context.Context, login, password string, from Client) (Pair, error) {
	u, err := s.passwordOf(ctx, login, password, from)
	if err == nil && u.Disabled {
		err = ErrDisabled
	}
	if err != nil {
		return Pair{}, err
	}
	if u, err = s.upgrade(ctx, u, password); err != nil {
		return Pair{}, err
	}
	return s.newSession(ctx, u, from)
}

// passwordOf returns whose login and password these are. Failures count for the
// login from this address, and for the address: never for the account alone,
// which anybody could lock.
func (s *Service) passwordOf(ctx context.Context, login, password string, from Client) (User, error) {
	login = cleanLogin(login)
	byAddress := "login " + from.Address.String()
	byLogin := byAddress + " " + login
	if err := s.take(ctx, byAddress, failsPerAddress); err != nil {
		return User{}, err
	}
	if err := s.take(ctx, byLogin, failsPerLogin); err != nil {
		s.giveBack(ctx, byAddress) // refused unseen: no further failure
		return User{}, err
	}
	u, err := s.checkLogin(ctx, login, password)
	if !errors.Is(err, ErrBadCredentials) {
		s.giveBack(ctx, byLogin)
		s.giveBack(ctx, byAddress)
	}
	return u, err
}

// checkLogin takes the same time for an unknown user as for a wrong password.
func (s *Service) checkLogin(ctx context.Context, login, password string) (User, error) {
	u, err := s.opt.Store.UserByLogin(ctx, login)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return User{}, err
	}
	var tooLong error // is no password of anybody, and must not cost more
	if tooLong = checkPassword("body.password", &password); tooLong != nil {
		password = ""
	}
	ok, err := s.hasher.matches(ctx, password, u.PasswordHash)
	if err != nil {
		return User{}, err
	}
	if !ok || tooLong != nil {
		return User{}, ErrBadCredentials
	}
	return u, nil
}

// upgrade gives a user whose hash has other parameters than today's a new one of
// the same password, which was just found right.
func (s *Service) upgrade(ctx context.Context, u User, password string) (User, error) {
	if s.hasher.current(u.PasswordHash) {
		return u, nil
	}
	if err := checkPassword("body.password", &password); err != nil {
		return User{}, err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	ok, err := s.opt.Store.SetPassword(ctx, u.ID, u.PasswordHash, hash)
	if ok {
		u.PasswordHash = hash
	}
	return u, err // not ok: another login, or a new password, was faster
}

func (s *Service) take(ctx context.Context, key string, limit int) error {
	return Attempt(ctx, s.opt.Throttle, key, limit)
}

// giveBack is done also for a client that did not wait for its answer.
func (s *Service) giveBack(ctx context.Context, key string) {
	s.opt.Throttle.GiveBack(context.WithoutCancel(ctx), key)
}

// Faults of the first administrator's setup.
var (
	ErrSetUp     = fault.New(fault.Conflict, "already_set_up", "There is an administrator already.")
	ErrSetupCode = fault.New(fault.Forbidden, "bad_setup_code", "The setup code is wrong; the server's log has it.")
)

// PrepareAdmin sees to it that there can be an administrator: where there is
// none it makes the configured one, or without one returns a code that Setup
// takes once. The code is a secret for whoever reads the server's log.
func (s *Service) PrepareAdmin(ctx context.Context, configured *Registration) (setupCode string, err error) {
	has, err := s.opt.Store.HasAdmin(ctx)
	if err != nil || has {
		return "", err
	}
	if configured != nil {
		_, err := s.addUser(ctx, *configured, true)
		return "", err
	}
	code := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setupCode = code
	return code, nil
}

// Setup makes the first administrator and logs them in: ErrSetUp, ErrSetupCode,
// or what Register returns.
func (s *Service) Setup(ctx context.Context, code string, r Registration, from Client) (Pair, error) {
	key := "setup " + from.Address.String()
	if err := s.take(ctx, key, failsPerAddress); err != nil {
		return Pair{}, err
	}
	has, err := s.opt.Store.HasAdmin(ctx)
	if err != nil {
		return Pair{}, err
	}
	if has {
		return Pair{}, ErrSetUp
	}
	if !s.takeSetupCode(code) {
		return Pair{}, ErrSetupCode
	}
	u, err := s.addUser(ctx, r, true)
	if err != nil {
		s.mu.Lock()
		s.setupCode = code // not used up by a typing error
		s.mu.Unlock()
		return Pair{}, err
	}
	s.giveBack(ctx, key)
	return s.newSession(ctx, u, from)
}

// takeSetupCode uses the code up if it is right, so that only one of several
// calls at once goes on.
func (s *Service) takeSetupCode(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.setupCode == "" {
		return false
	}
	got, want := sha256.Sum256([]byte(code)), sha256.Sum256([]byte(s.setupCode))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return false
	}
	s.setupCode = ""
	return true
}

// Sweep removes what expired; a cron job calls it.
func (s *Service) Sweep(ctx context.Context) (int64, error) {
	return s.opt.Store.DeleteExpiredLogins(ctx, s.opt.Now())
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
