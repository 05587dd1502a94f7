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

	"golang.org/x/text/unicode/norm"

	"github.com/firmlight/firmlight/internal/fault"
)

// User is a person with an account.
type User struct {
	ID           string
	Username     string
	Email        string // lower case
	PasswordHash string // argon2id, with its parameters
	Admin        bool   // of the installation
	CreatedAt    time.Time
}

// Faults about users.
var (
	ErrNoUser         = fault.New(fault.NotFound, "user_not_found", "There is no such user.")
	ErrUsernameTaken  = fault.New(fault.Conflict, "username_taken", "Somebody has this username.")
	ErrEmailTaken     = fault.New(fault.Conflict, "email_taken", "Somebody has this email address.")
	ErrBadCredentials = fault.New(fault.Unauthenticated, "bad_credentials", "The login or the password is wrong.")
	ErrWrongPassword  = fault.New(fault.Forbidden, "wrong_password", "The old password is wrong.")
	ErrClosed         = fault.New(fault.Forbidden, "registration_closed", "Registration is closed; ask an administrator.")
)

// UserStore keeps users. A nil error of a write means that it is durable.
type UserStore interface {
	// InsertUser returns ErrUsernameTaken or ErrEmailTaken.
	InsertUser(ctx context.Context, u User) error
	// UserByID returns ErrNoUser.
	UserByID(ctx context.Context, id string) (User, error)
	// UserByLogin finds by username, or by email if login has an @; ErrNoUser.
	UserByLogin(ctx context.Context, login string) (User, error)
	// SetEmail returns ErrEmailTaken or ErrNoUser.
	SetEmail(ctx context.Context, id, email string) error
	// SetPassword returns ErrNoUser.
	SetPassword(ctx context.Context, id, hash string) error
	// HasAdmin reports whether any user is an administrator.
	HasAdmin(ctx context.Context) (bool, error)
}

var usernamePattern = regexp.MustCompile(`^[a-z0-9_-]{3,32}$`)

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
	}
	r.Email, emailErr = cleanEmail("body.email", r.Email)
	return fault.Join(nameErr, emailErr, checkPassword("body.password", &r.Password))
}

func cleanEmail(field, s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(norm.NFC.String(s)))
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > maxEmail {
		return "", fault.InvalidField(field, "is not an email address")
	}
	return s, nil
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
