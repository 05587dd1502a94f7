package groups_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/store/sqlite"
)

var ctx = context.Background()

type fixture struct {
	*groups.Service
	t  *testing.T
	db *sqlite.DB
}

func setUp(t *testing.T) *fixture {
	t.Helper()
	db := sqlitetest.Open(t)
	return &fixture{Service: groups.NewService(db, db, auth.NewThrottle(time.Now), time.Now), t: t, db: db}
}

// user adds a user and returns them as a caller.
func (f *fixture) user(name string) auth.Caller {
	f.t.Helper()
	u := auth.User{ID: uuid.NewString(), Username: name, Email: name + "@example.org"}
	if err := f.db.InsertUser(ctx, u); err != nil {
		f.t.Fatal(err)
	}
	return auth.Caller{UserID: u.ID, Username: name, Kind: auth.KindSession}
}

func (f *fixture) create(c auth.Caller) groups.Mine {
	f.t.Helper()
	m, err := f.Create(ctx, c, "lab", "", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

func ptr[T any](v T) *T { return &v }

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// TestRoles holds the table of permissions against docs/http-api.md.
func TestRoles(t *testing.T) {
	all := []auth.Permission{auth.View, auth.Submit, auth.RunWorkers, auth.ManageMembers, auth.ManageSettings, auth.ManageTokens, auth.DeleteGroup}
	for role, want := range map[auth.Role]int{"": 0, auth.Viewer: 1, auth.Member: 3, auth.Admin: 6, auth.Owner: 7} {
		for i, p := range all {
			if got := role.May(p); got != (i < want) {
				t.Errorf("%q may %s: %v", role, p, got)
			}
		}
	}
}

func TestAuthorize(t *testing.T) {
	f := setUp(t)
	ada, eve := f.user("ada"), f.user("eve")
	g := f.create(ada)
	roles := map[auth.Role]auth.Caller{auth.Owner: ada}
	for _, role := range []auth.Role{auth.Admin, auth.Member, auth.Viewer} {
		c := f.user(string(role))
		roles[role] = c
		i := groups.Invitation{ID: uuid.NewString(), Group: g.ID, User: c.UserID, InvitedBy: ada.UserID}
		join := &groups.Membership{ID: uuid.NewString(), User: c.UserID, Role: role}
		if err := errors.Join(f.db.InsertInvitation(ctx, i), f.db.AnswerInvitation(ctx, i.ID, c.UserID, join)); err != nil {
			t.Fatal(err)
		}
	}
	for role, c := range roles {
		for _, p := range []auth.Permission{auth.View, auth.Submit, auth.ManageSettings, auth.DeleteGroup} {
			m, err := f.Authorize(ctx, c, g.ID, p)
			if role.May(p) && (err != nil || m.Role != role) || !role.May(p) && !errors.Is(err, groups.ErrRole) {
				t.Errorf("%s, %s: %+v, %v", role, p, m, err)
			}
		}
	}
	_, err := f.Authorize(ctx, eve, g.ID, auth.View)
	wantErr(t, "no member", err, groups.ErrNoGroup)
	_, err = f.Authorize(ctx, ada, "unknown", auth.View)
	wantErr(t, "no group", err, groups.ErrNoGroup)
	limited := ada
	limited.Groups = []string{"another"}
	_, err = f.Authorize(ctx, limited, g.ID, auth.View)
	wantErr(t, "beyond the token", err, groups.ErrNoGroup)

	for _, role := range []auth.Role{auth.Member, auth.Viewer} {
		_, err = f.Update(ctx, roles[role], g.ID, groups.Settings{Name: ptr("new")})
		wantErr(t, "settings by "+string(role), err, groups.ErrRole)
		_, err = f.Invite(ctx, roles[role], g.ID, "eve")
		wantErr(t, "invitation by "+string(role), err, groups.ErrRole)
		if members, err := f.Members(ctx, roles[role], g.ID, "", 10); err != nil || len(members) != 4 {
			t.Errorf("%s sees %d members, %v", role, len(members), err)
		}
	}
	_, err = f.Members(ctx, eve, g.ID, "", 10)
	wantErr(t, "members for a stranger", err, groups.ErrNoGroup)
}

func TestSettings(t *testing.T) {
	f := setUp(t)
	ada := f.user("ada")
	g := f.create(ada)
	for _, c := range []struct {
		name string
		set  groups.Settings
		want []string
	}{
		{"shortest", groups.Settings{Name: ptr("abc")}, nil},
		{"longest", groups.Settings{Name: ptr(strings.Repeat("é", 50)), Description: ptr(strings.Repeat("é", 300))}, nil},
		{"too short", groups.Settings{Name: ptr(" ab ")}, []string{"body.name"}},
		{"all wrong", groups.Settings{
			Name: ptr(strings.Repeat("a", 51)), Description: ptr(strings.Repeat("a", 301)), SetRetention: true, ResultRetention: ptr(-time.Second),
		}, []string{"body.name", "body.description", "body.result_retention_s"}},
		{"control character", groups.Settings{Description: ptr("a\x07b")}, []string{"body.description"}},
		{"at once", groups.Settings{SetRetention: true, ResultRetention: ptr(time.Duration(0))}, nil},
		{"longest retention", groups.Settings{SetRetention: true, ResultRetention: ptr(groups.MaxRetention)}, nil},
		{"too long", groups.Settings{SetRetention: true, ResultRetention: ptr(groups.MaxRetention + time.Second)}, []string{"body.result_retention_s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.Update(ctx, ada, g.ID, c.set)
			var wrong *fault.Error
			var got []string
			if errors.As(err, &wrong) {
				for _, field := range wrong.Fields {
					got = append(got, field.Field)
				}
			}
			if strings.Join(got, " ") != strings.Join(c.want, " ") || (err == nil) != (c.want == nil) {
				t.Errorf("wrong: %v (%v), want %v", got, err, c.want)
			}
		})
	}
	if m, err := f.Update(ctx, ada, g.ID, groups.Settings{Name: ptr(" Cafe\u0301 ")}); err != nil || m.Name != "Café" {
		t.Errorf("name %q, %v", m.Name, err)
	}
	if m, err := f.Create(ctx, ada, " lab ", "  ", nil); err != nil || m.Name != "lab" || m.Description != "" {
		t.Errorf("created %+v, %v", m, err)
	}
}

func TestInvitations(t *testing.T) {
	f := setUp(t)
	ada, bob := f.user("ada"), f.user("bob")
	g := f.create(ada)
	_, err := f.Invite(ctx, ada, g.ID, "nobody")
	wantErr(t, "unknown user", err, auth.ErrNoUser)
	_, err = f.Invite(ctx, ada, g.ID, "bob@example.org")
	wantErr(t, "by email", err, auth.ErrNoUser)
	_, err = f.Invite(ctx, ada, g.ID, "ada")
	wantErr(t, "oneself", err, groups.ErrAlreadyMember)
	i, err := f.Invite(ctx, ada, g.ID, "bob")
	if err != nil || i.GroupName != "lab" || i.InvitedByName != "ada" {
		t.Fatalf("%+v, %v", i, err)
	}
	_, err = f.Invite(ctx, ada, g.ID, "bob")
	wantErr(t, "twice", err, groups.ErrAlreadyInvited)

	limited := bob
	limited.Groups = []string{"another"}
	if list, err := f.Invitations(ctx, limited, "", 10); len(list) != 0 || err != nil {
		t.Errorf("a limited token sees %v, %v", list, err)
	}
	_, err = f.Answer(ctx, limited, i.ID, true)
	wantErr(t, "a limited token", err, groups.ErrNoInvitation)
	_, err = f.Answer(ctx, ada, i.ID, true)
	wantErr(t, "another's", err, groups.ErrNoInvitation)
	if _, err := f.Answer(ctx, bob, i.ID, true); err != nil {
		t.Fatal(err)
	}
	if m, err := f.Authorize(ctx, bob, g.ID, auth.Submit); err != nil || m.Role != auth.Member || m.Members != 2 {
		t.Errorf("after accepting: %+v, %v", m, err)
	}
}

func TestALimitedTokenSeesItsGroupsOnly(t *testing.T) {
	f := setUp(t)
	ada := f.user("ada")
	var ids []string
	for range 7 {
		ids = append(ids, f.create(ada).ID)
	}
	limited := ada
	limited.Groups = []string{ids[1], ids[4], ids[6]}
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		page, err := f.List(ctx, limited, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page {
			got = append(got, m.ID)
		}
		if len(page) < 2 {
			break
		}
	}
	if strings.Join(got, " ") != strings.Join(limited.Groups, " ") {
		t.Errorf("got %v, want %v", got, limited.Groups)
	}
	_, err := f.Create(ctx, limited, "lab", "", nil)
	wantErr(t, "a limited token makes a group", err, auth.ErrScope)
}
