package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/firmlight/firmlight/internal/fault"
)

// Session is one login and the family of refresh tokens that follow from it.
// Neither those nor its access tokens are stored: both are functions of the row
// and the server's secret, so that two tabs that refresh at once get the same.
type Session struct {
	ID         string
	UserID     string
	Generation int       // of the newest refresh token
	RotatedAt  time.Time // when that was made
	ExpiresAt  time.Time // of that
	CreatedAt  time.Time
	LastUsedAt time.Time // to the minute
	Client     Client    // at the login or the last refresh
}

// Client is from where somebody logs in.
type Client struct {
	Address   netip.Addr
	UserAgent string // as the program calls itself; anything
}

const maxUserAgent = 200 // characters

// clean returns the client with a user agent that can be shown to a person.
func (c Client) clean() Client {
	shown := strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, c.UserAgent))
	if runes := []rune(shown); len(runes) > maxUserAgent {
		shown = string(runes[:maxUserAgent])
	}
	c.UserAgent = shown
	return c
}

// ReuseGrace is how long a refresh token that was used answers with the same
// new pair; after that its use means theft and ends the session.
const ReuseGrace = 10 * time.Second

// Faults about sessions.
var (
	ErrNoSession  = fault.New(fault.NotFound, "session_not_found", "There is no such session.")
	ErrBadRefresh = fault.New(fault.Unauthenticated, "bad_refresh_token", "The refresh token is unknown, used or expired; log in again.")
)

// SessionStore keeps sessions; one that has ended is deleted. What ends one
// notes its id for Revoked.
type SessionStore interface {
	// InsertSession also notes the user's last login.
	InsertSession(ctx context.Context, s Session) error
	// SessionByID returns ErrNoSession.
	SessionByID(ctx context.Context, id string) (Session, error)
	// Logins lists the sessions of a user that have not expired by now, newest
	// first, those with an id below before (empty: from the newest).
	Logins(ctx context.Context, user string, now time.Time, before string, limit int) ([]Session, error)
	// RotateSession makes generation+1 the newest if generation still is, as
	// one step, and reports whether it did. That is a use, by the client from.
	RotateSession(ctx context.Context, id string, generation int, from Client, now, expires time.Time) (bool, error)
	// DeleteSession is no error for one that is gone.
	DeleteSession(ctx context.Context, id string, now time.Time) error
	// DeleteSessions ends all sessions of the user but the one named except
	// (empty: none), and returns the ids of those.
	DeleteSessions(ctx context.Context, user, except string, now time.Time) ([]string, error)
	// Touch sets LastUsedAt of sessions and tokens.
	Touch(ctx context.Context, now time.Time, ids []string) error
	// Revoked lists what ended at since or later: sessions, tokens, and users who
	// were disabled or deleted.
	Revoked(ctx context.Context, since time.Time) ([]Revocation, error)
	// DeleteExpiredLogins removes sessions and tokens that expired before t, and
	// revocations older than KeepRevocations by then.
	DeleteExpiredLogins(ctx context.Context, t time.Time) (int64, error)
}

// Pair is what a login or refresh gives.
type Pair struct {
	User         User
	AccessToken  string
	RefreshToken string
	ExpiresIn    time.Duration // of the access token
	RefreshUntil time.Time
}

// signer makes and checks the two tokens of a session, each with a key of its own.
type signer struct {
	accessKey  []byte
	refreshKey []byte
	accessTTL  time.Duration
}

func newSigner(secret []byte, accessTTL time.Duration) signer {
	key := func(purpose string) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte("firmlight " + purpose))
		return h.Sum(nil)
	}
	return signer{accessKey: key("access"), refreshKey: key("refresh"), accessTTL: accessTTL}
}

const issuer = "firmlight"

func (s signer) access(ses Session) (string, error) {
	claims := jwt.RegisteredClaims{
		Issuer: issuer, Subject: ses.UserID, ID: ses.ID,
		IssuedAt: jwt.NewNumericDate(ses.RotatedAt), ExpiresAt: jwt.NewNumericDate(ses.RotatedAt.Add(s.accessTTL)),
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(s.accessKey)
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	return token, nil
}

// checkAccess returns the session and user that an access token names, and when
// it expires.
func (s signer) checkAccess(token string, now time.Time) (sessionID, userID string, expires time.Time, err error) {
	var claims jwt.RegisteredClaims
	_, err = jwt.ParseWithClaims(token, &claims,
		func(*jwt.Token) (any, error) { return s.accessKey, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		return "", "", time.Time{}, ErrUnauthenticated
	}
	return claims.ID, claims.Subject, claims.ExpiresAt.UTC(), nil
}

const refreshPrefix = "flr_"

func (s signer) refresh(session string, generation int) string {
	name := session + "." + strconv.Itoa(generation)
	return refreshPrefix + name + "." + base64.RawURLEncoding.EncodeToString(s.mac(name))
}

func (s signer) checkRefresh(token string) (session string, generation int, ok bool) {
	rest, ok := strings.CutPrefix(token, refreshPrefix)
	cut := strings.LastIndexByte(rest, '.')
	if !ok || cut < 0 {
		return "", 0, false
	}
	name := rest[:cut]
	mac, err := base64.RawURLEncoding.DecodeString(rest[cut+1:])
	if err != nil || !hmac.Equal(mac, s.mac(name)) {
		return "", 0, false
	}
	session, number, _ := strings.Cut(name, ".")
	generation, err = strconv.Atoi(number)
	return session, generation, err == nil
}

func (s signer) mac(name string) []byte {
	h := hmac.New(sha256.New, s.refreshKey)
	h.Write([]byte(name))
	return h.Sum(nil)
}
