package auth_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

func ptr[T any](v T) *T { return &v }

// root is an administrator.
func (f *fixture) root() auth.Caller {
	f.t.Helper()
	if _, err := f.PrepareAdmin(ctx, &auth.Registration{Username: "root", Email: "root@example.org", Password: password}); err != nil {
		f.t.Fatal(err)
	}
	p, err := f.Login(ctx, "root", password, home)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.caller(p.AccessToken)
}

// TestOneAddressInManyForms: whoever writes an address otherwise means the same one.
func TestOneAddressInManyForms(t *testing.T) {
	for kept, forms := range map[string][]string{
		"ada@example.org":       {"ADA@Example.ORG", " ada@example.org ", "ａｄａ@example.org", "ada＠example.org", "ada@ｅxample．org"},
		"zoe@xn--mnchen-3ya.de": {"zoe@münchen.de", "zoe@MÜNCHEN.de", "zoe@mu\u0308nchen.de", "ZOE@XN--MNCHEN-3YA.de"},
		"jos\u00e9@example.org": {"jose\u0301@example.org", "JOS\u00c9@example.org"},
	} {
		f := setUp(t)
		p, err := f.Register(ctx, auth.Registration{Username: "first", Email: kept, Password: password}, home)
		if err != nil || p.User.Email != kept {
			t.Fatalf("%s: kept as %q, %v", kept, p.User.Email, err)
		}
		for _, form := range forms {
			_, err := f.Register(ctx, auth.Registration{Username: "second", Email: form, Password: password}, home)
			wantErr(t, form, err, auth.ErrEmailTaken)
			if _, err := f.Login(ctx, form, password, home); err != nil {
				t.Errorf("log in as %q: %v", form, err)
			}
		}
	}
}

func TestNamesOfDeletedUsersAreNobodys(t *testing.T) {
	f := setUp(t)
	_, err := f.Register(ctx, auth.Registration{Username: "deleted-1", Email: "a@example.org", Password: password}, home)
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("registered a name as deleted users have it: %v", err)
	}
}

// TestOldHashesAreUpgraded: who logs in after the parameters have changed gets a
// hash with the new ones.
func TestOldHashesAreUpgraded(t *testing.T) {
	f := setUp(t)
	f.register("ada")
	newer := setUp(t, func(o *auth.Options) {
		o.Store, o.Memberships = f.db, f.db
		o.Hash = auth.HashParams{MemoryKiB: 16, Iterations: 2, Parallelism: 1}
	})
	cost := func() string {
		u, err := f.db.UserByLogin(ctx, "ada")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(u.PasswordHash, "$")[3]
	}
	if _, err := newer.Login(ctx, "ada", "wrong password", home); err == nil || cost() != "m=8,t=1,p=1" {
		t.Errorf("after a wrong password: %s, %v", cost(), err)
	}
	for range 2 {
		before := newer.HashesComputed()
		if _, err := newer.Login(ctx, "ada", password, home); err != nil || cost() != "m=16,t=2,p=1" {
			t.Errorf("after a login: %s, %v", cost(), err)
		}
		if n := newer.HashesComputed() - before; n > 2 {
			t.Errorf("%d hashes", n)
		}
	}
	if _, err := f.Login(ctx, "ada", password, home); err != nil {
		t.Errorf("on a server with other parameters: %v", err)
	}
}

// TestAnUnknownUserCostsTheSameHash: what an unknown user's password is compared
// with has the parameters of a known one's. TestAnUnknownUserCostsAHashToo counts.
func TestAnUnknownUserCostsTheSameHash(t *testing.T) {
	f := setUp(t)
	f.register("ada")
	u, err := f.db.UserByLogin(ctx, "ada")
	if err != nil {
		t.Fatal(err)
	}
	known, _, _, err := argon2id.DecodeHash(u.PasswordHash)
	if err != nil {
		t.Fatal(err)
	}
	unknown, _, _, err := argon2id.DecodeHash(f.DummyHash())
	if err != nil || *known != *unknown {
		t.Errorf("unknown %+v, known %+v, %v", unknown, known, err)
	}
}

func TestSessionsOfOnesOwn(t *testing.T) {
	f := setUp(t)
	_, bob := f.register("bob")
	first, ada := f.register("ada")
	f.clock.add(time.Minute)
	if _, err := f.Login(ctx, "ada", password, client("192.0.2.2")); err != nil {
		t.Fatal(err)
	}
	list, err := f.Sessions(ctx, ada, "", 10)
	if err != nil || len(list) != 2 || list[1].ID != ada.SessionID || list[0].Client != client("192.0.2.2") {
		t.Fatalf("%+v, %v", list, err)
	}
	f.clock.add(time.Minute)
	f.caller(first.AccessToken)
	if err := f.NoteUses(ctx); err != nil {
		t.Fatal(err)
	}
	if list, err = f.Sessions(ctx, ada, list[0].ID, 10); err != nil || len(list) != 1 || !list[0].LastUsedAt.Equal(f.clock.now()) {
		t.Errorf("after a use: %+v, %v", list, err)
	}
	wantErr(t, "another's", f.EndSession(ctx, bob, ada.SessionID), auth.ErrNoSession)
	if err := f.EndSession(ctx, ada, ada.SessionID); err != nil {
		t.Error(err)
	}
	f.clock.add(31 * 24 * time.Hour)
	if list, err := f.Sessions(ctx, ada, "", 10); err != nil || len(list) != 0 {
		t.Errorf("expired ones are listed: %+v, %v", list, err)
	}
}

func TestDeleteMe(t *testing.T) {
	f := setUp(t)
	p, ada := f.register("ada")
	_, secret := f.token(ada, auth.NewToken{Kind: auth.KindAPI})
	var ended []string
	f.OnRevoked(func(ids ...string) { ended = append(ended, ids...) })
	left := 0
	leave := func(context.Context) error { left++; return nil }
	wantErr(t, "wrong password", f.DeleteMe(ctx, ada, "wrong password", home, leave), auth.ErrWrongPassword)
	away := errors.New("the store is away")
	wantErr(t, "groups cannot be left", f.DeleteMe(ctx, ada, password, home, func(context.Context) error { return away }), away)
	f.caller(p.AccessToken)
	if left != 0 || len(ended) != 0 {
		t.Errorf("before it was deleted: left %d times, ended %v", left, ended)
	}
	gone, cancel := context.WithCancel(ctx)
	err := f.DeleteMe(gone, ada, password, home, func(ctx context.Context) error {
		cancel() // who asked does not wait for the answer
		return leave(ctx)
	})
	if err != nil || left != 1 || !slices.Contains(ended, ada.UserID) {
		t.Fatalf("%v; left %d times, ended %v", err, left, ended)
	}
	for name, token := range map[string]string{"session": p.AccessToken, "token": secret} {
		_, err := f.Authenticate(ctx, token)
		wantErr(t, name, err, auth.ErrUnauthenticated)
	}
	_, err = f.Refresh(ctx, p.RefreshToken, home)
	wantErr(t, "refresh", err, auth.ErrBadRefresh)
	u, err := f.UserByID(ctx, ada.UserID)
	if err != nil || !strings.HasPrefix(u.Username, "deleted-") || strings.Contains(u.Email, "@") || u.PasswordHash != "" || u.DeletedAt.IsZero() {
		t.Errorf("left: %+v, %v", u, err)
	}
	for _, login := range []string{"ada", "ada@example.org", u.Username, u.Email} {
		for _, password := range []string{password, ""} {
			_, err := f.Login(ctx, login, password, home)
			wantErr(t, "log in as "+login, err, auth.ErrBadCredentials)
		}
	}
	f.register("ada") // name and email are free
	if toks, err := f.Tokens(ctx, ada, "", 10); err != nil || len(toks) != 0 {
		t.Errorf("tokens stay: %v, %v", toks, err)
	}
}

func TestDeletionIsThrottled(t *testing.T) {
	f := setUp(t)
	_, ada := f.register("ada")
	leave := func(context.Context) error { return nil }
	for range 10 {
		wantErr(t, "guess", f.DeleteMe(ctx, ada, "wrong password", home, leave), auth.ErrWrongPassword)
	}
	if err := f.DeleteMe(ctx, ada, password, home, leave); fault.KindOf(err) != fault.TooMany {
		t.Errorf("11th: %v", err)
	}
	if err := f.DeleteMe(ctx, ada, password, client("192.0.2.2"), leave); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}

func TestTheLastAdminStays(t *testing.T) {
	f := setUp(t)
	root := f.root()
	leave := func(context.Context) error { t.Error("left a group for nothing"); return nil }
	wantErr(t, "delete", f.DeleteMe(ctx, root, password, home, leave), auth.ErrLastAdmin)
	_, err := f.UpdateUser(ctx, root, root.UserID, auth.UserChange{Disabled: ptr(true)})
	wantErr(t, "disable", err, auth.ErrLastAdmin)
	if err := f.Logout(ctx, root); err != nil {
		t.Fatal(err)
	}
	root = f.root()
	_, ada := f.register("ada")
	if u, err := f.UpdateUser(ctx, root, ada.UserID, auth.UserChange{Admin: ptr(true)}); err != nil || !u.Admin {
		t.Errorf("%+v, %v", u, err)
	}
	if err := f.DeleteMe(ctx, root, password, home, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestOnlyAdminsAdminister(t *testing.T) {
	f := setUp(t)
	_, ada := f.register("ada")
	_, err := f.Accounts(ctx, ada, auth.UserQuery{Limit: 10})
	wantErr(t, "list", err, auth.ErrNotAdmin)
	_, err = f.UpdateUser(ctx, ada, ada.UserID, auth.UserChange{Admin: ptr(true)})
	wantErr(t, "change", err, auth.ErrNotAdmin)
}

// TestAdminRightsFollow: what an administrator may do follows the change at once,
// on the server that made it.
func TestAdminRightsFollow(t *testing.T) {
	f := setUp(t)
	root := f.root()
	p, ada := f.register("ada")
	for _, is := range []bool{true, false} {
		if _, err := f.UpdateUser(ctx, root, ada.UserID, auth.UserChange{Admin: &is}); err != nil {
			t.Fatal(err)
		}
		if c := f.caller(p.AccessToken); c.Admin != is {
			t.Errorf("admin is %v, want %v", c.Admin, is)
		}
	}
}

// TestWatch: a started service hears of what another one ended, once, and writes
// uses by itself.
func TestWatch(t *testing.T) {
	f := setUp(t)
	other := setUp(t, func(o *auth.Options) { o.Store, o.Memberships, o.Now = f.db, f.db, f.clock.now })
	heard := make(chan string, 10)
	other.OnRevoked(func(ids ...string) {
		for _, id := range ids {
			heard <- id
		}
	})
	other.OnRevokedHere(func(ids ...string) { t.Errorf("passed on %v, which ended elsewhere", ids) })
	if err := other.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer other.Stop(ctx)
	_, ada := f.register("ada")
	tok, secret := f.token(ada, auth.NewToken{Kind: auth.KindAPI})
	other.caller(secret)
	next := func() string {
		select {
		case id := <-heard:
			return id
		case <-time.After(10 * time.Second):
			return "nothing"
		}
	}
	if err := f.DeleteToken(ctx, ada, tok.ID); err != nil {
		t.Fatal(err)
	}
	if id := next(); id != tok.ID {
		t.Errorf("heard of %s, want %s", id, tok.ID)
	}
	if _, err := other.Authenticate(ctx, secret); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("what was remembered of it: %v", err)
	}
	if err := f.Logout(ctx, ada); err != nil {
		t.Fatal(err)
	}
	if id := next(); id != ada.SessionID {
		t.Errorf("heard of %s, want %s: the token is old news", id, ada.SessionID)
	}
	if err := errors.Join(other.Stop(ctx), other.Stop(ctx)); err != nil {
		t.Error(err)
	}
}
