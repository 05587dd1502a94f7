package auth_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// join makes user a member of the owner's group.
func (f *fixture) join(owner auth.Caller, group string, user auth.Caller) {
	f.t.Helper()
	i, err := f.groups.Invite(ctx, owner, group, user.Username)
	if err == nil {
		_, err = f.groups.Answer(ctx, user, i.ID, true)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestTokenFields(t *testing.T) {
	f := setUp(t)
	_, ada := f.register("ada")
	_, bob := f.register("bob")
	g := f.group(ada)
	f.join(ada, g, bob)
	for _, c := range []struct {
		name string
		who  auth.Caller
		n    auth.NewToken
		want string // wrong field, or a code
	}{
		{"worker", ada, auth.NewToken{Name: "lab", Kind: auth.KindWorker}, ""},
		{"worker of a member", bob, auth.NewToken{Name: "lab", Kind: auth.KindWorker, Groups: []string{g}}, ""},
		{"device", ada, auth.NewToken{Name: "lab", Kind: auth.KindDevice, Groups: []string{g}, DeviceID: "d"}, ""},
		{"api", ada, auth.NewToken{Name: "lab", Kind: auth.KindAPI, Scopes: []auth.Scope{auth.Metrics}}, ""},
		{"longest name", ada, auth.NewToken{Name: strings.Repeat("é", 64), Kind: auth.KindAPI}, ""},
		{"name too long", ada, auth.NewToken{Name: strings.Repeat("é", 65), Kind: auth.KindAPI}, "body.name"},
		{"no name", ada, auth.NewToken{Kind: auth.KindAPI}, "body.name"},
		{"session", ada, auth.NewToken{Name: "lab", Kind: auth.KindSession}, "body.kind"},
		{"another's group", ada, auth.NewToken{Name: "lab", Kind: auth.KindWorker, Groups: []string{g, "other"}}, "body.groups[1]"},
		{"no groups", ada, auth.NewToken{Name: "lab", Kind: auth.KindWorker, Groups: []string{}}, "body.groups"},
		{"as many groups as may be", ada, auth.NewToken{Name: "lab", Kind: auth.KindWorker, Groups: slices.Repeat([]string{g}, 256)}, ""},
		{"too many groups", ada, auth.NewToken{Name: "lab", Kind: auth.KindWorker, Groups: make([]string, 257)}, "body.groups"},
		{"device without group", ada, auth.NewToken{Name: "lab", Kind: auth.KindDevice}, "body.groups"},
		{"device of a member", bob, auth.NewToken{Name: "lab", Kind: auth.KindDevice, Groups: []string{g}}, "role_too_low"},
		{"worker with device", ada, auth.NewToken{Name: "lab", Kind: auth.KindWorker, DeviceID: "d"}, "body.device_id"},
		{"longest device id", ada, auth.NewToken{Name: "lab", Kind: auth.KindDevice, Groups: []string{g}, DeviceID: strings.Repeat("d", 128)}, ""},
		{"device id too long", ada, auth.NewToken{Name: "lab", Kind: auth.KindDevice, Groups: []string{g}, DeviceID: strings.Repeat("d", 129)}, "body.device_id"},
		{"worker with scopes", ada, auth.NewToken{Name: "lab", Kind: auth.KindWorker, Scopes: []auth.Scope{auth.TasksRead}}, "body.scopes"},
		{"unknown scope", ada, auth.NewToken{Name: "lab", Kind: auth.KindAPI, Scopes: []auth.Scope{auth.TasksRead, "root"}}, "body.scopes[1]"},
		{"in the past", ada, auth.NewToken{Name: "lab", Kind: auth.KindAPI, ExpiresAt: f.clock.now()}, "body.expires_at"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, secret, err := f.CreateToken(ctx, c.who, c.n)
			var wrong *fault.Error
			switch {
			case c.want == "":
				if err != nil || !strings.HasPrefix(secret, "fl") || len(secret) < 40 || tok.ID == "" {
					t.Errorf("%+v, %q, %v", tok, secret, err)
				}
			case !errors.As(err, &wrong):
				t.Errorf("error %v, want %s", err, c.want)
			case wrong.Code != c.want && (len(wrong.Fields) == 0 || wrong.Fields[0].Field != c.want):
				t.Errorf("error %s %v, want %s", wrong.Code, wrong.Fields, c.want)
			}
		})
	}
}

func TestAPITokenScopes(t *testing.T) {
	f := setUp(t)
	_, ada := f.register("ada")
	_, secret := f.token(ada, auth.NewToken{Kind: auth.KindAPI})
	c := f.caller(secret)
	for _, s := range auth.Scopes {
		err := c.Allowed(s, auth.KindSession, auth.KindAPI)
		if want := s != auth.Metrics; (err == nil) != want {
			t.Errorf("default scopes and %s: %v", s, err)
		}
	}
	_, secret = f.token(ada, auth.NewToken{Kind: auth.KindAPI, Scopes: []auth.Scope{auth.Metrics}})
	c = f.caller(secret)
	if err := c.Allowed(auth.Metrics, auth.KindAPI); err != nil {
		t.Error(err)
	}
	wantErr(t, "not asked for", c.Allowed(auth.TasksRead, auth.KindAPI), auth.ErrScope)
	wantErr(t, "another kind", c.Allowed("", auth.KindSession), auth.ErrWrongKind)
}

// TestDeviceTokenNeedsItsOwner: it works while its owner is an admin of its group.
func TestDeviceTokenNeedsItsOwner(t *testing.T) {
	f := setUp(t)
	_, ada := f.register("ada")
	_, bob := f.register("bob")
	lab := f.group(ada)
	f.join(ada, lab, bob)
	_, device := f.token(ada, auth.NewToken{Kind: auth.KindDevice, Groups: []string{lab}})
	if c, err := f.Authenticate(ctx, device); err != nil || c.UserID != ada.UserID {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := f.groups.Leave(ctx, ada, lab); err != nil {
		t.Fatal(err)
	}
	f.clock.add(time.Second) // what was known of the token is asked for again
	_, err := f.Authenticate(ctx, device)
	wantErr(t, "its owner has left", err, auth.ErrUnauthenticated)
}

func TestWorkerIdentity(t *testing.T) {
	f := setUp(t)
	p, ada := f.register("ada")
	_, bob := f.register("bob")
	lab, shop, others := f.group(ada), f.group(ada), f.group(bob)
	expires := f.clock.now().Add(time.Hour)
	_, all := f.token(ada, auth.NewToken{Kind: auth.KindWorker})
	tok, one := f.token(ada, auth.NewToken{Kind: auth.KindWorker, Groups: []string{shop}, ExpiresAt: expires})
	_, api := f.token(ada, auth.NewToken{Kind: auth.KindAPI})
	_, device := f.token(ada, auth.NewToken{Kind: auth.KindDevice, Groups: []string{lab}})

	id, err := f.WorkerIdentity(ctx, all)
	if err != nil || !slices.Equal(id.Groups, []string{lab, shop}) || id.Username != "ada" || id.User != ada.UserID {
		t.Errorf("all groups: %+v, %v", id, err)
	}
	f.join(bob, others, ada)
	if id, err = f.WorkerIdentity(ctx, all); err != nil || len(id.Groups) != 3 {
		t.Errorf("after joining another: %+v, %v", id, err)
	}
	if id, err = f.WorkerIdentity(ctx, one); err != nil || !slices.Equal(id.Groups, []string{shop}) ||
		id.TokenID != tok.ID || !id.ExpiresAt.Equal(expires) {
		t.Errorf("one group: %+v, %v", id, err)
	}
	for name, bearer := range map[string]string{"api": api, "device": device, "session": p.AccessToken} {
		_, err := f.WorkerIdentity(ctx, bearer)
		wantErr(t, name, err, auth.ErrWrongKind)
	}
	for name, bearer := range map[string]string{"empty": "", "unknown": "flw_unknown", "rubbish": "x.y.z"} {
		_, err := f.WorkerIdentity(ctx, bearer)
		wantErr(t, name, err, auth.ErrUnauthenticated)
	}
	f.clock.add(time.Hour)
	_, err = f.WorkerIdentity(ctx, one)
	wantErr(t, "expired", err, auth.ErrUnauthenticated)
}

func TestRevokedToken(t *testing.T) {
	f := setUp(t)
	other := setUp(t, func(o *auth.Options) { o.Store, o.Memberships = f.db, f.db })
	_, ada := f.register("ada")
	_, bob := f.register("bob")
	tok, secret := f.token(ada, auth.NewToken{Kind: auth.KindWorker})
	var revoked []string
	f.OnRevoked(func(ids ...string) { revoked = append(revoked, ids...) })
	f.caller(secret)
	other.caller(secret)
	wantErr(t, "another's token", f.DeleteToken(ctx, bob, tok.ID), auth.ErrNoToken)
	if len(revoked) != 0 {
		t.Error("a hook ran for a token that was not deleted")
	}
	if err := f.DeleteToken(ctx, ada, tok.ID); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(revoked, []string{tok.ID}) {
		t.Errorf("hook got %v", revoked)
	}
	_, err := f.Authenticate(ctx, secret)
	wantErr(t, "here, at once", err, auth.ErrUnauthenticated)
	_, err = other.WorkerIdentity(ctx, secret)
	wantErr(t, "a new worker elsewhere, at once", err, auth.ErrUnauthenticated)
	other.clock.add(time.Second)
	_, err = other.Authenticate(ctx, secret)
	wantErr(t, "elsewhere, after a second", err, auth.ErrUnauthenticated)
}

func TestCachedTokenStillExpires(t *testing.T) {
	f := setUp(t)
	_, ada := f.register("ada")
	_, secret := f.token(ada, auth.NewToken{Kind: auth.KindAPI, ExpiresAt: f.clock.now().Add(500 * time.Millisecond)})
	f.caller(secret)
	f.clock.add(500 * time.Millisecond) // the cached answer is younger than cacheTTL
	_, err := f.Authenticate(ctx, secret)
	wantErr(t, "expired", err, auth.ErrUnauthenticated)
}

func TestLastUseIsKeptToTheMinute(t *testing.T) {
	f := setUp(t)
	_, ada := f.register("ada")
	_, secret := f.token(ada, auth.NewToken{Kind: auth.KindAPI})
	used := func() time.Time {
		toks, err := f.Tokens(ctx, ada, "", 10)
		if err != nil || len(toks) != 1 {
			t.Fatal(err)
		}
		return toks[0].LastUsedAt
	}
	if !used().IsZero() {
		t.Error("used before use")
	}
	use := func() {
		f.caller(secret)
		if err := f.NoteUses(ctx); err != nil {
			t.Fatal(err)
		}
	}
	start := f.clock.now()
	use()
	f.clock.add(59 * time.Second)
	use()
	if !used().Equal(start) {
		t.Errorf("last use %v, want %v", used(), start)
	}
	f.clock.add(time.Second)
	use()
	if want := start.Add(time.Minute); !used().Equal(want) {
		t.Errorf("last use %v, want %v", used(), want)
	}
}

func TestSweep(t *testing.T) {
	f := setUp(t)
	_, ada := f.register("ada")
	f.token(ada, auth.NewToken{Kind: auth.KindAPI, ExpiresAt: f.clock.now().Add(time.Hour)})
	f.clock.add(31 * 24 * time.Hour)
	if n, err := f.Sweep(ctx); n != 2 || err != nil {
		t.Errorf("swept %d, %v; want the session and the token", n, err)
	}
}

func TestAStoreThatIsAwayIsNo401(t *testing.T) {
	f := setUp(t)
	p, ada := f.register("ada")
	_, secret := f.token(ada, auth.NewToken{Kind: auth.KindAPI})
	f.clock.add(time.Second) // past the cache
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for name, token := range map[string]string{"session": p.AccessToken, "token": secret} {
		if _, err := f.Authenticate(gone, token); err == nil || errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestEndedSessions: whoever holds something open for a session hears of every
// way it ends, and of no session that goes on.
func TestEndedSessions(t *testing.T) {
	f := setUp(t)
	f.register("ada")
	var ended []string
	f.OnRevoked(func(ids ...string) { ended = append(ended, ids...) })
	login := func(password string) (auth.Pair, auth.Caller) {
		p, err := f.Login(ctx, "ada", password, home)
		if err != nil {
			t.Fatal(err)
		}
		return p, f.caller(p.AccessToken)
	}
	_, one := login(password)
	twoPair, two := login(password)
	threePair, three := login(password)
	_, kept := login(password)
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"logout", func() error { return f.Logout(ctx, one) }, one.SessionID},
		{"logout by refresh token", func() error {
			u, err := f.LogoutRefresh(ctx, twoPair.RefreshToken)
			if u.ID != two.UserID {
				t.Errorf("logged %+v out", u)
			}
			return err
		}, two.SessionID},
		{"refresh", func() error { _, err := f.Refresh(ctx, threePair.RefreshToken, home); return err }, ""},
		{"refresh token used again", func() error {
			f.clock.add(auth.ReuseGrace + time.Second)
			if _, err := f.Refresh(ctx, threePair.RefreshToken, home); err == nil {
				t.Error("refreshed")
			}
			return nil
		}, three.SessionID},
	} {
		ended = nil
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := strings.Join(ended, " "); got != step.want {
			t.Errorf("%s: told of %q, want %q", step.name, got, step.want)
		}
	}
	_, other := login(password)
	ended = nil
	if err := f.ChangePassword(ctx, kept, password, "another horse", home); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(ended, other.SessionID) || slices.Contains(ended, kept.SessionID) {
		t.Errorf("new password: told of %v, want %s and not %s", ended, other.SessionID, kept.SessionID)
	}
	ended = nil
	if err := f.LogoutAll(ctx, kept); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ended, []string{kept.SessionID}) {
		t.Errorf("logout of all: told of %v", ended)
	}
}
