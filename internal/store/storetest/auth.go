package storetest

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/auth"
)

// Auth is the conformance suite of auth.Store; open returns an empty one.
func Auth(t *testing.T, open func(t *testing.T) auth.Store) {
	for name, test := range map[string]func(*testing.T, auth.Store){
		"users":                      authUsers,
		"one of many with a name":    authUserRace,
		"sessions":                   authSessions,
		"one rotation wins":          authRotationRace,
		"sessions of a user end":     authDeleteSessions,
		"sessions are listed":        authLogins,
		"users are listed":           authUserList,
		"users change":               authUpdateUser,
		"an administrator stays":     authLastAdmin,
		"users are deleted":          authDeleteUser,
		"what was revoked":           authRevoked,
		"tokens":                     authTokens,
		"tokens are listed in pages": authTokenPages,
		"expired ones go":            authExpired,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// clock is a time as stores keep it.
var clock = time.UnixMilli(1_800_000_000_123).UTC()

func id() string { return uuid.Must(uuid.NewV7()).String() }

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newUser(name string) auth.User {
	return auth.User{ID: id(), Username: name, Email: name + "@example.org", PasswordHash: "hash of " + name, CreatedAt: clock}
}

func authUsers(t *testing.T, s auth.Store) {
	ctx := context.Background()
	if has, err := s.HasAdmin(ctx); has || err != nil {
		t.Errorf("an empty store has an admin: %v, %v", has, err)
	}
	ada, bob := newUser("ada"), newUser("bob")
	bob.Admin = true
	must(t, s.InsertUser(ctx, ada))
	if has, err := s.HasAdmin(ctx); has || err != nil {
		t.Errorf("a plain user counts as admin: %v, %v", has, err)
	}
	must(t, s.InsertUser(ctx, bob))
	if has, err := s.HasAdmin(ctx); !has || err != nil {
		t.Errorf("no admin: %v, %v", has, err)
	}
	for _, login := range []string{"bob", "bob@example.org"} {
		if got, err := s.UserByLogin(ctx, login); err != nil || got != bob {
			t.Errorf("UserByLogin(%q) = %+v, %v", login, got, err)
		}
	}
	if got, err := s.UserByID(ctx, ada.ID); err != nil || got != ada {
		t.Errorf("UserByID = %+v, %v", got, err)
	}
	_, err := s.UserByID(ctx, id())
	wantErr(t, "unknown id", err, auth.ErrNoUser)
	_, err = s.UserByLogin(ctx, "eve")
	wantErr(t, "unknown login", err, auth.ErrNoUser)

	same := newUser("ada")
	same.Email = "other@example.org"
	wantErr(t, "second ada", s.InsertUser(ctx, same), auth.ErrUsernameTaken)
	same = newUser("eve")
	same.Email = ada.Email
	wantErr(t, "second email", s.InsertUser(ctx, same), auth.ErrEmailTaken)

	wantErr(t, "taken email", s.SetEmail(ctx, ada.ID, bob.Email), auth.ErrEmailTaken)
	wantErr(t, "email of nobody", s.SetEmail(ctx, id(), "x@example.org"), auth.ErrNoUser)
	for who, old := range map[string]string{id(): "x", ada.ID: "not the hash of ada"} {
		if ok, err := s.SetPassword(ctx, who, old, "new hash"); ok || err != nil {
			t.Errorf("SetPassword in the place of another = %v, %v", ok, err)
		}
	}
	must(t, s.SetEmail(ctx, ada.ID, ada.Email)) // one's own is not taken
	must(t, s.SetEmail(ctx, ada.ID, "new@example.org"))
	if ok, err := s.SetPassword(ctx, ada.ID, ada.PasswordHash, "new hash"); !ok || err != nil {
		t.Errorf("SetPassword = %v, %v", ok, err)
	}
	ada.Email, ada.PasswordHash = "new@example.org", "new hash"
	if got, err := s.UserByLogin(ctx, "new@example.org"); err != nil || got != ada {
		t.Errorf("after the change: %+v, %v", got, err)
	}
}

// atOnce runs f n times at once and counts the nil errors.
func atOnce(n int, f func(i int) error) (succeeded int, failed []error) {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			succeeded++
		} else {
			failed = append(failed, err)
		}
	}
	return succeeded, failed
}

func authUserRace(t *testing.T, s auth.Store) {
	n, failed := atOnce(8, func(int) error {
		u := newUser("ada")
		u.Email = u.ID + "@example.org"
		return s.InsertUser(context.Background(), u)
	})
	if n != 1 {
		t.Errorf("%d of 8 got the name", n)
	}
	for _, err := range failed {
		wantErr(t, "loser", err, auth.ErrUsernameTaken)
	}
}

func newSession(user string) auth.Session {
	return auth.Session{
		ID: id(), UserID: user, Generation: 1, RotatedAt: clock, ExpiresAt: clock.Add(time.Hour), CreatedAt: clock,
		LastUsedAt: clock, Client: auth.Client{Address: netip.MustParseAddr("2001:db8::1"), UserAgent: "a browser"},
	}
}

func authSessions(t *testing.T, s auth.Store) {
	ctx := context.Background()
	ses := newSession("u")
	must(t, s.InsertSession(ctx, ses))
	if got, err := s.SessionByID(ctx, ses.ID); err != nil || got != ses {
		t.Errorf("SessionByID = %+v, %v", got, err)
	}
	if ok, err := s.RotateSession(ctx, ses.ID, 2, auth.Client{}, clock, clock); ok || err != nil {
		t.Errorf("rotated from a generation that is not the newest: %v, %v", ok, err)
	}
	later := clock.Add(time.Minute)
	if ok, err := s.RotateSession(ctx, ses.ID, 1, auth.Client{UserAgent: "another"}, later, later.Add(time.Hour)); !ok || err != nil {
		t.Errorf("RotateSession = %v, %v", ok, err)
	}
	ses.Generation, ses.RotatedAt, ses.ExpiresAt = 2, later, later.Add(time.Hour)
	ses.LastUsedAt, ses.Client = later, auth.Client{UserAgent: "another"}
	if got, err := s.SessionByID(ctx, ses.ID); err != nil || got != ses {
		t.Errorf("after rotation: %+v, %v", got, err)
	}
	must(t, s.DeleteSession(ctx, ses.ID, clock))
	must(t, s.DeleteSession(ctx, ses.ID, clock))
	_, err := s.SessionByID(ctx, ses.ID)
	wantErr(t, "deleted session", err, auth.ErrNoSession)
	if ok, err := s.RotateSession(ctx, ses.ID, 2, auth.Client{}, later, later); ok || err != nil {
		t.Errorf("rotated a deleted session: %v, %v", ok, err)
	}
}

func authRotationRace(t *testing.T, s auth.Store) {
	ses := newSession("u")
	must(t, s.InsertSession(context.Background(), ses))
	lost := errors.New("lost")
	n, failed := atOnce(8, func(int) error {
		ok, err := s.RotateSession(context.Background(), ses.ID, 1, auth.Client{}, clock, clock.Add(time.Hour))
		if err == nil && !ok {
			err = lost
		}
		return err
	})
	if n != 1 {
		t.Errorf("%d of 8 rotated", n)
	}
	for _, err := range failed {
		wantErr(t, "loser", err, lost)
	}
}

func authDeleteSessions(t *testing.T, s auth.Store) {
	ctx := context.Background()
	keep, end, other := newSession("u"), newSession("u"), newSession("v")
	for _, ses := range []auth.Session{keep, end, other} {
		must(t, s.InsertSession(ctx, ses))
	}
	if ids, err := s.DeleteSessions(ctx, "u", keep.ID, clock); err != nil || !slices.Equal(ids, []string{end.ID}) {
		t.Errorf("DeleteSessions = %v, %v", ids, err)
	}
	for _, ses := range []auth.Session{keep, other} {
		_, err := s.SessionByID(ctx, ses.ID)
		must(t, err)
	}
	if ids, err := s.DeleteSessions(ctx, "u", "", clock); err != nil || !slices.Equal(ids, []string{keep.ID}) {
		t.Errorf("DeleteSessions of all = %v, %v", ids, err)
	}
}

func newToken(user string) auth.Token {
	i := id()
	return auth.Token{ID: i, UserID: user, Kind: auth.KindWorker, Name: "lab", Hash: "hash of " + i, CreatedAt: clock}
}

func authTokens(t *testing.T, s auth.Store) {
	ctx := context.Background()
	plain, full := newToken("u"), newToken("u")
	full.Kind, full.Groups, full.Scopes = auth.KindAPI, []string{"g", "h"}, []auth.Scope{auth.TasksRead}
	full.DeviceID, full.ExpiresAt = "d", clock.Add(time.Hour)
	for _, want := range []auth.Token{plain, full} {
		must(t, s.InsertToken(ctx, want))
		if got, err := s.TokenByHash(ctx, want.Hash); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("TokenByHash = %+v, %v, want %+v", got, err, want)
		}
	}
	must(t, s.Touch(ctx, clock.Add(time.Minute), []string{id(), full.ID}))
	if got, err := s.TokenByHash(ctx, full.Hash); err != nil || !got.LastUsedAt.Equal(clock.Add(time.Minute)) {
		t.Errorf("touched: %v, %v", got.LastUsedAt, err)
	}
	_, err := s.TokenByHash(ctx, "unknown")
	wantErr(t, "unknown hash", err, auth.ErrNoToken)
	wantErr(t, "another's", s.DeleteToken(ctx, "v", plain.ID, clock), auth.ErrNoToken)
	must(t, s.DeleteToken(ctx, "u", plain.ID, clock))
	wantErr(t, "deleted", s.DeleteToken(ctx, "u", plain.ID, clock), auth.ErrNoToken)
	_, err = s.TokenByHash(ctx, plain.Hash)
	wantErr(t, "deleted hash", err, auth.ErrNoToken)
}

func authTokenPages(t *testing.T, s auth.Store) {
	ctx := context.Background()
	var want []string // newest first
	for range 5 {
		tok := newToken("u")
		want = slices.Insert(want, 0, tok.ID)
		must(t, s.InsertToken(ctx, tok))
	}
	must(t, s.InsertToken(ctx, newToken("v")))
	var got []string
	for before := ""; ; before = got[len(got)-1] {
		page, err := s.Tokens(ctx, "u", before, 2)
		must(t, err)
		for _, tok := range page {
			got = append(got, tok.ID)
		}
		if len(page) < 2 {
			break
		}
		must(t, s.InsertToken(ctx, newToken("u"))) // a new row shifts nothing
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages %v, want %v", got, want)
	}
}

func authExpired(t *testing.T, s auth.Store) {
	ctx := context.Background()
	old, fresh := newSession("u"), newSession("u")
	old.ExpiresAt = clock.Add(-time.Millisecond)
	oldToken, forever := newToken("u"), newToken("u")
	oldToken.ExpiresAt = clock.Add(-time.Millisecond)
	must(t, errors.Join(s.InsertSession(ctx, old), s.InsertSession(ctx, fresh),
		s.InsertToken(ctx, oldToken), s.InsertToken(ctx, forever)))
	if n, err := s.DeleteExpiredLogins(ctx, clock); n != 2 || err != nil {
		t.Errorf("DeleteExpiredLogins = %d, %v, want 2", n, err)
	}
	_, err := s.SessionByID(ctx, fresh.ID)
	must(t, err)
	_, err = s.TokenByHash(ctx, forever.Hash)
	must(t, err)
	_, err = s.SessionByID(ctx, old.ID)
	wantErr(t, "expired session", err, auth.ErrNoSession)
}
