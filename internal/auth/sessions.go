package auth

import (
	"context"
	"errors"

	"github.com/firmlight/firmlight/internal/fault"
)

// newSession logs a user in.
func (s *Service) newSession(ctx context.Context, u User, from Client) (Pair, error) {
	now := s.opt.Now()
	ses := Session{
		ID: newID(), UserID: u.ID, Generation: 1, RotatedAt: now, ExpiresAt: now.Add(s.opt.RefreshTTL), CreatedAt: now,
		LastUsedAt: now, Client: from.clean(),
	}
	if err := s.opt.Store.InsertSession(ctx, ses); err != nil {
		return Pair{}, err
	}
	return s.pair(u, ses)
}

// pair is a function of the row: the same row, the same tokens.
func (s *Service) pair(u User, ses Session) (Pair, error) {
	access, err := s.signer.access(ses)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		User: u, AccessToken: access, RefreshToken: s.signer.refresh(ses.ID, ses.Generation),
		ExpiresIn: ses.RotatedAt.Add(s.opt.AccessTTL).Sub(s.opt.Now()), RefreshUntil: ses.ExpiresAt,
	}, nil
}

// Refresh exchanges a refresh token for a new pair, once; within ReuseGrace it
// gives the same pair again. A later use ends the session: ErrBadRefresh, then
// with UsedAgain as its cause.
func (s *Service) Refresh(ctx context.Context, token string, from Client) (Pair, error) {
	id, generation, ok := s.signer.checkRefresh(token)
	if !ok {
		return Pair{}, ErrBadRefresh
	}
	now := s.opt.Now()
	if _, err := s.liveSession(ctx, id); err != nil {
		return Pair{}, err
	}
	rotated, err := s.opt.Store.RotateSession(ctx, id, generation, from.clean(), now, now.Add(s.opt.RefreshTTL))
	if err != nil {
		return Pair{}, err
	}
	ses, err := s.liveSession(ctx, id) // as it is now, by us or by another
	if err != nil {
		return Pair{}, err
	}
	if !rotated && (generation != ses.Generation-1 || now.Sub(ses.RotatedAt) > ReuseGrace) {
		if err := s.endSession(ctx, id); err != nil {
			return Pair{}, err
		}
		s.opt.Log.WarnContext(ctx, "refresh token used again: session ended", "user_id", ses.UserID, "session_id", id)
		u, err := s.userOf(ctx, ses)
		if err != nil {
			return Pair{}, err
		}
		return Pair{}, fault.Wrap(UsedAgain{u, id}, ErrBadRefresh.Kind, ErrBadRefresh.Code, "%s", ErrBadRefresh.Detail)
	}
	u, err := s.opt.Store.UserByID(ctx, ses.UserID)
	if errors.Is(err, ErrNoUser) || u.gone() {
		err = ErrBadRefresh
	}
	if err != nil {
		return Pair{}, err
	}
	return s.pair(u, ses)
}

// UsedAgain is the cause of an ErrBadRefresh that ended a session.
type UsedAgain struct {
	User    User // zero where it is not known any more
	Session string
}

func (UsedAgain) Error() string { return "the refresh token was used before" }

// userOf returns a session's user, the zero User where there is none any more.
func (s *Service) userOf(ctx context.Context, ses Session) (User, error) {
	u, err := s.opt.Store.UserByID(ctx, ses.UserID)
	if errors.Is(err, ErrNoUser) {
		err = nil
	}
	return u, err
}

// liveSession returns ErrBadRefresh for one that ended or expired.
func (s *Service) liveSession(ctx context.Context, id string) (Session, error) {
	ses, err := s.opt.Store.SessionByID(ctx, id)
	if errors.Is(err, ErrNoSession) || (err == nil && !s.opt.Now().Before(ses.ExpiresAt)) {
		return Session{}, ErrBadRefresh
	}
	return ses, err
}

// Sessions lists the caller's sessions, newest first, after the one with id before.
func (s *Service) Sessions(ctx context.Context, c Caller, before string, limit int) ([]Session, error) {
	return s.opt.Store.Logins(ctx, c.UserID, s.opt.Now(), before, limit)
}

// EndSession ends one of the caller's sessions: ErrNoSession.
func (s *Service) EndSession(ctx context.Context, c Caller, id string) error {
	ses, err := s.opt.Store.SessionByID(ctx, id)
	if err == nil && ses.UserID != c.UserID {
		err = ErrNoSession
	}
	if err != nil {
		return err
	}
	return s.endSession(ctx, id)
}

// Logout ends the caller's session.
func (s *Service) Logout(ctx context.Context, c Caller) error {
	return s.endSession(ctx, c.SessionID)
}

// LogoutRefresh ends the session of a refresh token, also of one used before,
// and returns whose it was, the zero User where it had ended: ErrBadRefresh if
// the server never made the token.
func (s *Service) LogoutRefresh(ctx context.Context, token string) (User, error) {
	id, _, ok := s.signer.checkRefresh(token)
	if !ok {
		return User{}, ErrBadRefresh
	}
	ses, err := s.opt.Store.SessionByID(ctx, id)
	if errors.Is(err, ErrNoSession) {
		return User{}, nil
	}
	var u User
	if err == nil {
		u, err = s.userOf(ctx, ses)
	}
	if err != nil {
		return User{}, err
	}
	return u, s.endSession(ctx, id)
}

// LogoutAll ends every session of the caller.
func (s *Service) LogoutAll(ctx context.Context, c Caller) error {
	return s.endSessions(ctx, c.UserID, "")
}

func (s *Service) endSession(ctx context.Context, id string) error {
	err := s.opt.Store.DeleteSession(ctx, id, s.opt.Now())
	s.ended(id)
	return err
}

func (s *Service) endSessions(ctx context.Context, user, except string) error {
	ids, err := s.opt.Store.DeleteSessions(ctx, user, except, s.opt.Now())
	s.ended(ids...)
	return err
}
