package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// Token is a worker, device or API token. Its secret is shown once; the store
// knows only its hash.
type Token struct {
	ID         string
	UserID     string
	Kind       Kind
	Name       string
	Hash       string   // SHA-256 of the secret, base64: 256 random bits need no salt
	Groups     []string // nil: every group of the user at the time of use
	Scopes     []Scope  // of an API token
	DeviceID   string   // of a device token, optional
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // to the minute; zero: never
}

// Limits of a token (docs/http-api.md).
const (
	maxTokenName   = 64
	maxTokenGroups = 256
	maxDeviceID    = 128
)

// Faults about tokens.
var (
	ErrNoToken = fault.New(fault.NotFound, "token_not_found", "There is no such token.")
)

// TokenStore keeps tokens.
type TokenStore interface {
	InsertToken(ctx context.Context, t Token) error
	// TokenByHash returns ErrNoToken.
	TokenByHash(ctx context.Context, hash string) (Token, error)
	// Tokens lists a user's, newest first, those with an id below before
	// (empty: from the newest).
	Tokens(ctx context.Context, user, before string, limit int) ([]Token, error)
	// DeleteToken returns ErrNoToken where the user has no such token, and notes
	// its id for Revoked.
	DeleteToken(ctx context.Context, user, id string, now time.Time) error
	// DeleteTokens deletes all tokens of the user.
	DeleteTokens(ctx context.Context, user string) error
}

// NewToken is what a token is asked for with.
type NewToken struct {
	Name      string
	Kind      Kind
	Groups    []string
	Scopes    []Scope
	DeviceID  string
	ExpiresAt time.Time
}

// Validate reports every field that is wrong; now is for the expiry.
func (n *NewToken) Validate(now time.Time) error {
	var errs []error
	bad := func(when bool, field, message string, args ...any) {
		if when {
			errs = append(errs, fault.InvalidField(field, message, args...))
		}
	}
	var err error
	if n.Name, err = fault.Text("body.name", n.Name, 1, maxTokenName); err != nil {
		errs = append(errs, err)
	}
	bad(!slices.Contains([]Kind{KindWorker, KindDevice, KindAPI}, n.Kind), "body.kind", "must be worker, device or api")
	bad(len(n.Groups) > maxTokenGroups, "body.groups", "must name at most %d groups", maxTokenGroups)
	bad(n.Groups != nil && len(n.Groups) == 0, "body.groups", "must name a group, or be left out for all of yours")
	bad(n.Kind == KindDevice && len(n.Groups) != 1, "body.groups", "must name the one group of the device")
	bad(n.Kind != KindDevice && n.DeviceID != "", "body.device_id", "is only for device tokens")
	if n.DeviceID != "" {
		if n.DeviceID, err = DeviceID("body.device_id", n.DeviceID); err != nil {
			errs = append(errs, err)
		}
	}
	bad(n.Kind != KindAPI && n.Scopes != nil, "body.scopes", "are only for API tokens")
	for i, s := range n.Scopes {
		bad(!slices.Contains(Scopes, s), "body.scopes["+strconv.Itoa(i)+"]", "is no scope")
	}
	bad(!n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now), "body.expires_at", "must be in the future")
	return fault.Join(errs...)
}

// DeviceID returns the id that a device gave itself as it is to be kept, or a
// fault that names the field.
func DeviceID(field, id string) (string, error) {
	id, err := fault.Name(field, id, maxDeviceID)
	if id == "." || id == ".." || id == "/" {
		err = fault.InvalidField(field, "must not be . or .. or /, which the path of a URL cannot hold")
	}
	return id, err
}

// secretPrefixes tell people and secret scanners what a secret is for.
var secretPrefixes = map[Kind]string{KindWorker: "flw_", KindDevice: "fld_", KindAPI: "fla_"}

func newSecret(k Kind) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return secretPrefixes[k] + base64.RawURLEncoding.EncodeToString(b[:])
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawStdEncoding.EncodeToString(sum[:])
}
