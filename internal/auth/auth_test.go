package auth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/store/sqlite"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

type fixture struct {
	*auth.Service
	t      *testing.T
	db     *sqlite.DB
	clock  *clock
	groups *groups.Service
	log    *bytes.Buffer
}

var (
	ctx  = context.Background()
	home = client("192.0.2.1")
)

const password = "correct horse"

func client(addr string) auth.Client {
	return auth.Client{Address: netip.MustParseAddr(addr), UserAgent: "a browser"}
}

func setUp(t *testing.T, change ...func(*auth.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: &clock{at: time.UnixMilli(1_800_000_000_000).UTC()}, log: &bytes.Buffer{}}
	f.db = sqlitetest.Open(t)
	o := auth.Options{
		Store: f.db, Memberships: f.db, Throttle: auth.NewThrottle(f.clock.now), Secret: []byte(strings.Repeat("s", 32)),
		AccessTTL: 15 * time.Minute, RefreshTTL: 30 * 24 * time.Hour,
		Hash: auth.HashParams{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, HashesAtOnce: 2, Registration: true,
		Now: f.clock.now, Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	f.Service = newService(t, o)
	f.groups = groups.NewService(f.db, f.db, auth.NewThrottle(f.clock.now), f.clock.now)
	return f
}

func newService(t *testing.T, o auth.Options) *auth.Service {
	t.Helper()
	s, err := auth.NewService(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *fixture) register(name string) (auth.Pair, auth.Caller) {
	f.t.Helper()
	p, err := f.Register(ctx, auth.Registration{Username: name, Email: name + "@example.org", Password: password}, home)
	if err != nil {
		f.t.Fatal(err)
	}
	return p, f.caller(p.AccessToken)
}

func (f *fixture) caller(token string) auth.Caller {
	f.t.Helper()
	c, err := f.Authenticate(ctx, token)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) group(c auth.Caller) string {
	f.t.Helper()
	g, err := f.groups.Create(ctx, c, "lab", "", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return g.ID
}

func (f *fixture) token(c auth.Caller, n auth.NewToken) (auth.Token, string) {
	f.t.Helper()
	if n.Name == "" {
		n.Name = "lab"
	}
	tok, secret, err := f.CreateToken(ctx, c, n)
	if err != nil {
		f.t.Fatal(err)
	}
	return tok, secret
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func TestRegistration(t *testing.T) {
	f := setUp(t)
	p, c := f.register("ada")
	if p.User.Username != "ada" || c.UserID != p.User.ID || c.Kind != auth.KindSession || c.Admin {
		t.Errorf("pair of %+v, caller %+v", p.User, c)
	}
	_, err := f.Register(ctx, auth.Registration{Username: "ada", Email: "b@example.org", Password: password}, home)
	wantErr(t, "name", err, auth.ErrUsernameTaken)
	_, err = f.Register(ctx, auth.Registration{Username: "bob", Email: " ADA@example.org ", Password: password}, home)
	wantErr(t, "email in capitals", err, auth.ErrEmailTaken)
	closed := setUp(t, func(o *auth.Options) { o.Registration = false })
	_, err = closed.Register(ctx, auth.Registration{Username: "ada", Email: "ada@example.org", Password: password}, home)
	wantErr(t, "closed", err, auth.ErrClosed)
}

func TestRegistrationNamesEveryWrongField(t *testing.T) {
	good := auth.Registration{Username: "abc", Email: "a@example.org", Password: "12345678"}
	for _, c := range []struct {
		name   string
		change func(*auth.Registration)
		want   []string
	}{
		{"shortest", func(*auth.Registration) {}, nil},
		{"longest", func(r *auth.Registration) {
			r.Username, r.Password = strings.Repeat("a", 32), strings.Repeat("é", 128)
		}, nil},
		{"decomposed counts as one", func(r *auth.Registration) { r.Password = strings.Repeat("e\u0301", 128) }, nil},
		{"too short", func(r *auth.Registration) { r.Username, r.Password = "ab", "1234567" }, []string{"body.username", "body.password"}},
		{"too long", func(r *auth.Registration) {
			r.Username, r.Password = strings.Repeat("a", 33), strings.Repeat("a", 129)
		}, []string{"body.username", "body.password"}},
		{"capitals", func(r *auth.Registration) { r.Username = "Ada" }, []string{"body.username"}},
		{"newline", func(r *auth.Registration) { r.Username = "ada\n" }, []string{"body.username"}},
		{"named address", func(r *auth.Registration) { r.Email = "Ada <a@example.org>" }, []string{"body.email"}},
		{"no address", func(r *auth.Registration) { r.Email = "ada" }, []string{"body.email"}},
		{"domain that is none", func(r *auth.Registration) { r.Email = "a@xn--0.org" }, []string{"body.email"}},
		{"domain with a space", func(r *auth.Registration) { r.Email = "a@b\u00a0c.org" }, []string{"body.email"}},
		{"domain of digits in brackets", func(r *auth.Registration) { r.Email = "a@[192.0.2.1]" }, []string{"body.email"}},
		{"long address", func(r *auth.Registration) { r.Email = strings.Repeat("a", 250) + "@b.org" }, []string{"body.email"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := good
			c.change(&r)
			var f *fault.Error
			var got []string
			if err := r.Validate(); errors.As(err, &f) {
				for _, field := range f.Fields {
					got = append(got, field.Field)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("wrong: %v, want %v", got, c.want)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	f := setUp(t)
	f.register("ada")
	for _, login := range []string{"ada", "ADA", "ada@example.org", " Ada@Example.org"} {
		if _, err := f.Login(ctx, login, password, home); err != nil {
			t.Errorf("%q: %v", login, err)
		}
	}
	for _, c := range []struct{ login, password string }{
		{"ada", "wrong password"}, {"eve", password}, {"eve@example.org", password}, {"ada", ""},
		{"ada", strings.Repeat("x", 10_000)}, {"ada", "\xff\xff\xff\xff\xff\xff\xff\xff"},
	} {
		_, err := f.Login(ctx, c.login, c.password, home)
		wantErr(t, c.login, err, auth.ErrBadCredentials)
	}
}

func TestAnUnknownUserCostsAHashToo(t *testing.T) {
	f := setUp(t)
	f.register("ada")
	for _, c := range []struct{ name, login, password string }{
		{"wrong password", "ada", "wrong password"}, {"unknown user", "eve", password},
		{"password too short", "ada", "x"}, {"right", "ada", password},
	} {
		before := f.HashesComputed()
		_, _ = f.Login(ctx, c.login, c.password, home)
		if n := f.HashesComputed() - before; n != 1 {
			t.Errorf("%s: %d hashes, want 1", c.name, n)
		}
	}
}

func TestLoginThrottle(t *testing.T) {
	f := setUp(t)
	f.register("ada")
	fail := func(login string, from auth.Client) error {
		_, err := f.Login(ctx, login, "wrong password", from)
		return err
	}
	for range 10 {
		wantErr(t, "failure", fail("ada", home), auth.ErrBadCredentials)
		f.clock.add(time.Second)
	}
	_, err := f.Login(ctx, "ada", password, home)
	var limited *fault.Error
	if !errors.As(err, &limited) || limited.Kind != fault.TooMany || limited.RetryAfter != 5*time.Minute-10*time.Second {
		t.Fatalf("11th: %#v", err)
	}
	if _, err := f.Login(ctx, "ada", password, client("192.0.2.2")); err != nil {
		t.Errorf("from elsewhere the account is locked: %v", err)
	}
	f.clock.add(limited.RetryAfter)
	if _, err := f.Login(ctx, "ada", password, home); err != nil {
		t.Errorf("after Retry-After: %v", err)
	}
}

func TestAddressThrottle(t *testing.T) {
	f := setUp(t)
	f.register("ada")
	for i := range 100 {
		_, err := f.Login(ctx, "user"+string(rune('a'+i/10)), "wrong password", home)
		wantErr(t, "failure", err, auth.ErrBadCredentials)
	}
	_, err := f.Login(ctx, "ada", password, home)
	if fault.KindOf(err) != fault.TooMany {
		t.Errorf("after 100 failures: %v", err)
	}
}

func TestSuccessDoesNotCount(t *testing.T) {
	f := setUp(t)
	f.register("ada")
	for range 30 {
		if _, err := f.Login(ctx, "ada", password, home); err != nil {
			t.Fatal(err)
		}
	}
}

func TestManyAtOnceDoNotSlipThrough(t *testing.T) {
	f := setUp(t)
	f.register("ada")
	var wg sync.WaitGroup
	var mu sync.Mutex
	tried := 0
	for range 40 {
		wg.Go(func() {
			_, err := f.Login(ctx, "ada", "wrong password", home)
			if errors.Is(err, auth.ErrBadCredentials) {
				mu.Lock()
				defer mu.Unlock()
				tried++
			}
		})
	}
	wg.Wait()
	if tried != 10 {
		t.Errorf("%d passwords were tried, want 10", tried)
	}
}

func TestRefresh(t *testing.T) {
	f := setUp(t)
	first, _ := f.register("ada")
	f.clock.add(time.Minute)
	second, err := f.Refresh(ctx, first.RefreshToken, home)
	if err != nil || second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Fatalf("no new pair: %v", err)
	}
	f.caller(second.AccessToken)
	f.clock.add(10 * time.Second) // two tabs
	again, err := f.Refresh(ctx, first.RefreshToken, home)
	if err != nil || again.RefreshToken != second.RefreshToken || again.AccessToken != second.AccessToken {
		t.Errorf("within the grace: not the same pair (%v)", err)
	}
	if again.ExpiresIn != 15*time.Minute-10*time.Second {
		t.Errorf("expires in %s", again.ExpiresIn)
	}
	third, err := f.Refresh(ctx, second.RefreshToken, home)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Refresh(ctx, first.RefreshToken, home) // two generations old: no tab holds that
	wantErr(t, "reuse", err, auth.ErrBadRefresh)
	_, err = f.Refresh(ctx, third.RefreshToken, home)
	wantErr(t, "the family after reuse", err, auth.ErrBadRefresh)
	_, err = f.Authenticate(ctx, third.AccessToken)
	wantErr(t, "its access token", err, auth.ErrUnauthenticated)
}

func TestLateReuseEndsTheSession(t *testing.T) {
	f := setUp(t)
	first, _ := f.register("ada")
	second, err := f.Refresh(ctx, first.RefreshToken, home)
	if err != nil {
		t.Fatal(err)
	}
	f.clock.add(auth.ReuseGrace + time.Millisecond)
	_, err = f.Refresh(ctx, first.RefreshToken, home)
	wantErr(t, "late", err, auth.ErrBadRefresh)
	_, err = f.Refresh(ctx, second.RefreshToken, home)
	wantErr(t, "the new one", err, auth.ErrBadRefresh)
}

func TestTwoTabsAtOnce(t *testing.T) {
	f := setUp(t)
	first, _ := f.register("ada")
	got := make([]auth.Pair, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = f.Refresh(ctx, first.RefreshToken, home); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, p := range got[1:] {
		if p.RefreshToken != got[0].RefreshToken || p.AccessToken != got[0].AccessToken {
			t.Error("tabs got different pairs")
		}
	}
}

func TestForgedAndExpiredTokens(t *testing.T) {
	f := setUp(t)
	p, _ := f.register("ada")
	other := setUp(t, func(o *auth.Options) { o.Store, o.Secret = f.db, []byte(strings.Repeat("x", 32)) })
	forged, err := other.Login(ctx, "ada", password, home)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(p.RefreshToken, ".")
	mac := p.RefreshToken[strings.LastIndexByte(p.RefreshToken, '.'):]
	for name, token := range map[string]string{
		"other secret": forged.RefreshToken, "other generation": head + ".2" + mac, "access token": p.AccessToken,
		"empty": "", "cut": p.RefreshToken[:len(p.RefreshToken)-2], "prefix only": "flr_",
	} {
		_, err := f.Refresh(ctx, token, home)
		wantErr(t, "refresh with "+name, err, auth.ErrBadRefresh)
	}
	none := "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + strings.Split(p.AccessToken, ".")[1] + "."
	for name, token := range map[string]string{
		"other secret": forged.AccessToken, "alg none": none, "refresh token": p.RefreshToken, "empty": "",
		"unknown secret": "flw_x", "huge": strings.Repeat("a.", 10_000),
	} {
		_, err := f.Authenticate(ctx, token)
		wantErr(t, "access with "+name, err, auth.ErrUnauthenticated)
	}
	f.clock.add(15*time.Minute + time.Second)
	_, err = f.Authenticate(ctx, p.AccessToken)
	wantErr(t, "expired access token", err, auth.ErrUnauthenticated)
	f.clock.add(30 * 24 * time.Hour)
	_, err = f.Refresh(ctx, p.RefreshToken, home)
	wantErr(t, "expired refresh token", err, auth.ErrBadRefresh)
}

// TestLogoutReachesEveryServer has two services on one store, as two servers.
func TestLogoutReachesEveryServer(t *testing.T) {
	f := setUp(t)
	other := setUp(t, func(o *auth.Options) { o.Store, o.Memberships = f.db, f.db })
	p, c := f.register("ada")
	other.caller(p.AccessToken) // now in the other's cache
	if err := f.Logout(ctx, c); err != nil {
		t.Fatal(err)
	}
	_, err := f.Authenticate(ctx, p.AccessToken)
	wantErr(t, "here, at once", err, auth.ErrUnauthenticated)
	other.clock.add(time.Second)
	_, err = other.Authenticate(ctx, p.AccessToken)
	wantErr(t, "elsewhere, after a second", err, auth.ErrUnauthenticated)
}

func TestPasswordChange(t *testing.T) {
	f := setUp(t)
	mine, c := f.register("ada")
	elsewhere, err := f.Login(ctx, "ada", password, home)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "wrong old one", f.ChangePassword(ctx, c, "wrong password", "new password", home), auth.ErrWrongPassword)
	if err := f.ChangePassword(ctx, c, password, "short", home); fault.KindOf(err) != fault.Invalid {
		t.Errorf("short one: %v", err)
	}
	if err := f.ChangePassword(ctx, c, password, "new password", home); err != nil {
		t.Fatal(err)
	}
	f.caller(mine.AccessToken)
	_, err = f.Authenticate(ctx, elsewhere.AccessToken)
	wantErr(t, "other session", err, auth.ErrUnauthenticated)
	_, err = f.Login(ctx, "ada", password, home)
	wantErr(t, "old password", err, auth.ErrBadCredentials)
	if _, err = f.Login(ctx, "ada", "new password", home); err != nil {
		t.Error(err)
	}
}

func TestOldPasswordIsThrottled(t *testing.T) {
	f := setUp(t)
	_, c := f.register("ada")
	for range 10 {
		wantErr(t, "guess", f.ChangePassword(ctx, c, "wrong password", "new password", home), auth.ErrWrongPassword)
	}
	if err := f.ChangePassword(ctx, c, password, "new password", home); fault.KindOf(err) != fault.TooMany {
		t.Errorf("11th: %v", err)
	}
}

func TestSetup(t *testing.T) {
	f := setUp(t, func(o *auth.Options) { o.Registration = false })
	code, err := f.PrepareAdmin(ctx, nil)
	if err != nil || len(code) < 20 {
		t.Fatalf("code %q, %v", code, err)
	}
	root := auth.Registration{Username: "root", Email: "root@example.org", Password: password}
	_, err = f.Setup(ctx, "wrong", root, home)
	wantErr(t, "wrong code", err, auth.ErrSetupCode)
	if _, err = f.Setup(ctx, code, auth.Registration{Username: "x"}, home); fault.KindOf(err) != fault.Invalid {
		t.Errorf("bad fields: %v", err)
	}
	p, err := f.Setup(ctx, code, root, home)
	if err != nil || !p.User.Admin || !f.caller(p.AccessToken).Admin {
		t.Fatalf("no admin: %+v, %v", p.User, err)
	}
	_, err = f.Setup(ctx, code, root, home)
	wantErr(t, "again", err, auth.ErrSetUp)
	if code, err := f.PrepareAdmin(ctx, nil); code != "" || err != nil {
		t.Errorf("a code for an installation with an admin: %q, %v", code, err)
	}
}

func TestConfiguredAdmin(t *testing.T) {
	f := setUp(t)
	root := auth.Registration{Username: "root", Email: "root@example.org", Password: password}
	for range 2 { // two starts
		if code, err := f.PrepareAdmin(ctx, &root); code != "" || err != nil {
			t.Fatalf("%q, %v", code, err)
		}
	}
	if p, err := f.Login(ctx, "root", password, home); err != nil || !p.User.Admin {
		t.Errorf("%+v, %v", p.User, err)
	}
}

func TestNothingSecretIsLoggedOrStored(t *testing.T) {
	f := setUp(t)
	p, c := f.register("ada")
	_, secret := f.token(c, auth.NewToken{Kind: auth.KindWorker})
	_, _ = f.WorkerIdentity(ctx, secret)
	second, _ := f.Refresh(ctx, p.RefreshToken, home)
	f.clock.add(time.Minute)
	_, _ = f.Refresh(ctx, p.RefreshToken, home) // logs the reuse
	if !strings.Contains(f.log.String(), "session ended") {
		t.Errorf("the reuse was not logged: %s", f.log)
	}
	tok, err := f.db.Tokens(ctx, c.UserID, "", 1)
	if err != nil || len(tok) != 1 || strings.Contains(tok[0].Hash, secret) {
		t.Errorf("stored token %+v, %v", tok, err)
	}
	for _, s := range []string{password, secret, p.RefreshToken, second.RefreshToken, p.AccessToken} {
		if strings.Contains(f.log.String(), s) {
			t.Errorf("logged: %s", s)
		}
	}
}
