// Package auth knows who is who: users and their passwords, sessions with
// access and refresh tokens, worker, device and API tokens, and what a role may
// do. It knows neither HTTP nor the store's driver.
package auth

import (
	"context"
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/firmlight/firmlight/internal/fault"
)

// User is a person with an account.
type User struct {
	ID           string
	Username     string
	Email        string // as cleanEmail writes it
	PasswordHash string // argon2id, with its parameters
	Admin        bool   // of the installation
	Disabled     bool   // may neither log in nor use any token
	CreatedAt    time.Time
	LastLoginAt  time.Time // zero: never
	DeletedAt    time.Time // set: only a name in the metadata of tasks
}

// gone reports whether the user may use nothing any more, or for now.
func (u User) gone() bool { return u.Disabled || !u.DeletedAt.IsZero() }

// Faults about users.
var (
	ErrNoUser         = fault.New(fault.NotFound, "user_not_found", "There is no such user.")
	ErrUsernameTaken  = fault.New(fault.Conflict, "username_taken", "Somebody has this username.")
	ErrEmailTaken     = fault.New(fault.Conflict, "email_taken", "Somebody has this email address.")
	ErrBadCredentials = fault.New(fault.Unauthenticated, "bad_credentials", "The login or the password is wrong.")
	ErrWrongPassword  = fault.New(fault.Forbidden, "wrong_password", "The old password is wrong.")
	ErrDisabled       = fault.New(fault.Forbidden, "account_disabled", "This account is disabled; ask an administrator.")
	ErrLastAdmin      = fault.New(fault.Conflict, "last_admin", "This is the last administrator; make another one first.")
	ErrInviteRequired = fault.New(fault.Forbidden, "invite_required", "An account needs an invite link; ask somebody who has one.")
	ErrClosed         = fault.New(fault.Forbidden, "registration_closed", "Registration is closed; ask an administrator.")
)

// UserStore keeps users. A nil error of a write means that it is durable.
type UserStore interface {
	// InsertUser returns ErrUsernameTaken or ErrEmailTaken.
	InsertUser(ctx context.Context, u User) error
	// UserByID returns ErrNoUser; a deleted user is one still.
	UserByID(ctx context.Context, id string) (User, error)
	// UserByLogin finds by username, or by email if login has an @; ErrNoUser, also
	// for a deleted one.
	UserByLogin(ctx context.Context, login string) (User, error)
	// SetEmail returns ErrEmailTaken or ErrNoUser.
	SetEmail(ctx context.Context, id, email string) error
	// SetPassword puts hash in the place of the hash old, as one step, and reports
	// whether that was still the user's.
	SetPassword(ctx context.Context, id, old, hash string) (bool, error)
	// HasAdmin reports whether any user is an administrator and enabled.
	HasAdmin(ctx context.Context) (bool, error)
	// Users lists those who are not deleted, in order of id.
	Users(ctx context.Context, q UserQuery) ([]User, error)
	// UpdateUser changes what is not nil and returns the user: ErrNoUser, also for
	// a deleted one; ErrLastAdmin where no enabled administrator would be left. Two
	// calls at once cannot take the last two: a store without transactions lets one
	// such call through at a time. Disabling is noted for Revoked.
	UpdateUser(ctx context.Context, id string, c UserChange, now time.Time) (User, error)
	// DeleteUser leaves the user's id, under the name and email given, without
	// password and rights, and notes the user for Revoked. Errors as UpdateUser.
	DeleteUser(ctx context.Context, id, username, email string, now time.Time) error
}

// UserQuery asks for users whose username or email begins with Prefix.
type UserQuery struct {
	Prefix   string // empty: everybody
	Disabled *bool  // nil: both
	Admin    *bool  // nil: both
	After    string // id that the page before ended with
	Limit    int
}

// UserChange is what an administrator changes of a user; nil: left as it is.
type UserChange struct{ Disabled, Admin *bool }

// MaxUsername is the length of the longest username; ids are longer.
const MaxUsername = 32

// usernamePattern keeps names that differ only in capitals, or in letters of
// other scripts, from being two. What is left of look-alikes (0 and o, 1 and l,
// - and _) are different names.
var usernamePattern = regexp.MustCompile(`^[a-z0-9_-]{3,32}$`)

// deletedPrefix begins the names of deleted users, and nobody else's.
const deletedPrefix = "deleted-"

// Limits of a password, in characters.
const (
	minPassword = 8
	maxPassword = 128
)

const maxEmail = 254 // RFC 5321, section 4.5.3.1.3, less the brackets

// Registration is what a new user says.
type Registration struct {
	Username string
	Email    string
	Password string
}

// Validate brings the fields into the form they are kept in, and reports all
// that are wrong.
func (r *Registration) Validate() error {
	var nameErr, emailErr error
	if !usernamePattern.MatchString(r.Username) {
		nameErr = fault.InvalidField("body.username", "must be 3 to 32 of a-z, 0-9, _ and -")
	} else if strings.HasPrefix(r.Username, deletedPrefix) {
		nameErr = fault.InvalidField("body.username", "must not begin with "+deletedPrefix)
	}
	r.Email, emailErr = cleanEmail("body.email", r.Email)
	return fault.Join(nameErr, emailErr, checkPassword("body.password", &r.Password))
}

// cleanEmail returns the one form in which an address is kept, so that nobody
// else can have it in another: without compatibility characters (NFKC), in small
// letters, an international domain as punycode.
func cleanEmail(field, s string) (string, error) {
	bad := fault.InvalidField(field, "is not an email address")
	s = norm.NFKC.String(strings.ToLower(norm.NFKC.String(strings.TrimSpace(s))))
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s {
		return "", bad
	}
	at := strings.LastIndexByte(s, '@')
	domain, err := idna.Lookup.ToASCII(s[at+1:])
	if err != nil {
		return "", bad
	}
	if s = s[:at+1] + domain; len(s) > maxEmail {
		return "", bad
	}
	return s, nil
}

// cleanLogin returns a login as usernames and addresses are kept.
func cleanLogin(s string) string {
	if email, err := cleanEmail("", s); err == nil {
		return email
	}
	return strings.ToLower(strings.TrimSpace(s))
}

// checkPassword also brings the password into NFC: the same one typed on
// another keyboard may come decomposed.
func checkPassword(field string, p *string) error {
	if !utf8.ValidString(*p) {
		return fault.InvalidField(field, "is not valid UTF-8")
	}
	*p = norm.NFC.String(*p)
	if n := utf8.RuneCountInString(*p); n < minPassword || n > maxPassword {
		return fault.InvalidField(field, "must have %d to %d characters", minPassword, maxPassword)
	}
	return nil
}
