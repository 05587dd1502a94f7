package auth

import (
	"context"
	"errors"
	"strings"
)

// UserByID returns ErrNoUser.
func (s *Service) UserByID(ctx context.Context, id string) (User, error) {
	return s.opt.Store.UserByID(ctx, id)
}

// UserByLogin returns whom Login would look for: ErrNoUser.
func (s *Service) UserByLogin(ctx context.Context, login string) (User, error) {
	return s.opt.Store.UserByLogin(ctx, cleanLogin(login))
}

// ChangeEmail returns ErrEmailTaken or a fault with the field.
func (s *Service) ChangeEmail(ctx context.Context, user, email string) error {
	email, err := cleanEmail("body.email", email)
	if err != nil {
		return err
	}
	return s.opt.Store.SetEmail(ctx, user, email)
}

// ChangePassword asks for the old password (ErrWrongPassword, throttled as a
// login is) and ends all other sessions of the caller.
func (s *Service) ChangePassword(ctx context.Context, c Caller, old, replacement string, from Client) error {
	if err := checkPassword("body.new_password", &replacement); err != nil {
		return err
	}
	u, err := s.confirm(ctx, c, old, from)
	if err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, replacement)
	if err != nil {
		return err
	}
	ok, err := s.opt.Store.SetPassword(ctx, c.UserID, u.PasswordHash, hash)
	if err == nil && !ok {
		err = ErrWrongPassword // by now: it was changed meanwhile
	}
	if err != nil {
		return err
	}
	return s.endSessions(ctx, c.UserID, c.SessionID)
}

// confirm asks the caller for their password: ErrWrongPassword.
func (s *Service) confirm(ctx context.Context, c Caller, password string, from Client) (User, error) {
	u, err := s.passwordOf(ctx, c.Username, password, from)
	if errors.Is(err, ErrBadCredentials) {
		err = ErrWrongPassword
	}
	return u, err
}

// DeleteMe ends the caller's account: ErrWrongPassword, ErrLastAdmin. leave has
// to take the user out of everything that other people share; where it fails the
// account stays, and can be deleted again. What is left is the user's id under
// another name, for the metadata of tasks.
func (s *Service) DeleteMe(ctx context.Context, c Caller, password string, from Client, leave func(context.Context) error) error {
	u, err := s.confirm(ctx, c, password, from)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // half of it is no good
	if u.Admin {                     // first of all: this may be refused
		no := false
		if _, err := s.opt.Store.UpdateUser(ctx, u.ID, UserChange{Admin: &no}, s.opt.Now()); err != nil {
			return err
		}
	}
	if err := leave(ctx); err != nil {
		return err
	}
	name := deletedPrefix + randomPart(u.ID)
	if err := s.opt.Store.DeleteUser(ctx, u.ID, name, name, s.opt.Now()); err != nil { // an address without @ is nobody's
		return err
	}
	s.ended(u.ID)
	_, err = s.opt.Store.DeleteSessions(ctx, u.ID, "", s.opt.Now())
	if err = errors.Join(err, s.opt.Store.DeleteTokens(ctx, u.ID)); err != nil { // they are of no use to anybody
		s.opt.Log.WarnContext(ctx, "logins of a deleted user stay", "user_id", u.ID, "error", err)
	}
	return nil
}

// randomPart returns the 62 random bits of a UUIDv7, and its variant, as 16 digits.
func randomPart(id string) string { return strings.ReplaceAll(id, "-", "")[16:] }

// Account is a user as administrators see one.
type Account struct {
	User
	Groups int // how many
}

// Accounts lists users for an administrator, in order of id: ErrNotAdmin.
func (s *Service) Accounts(ctx context.Context, c Caller, q UserQuery) ([]Account, error) {
	if !c.Admin {
		return nil, ErrNotAdmin
	}
	q.Prefix = cleanLogin(q.Prefix)
	users, err := s.opt.Store.Users(ctx, q)
	if err != nil {
		return nil, err
	}
	return s.accounts(ctx, users...)
}

func (s *Service) accounts(ctx context.Context, users ...User) ([]Account, error) {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	counts, err := s.opt.Memberships.GroupCounts(ctx, ids)
	if err != nil {
		return nil, err
	}
	all := make([]Account, len(users))
	for i, u := range users {
		all[i] = Account{User: u, Groups: counts[u.ID]}
	}
	return all, nil
}

// UpdateUser is what an administrator may change of anybody: ErrNotAdmin,
// ErrNoUser, ErrLastAdmin. Whoever is disabled is logged out everywhere, and
// their tokens do nothing until they are enabled again.
func (s *Service) UpdateUser(ctx context.Context, c Caller, id string, change UserChange) (Account, error) {
	if !c.Admin {
		return Account{}, ErrNotAdmin
	}
	u, err := s.opt.Store.UpdateUser(ctx, id, change, s.opt.Now())
	if err != nil {
		return Account{}, err
	}
	s.cache.drop(id)
	if change.Disabled != nil && *change.Disabled {
		s.ended(id)
		if err := s.endSessions(ctx, id, ""); err != nil {
			return Account{}, err
		}
	}
	all, err := s.accounts(ctx, u)
	if err != nil {
		return Account{}, err
	}
	return all[0], nil
}
