package groups_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
)

var addr = netip.MustParseAddr("192.0.2.1")

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func TestLinks(t *testing.T) {
	f := setUp(t)
	g, people := f.crew("admin1", "member1")
	bob := f.user("bob")
	_, _, err := f.CreateLink(ctx, people["member1"], g, groups.NewLink{})
	wantErr(t, "a member's", err, groups.ErrRole)
	_, _, err = f.CreateLink(ctx, bob, g, groups.NewLink{})
	wantErr(t, "a stranger's", err, groups.ErrNoGroup)
	l, code, err := f.CreateLink(ctx, people["admin1"], g, groups.NewLink{})
	if err != nil || l.Role != auth.Member || l.MaxUses != 1 || l.CreatedByName != "admin1" ||
		l.ExpiresAt.Sub(l.CreatedAt) != 7*24*time.Hour {
		t.Fatalf("made %+v, %v", l, err)
	}
	if len(code) < 26 || strings.Contains(l.Hash, code) { // 26 letters of base32: 130 bits
		t.Errorf("code %q with hash %q", code, l.Hash)
	}
	if got, err := f.LinkByCode(ctx, code, addr); err != nil || got.Group != g || got.GroupName != "lab" {
		t.Errorf("looked at: %+v, %v", got, err)
	}
	_, err = f.Join(ctx, people["member1"], code, addr)
	wantErr(t, "a member joins", err, groups.ErrAlreadyMember)
	limited := bob
	limited.Groups = []string{g}
	_, err = f.Join(ctx, limited, code, addr)
	wantErr(t, "a limited token joins", err, auth.ErrScope)
	if m, err := f.Join(ctx, bob, code, addr); err != nil || m.Role != auth.Member || m.Members != 4 {
		t.Errorf("joined %+v, %v", m, err)
	}
	_, err = f.Join(ctx, f.user("late"), code, addr)
	wantErr(t, "used up", err, groups.ErrNoLink)
	for _, c := range []auth.Caller{bob, people["member1"]} {
		_, err = f.Links(ctx, c, g, "", 10)
		wantErr(t, "list", err, groups.ErrRole)
		wantErr(t, "revoke", f.RevokeLink(ctx, c, g, l.ID), groups.ErrRole)
	}
	if err := f.RevokeLink(ctx, people["ada"], g, l.ID); err != nil {
		t.Error(err)
	}
}

func TestNewLink(t *testing.T) {
	now := time.Now().UTC()
	for _, c := range []struct {
		link groups.NewLink
		want string
	}{
		{groups.NewLink{}, ""},
		{groups.NewLink{Role: auth.Admin, MaxUses: 1000, ExpiresAt: now.Add(90 * 24 * time.Hour)}, ""},
		{groups.NewLink{Role: auth.Owner, MaxUses: 1001, ExpiresAt: now}, "body.role body.expires_at body.max_uses"},
		{groups.NewLink{Role: "boss", MaxUses: -1, ExpiresAt: now.Add(91 * 24 * time.Hour)}, "body.role body.expires_at body.max_uses"},
	} {
		var wrong *fault.Error
		var got []string
		if errors.As(c.link.Validate(now), &wrong) {
			for _, f := range wrong.Fields {
				got = append(got, f.Field)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: wrong %v, want %s", c.link, got, c.want)
		}
	}
}

// TestUseIsGivenBack where nobody joined with it.
func TestUseIsGivenBack(t *testing.T) {
	f := setUp(t)
	ada := f.user("ada")
	g := f.create(ada).ID
	_, code, err := f.CreateLink(ctx, ada, g, groups.NewLink{})
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no account")
	_, err = f.JoinAs(ctx, code, addr, func() (auth.User, error) {
		_, err := f.LinkByCode(ctx, code, addr)
		wantErr(t, "while an account is made", err, groups.ErrNoLink)
		return auth.User{}, refused
	})
	wantErr(t, "no account", err, refused)
	bob := f.user("bob")
	made := func() (auth.User, error) { return auth.User{ID: bob.UserID, Username: "bob"}, nil }
	if group, err := f.JoinAs(ctx, code, addr, made); err != nil || group != g {
		t.Errorf("after it was given back: %q, %v", group, err)
	}
	_, err = f.JoinAs(ctx, code, addr, func() (auth.User, error) { t.Error("an account with a bad link"); return made() })
	wantErr(t, "used up", err, groups.ErrNoLink)
}

func TestBadCodesAreThrottled(t *testing.T) {
	f := setUp(t)
	ada := f.user("ada")
	_, code, err := f.CreateLink(ctx, ada, f.create(ada).ID, groups.NewLink{})
	if err != nil {
		t.Fatal(err)
	}
	for range 101 {
		if _, err := f.LinkByCode(ctx, code, addr); err != nil {
			t.Fatalf("a good code counts: %v", err)
		}
	}
	for i := range 101 {
		_, err = f.LinkByCode(ctx, fmt.Sprint("guess ", i), addr)
		if i < 100 {
			wantErr(t, "a bad code", err, groups.ErrNoLink)
		}
	}
	if fault.KindOf(err) != fault.TooMany {
		t.Errorf("the 101st: %v", err)
	}
	_, err = f.Join(ctx, f.user("bob"), code, addr)
	if fault.KindOf(err) != fault.TooMany {
		t.Errorf("join after too many: %v", err)
	}
	if _, err := f.LinkByCode(ctx, code, netip.MustParseAddr("192.0.2.2")); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}
