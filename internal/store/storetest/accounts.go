package storetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
)

// insertUsers adds users.
func insertUsers(t *testing.T, s auth.Store, users ...*auth.User) {
	t.Helper()
	for _, u := range users {
		must(t, s.InsertUser(context.Background(), *u))
	}
}

func authUserList(t *testing.T, s auth.Store) {
	ctx := context.Background()
	ada, adam, bob, eve := newUser("ada"), newUser("adam"), newUser("bob"), newUser("eve")
	adam.Admin, bob.Disabled, eve.Email = true, true, "ad@example.org"
	gone := newUser("ad_gone")
	insertUsers(t, s, &ada, &adam, &bob, &eve, &gone)
	must(t, s.DeleteUser(ctx, gone.ID, "ad_deleted", "ad_deleted", clock))
	for _, test := range []struct {
		name string
		q    auth.UserQuery
		want []auth.User
	}{
		{"all", auth.UserQuery{Limit: 10}, []auth.User{ada, adam, bob, eve}},
		{"first page", auth.UserQuery{Limit: 2}, []auth.User{ada, adam}},
		{"next page", auth.UserQuery{After: adam.ID, Limit: 2}, []auth.User{bob, eve}},
		{"by username or email", auth.UserQuery{Prefix: "ad", Limit: 10}, []auth.User{ada, adam, eve}},
		{"the whole name", auth.UserQuery{Prefix: "adam", Limit: 10}, []auth.User{adam}},
		{"wildcards are letters", auth.UserQuery{Prefix: "a%", Limit: 10}, nil},
		{"not in between", auth.UserQuery{Prefix: "example", Limit: 10}, nil},
		{"administrators", auth.UserQuery{Admin: ptr(true), Limit: 10}, []auth.User{adam}},
		{"others", auth.UserQuery{Admin: ptr(false), Prefix: "a", Limit: 10}, []auth.User{ada, eve}},
		{"disabled", auth.UserQuery{Disabled: ptr(true), Limit: 10}, []auth.User{bob}},
		{"enabled", auth.UserQuery{Disabled: ptr(false), Limit: 10}, []auth.User{ada, adam, eve}},
		{"both", auth.UserQuery{Disabled: ptr(true), Admin: ptr(true), Limit: 10}, nil},
	} {
		if got, err := s.Users(ctx, test.q); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v, %v, want %+v", test.name, got, err, test.want)
		}
	}
}

func authUpdateUser(t *testing.T, s auth.Store) {
	ctx := context.Background()
	root, ada := newUser("root"), newUser("ada")
	root.Admin = true
	insertUsers(t, s, &root, &ada)
	_, err := s.UpdateUser(ctx, id(), auth.UserChange{Admin: ptr(true)}, clock)
	wantErr(t, "unknown user", err, auth.ErrNoUser)
	for _, step := range []struct {
		change          auth.UserChange
		admin, disabled bool
	}{
		{auth.UserChange{}, false, false},
		{auth.UserChange{Admin: ptr(true)}, true, false},
		{auth.UserChange{Disabled: ptr(true)}, true, true},
		{auth.UserChange{Admin: ptr(false)}, false, true},
		{auth.UserChange{Disabled: ptr(false)}, false, false},
	} {
		ada.Admin, ada.Disabled = step.admin, step.disabled
		if got, err := s.UpdateUser(ctx, ada.ID, step.change, clock); err != nil || got != ada {
			t.Errorf("UpdateUser(%+v) = %+v, %v, want %+v", step.change, got, err, ada)
		}
		if got, err := s.UserByID(ctx, ada.ID); err != nil || got != ada {
			t.Errorf("after it: %+v, %v, want %+v", got, err, ada)
		}
	}
}

func authLastAdmin(t *testing.T, s auth.Store) {
	ctx := context.Background()
	one, two := newUser("one"), newUser("two")
	one.Admin, two.Admin = true, true
	insertUsers(t, s, &one, &two)
	ends := map[string]func(id string) error{
		"demote": func(id string) error { return second(s.UpdateUser(ctx, id, auth.UserChange{Admin: ptr(false)}, clock)) },
		"disable": func(id string) error {
			return second(s.UpdateUser(ctx, id, auth.UserChange{Disabled: ptr(true)}, clock))
		},
		"delete": func(id string) error { return s.DeleteUser(ctx, id, "deleted", "deleted", clock) },
	}
	for name, end := range map[string]func(id string) error{"demote": ends["demote"], "disable": ends["disable"]} {
		n, failed := atOnce(2, func(i int) error { return end([]string{one.ID, two.ID}[i]) })
		if n != 1 || !errors.Is(failed[0], auth.ErrLastAdmin) {
			t.Errorf("%s, both at once: %d done, then %v", name, n, failed)
		}
		if has, err := s.HasAdmin(ctx); !has || err != nil {
			t.Errorf("%s, both at once: no administrator is left (%v)", name, err)
		}
		for _, u := range []auth.User{one, two} {
			must(t, second(s.UpdateUser(ctx, u.ID, auth.UserChange{Admin: ptr(true), Disabled: ptr(false)}, clock)))
		}
	}
	must(t, second(s.UpdateUser(ctx, two.ID, auth.UserChange{Disabled: ptr(true)}, clock)))
	for name, end := range ends { // a disabled administrator is none
		wantErr(t, name, end(one.ID), auth.ErrLastAdmin)
	}
	if got, err := s.UserByID(ctx, one.ID); err != nil || got != one {
		t.Errorf("what was refused changed something: %+v, %v", got, err)
	}
}

func second[T any](_ T, err error) error { return err }

func authDeleteUser(t *testing.T, s auth.Store) {
	ctx := context.Background()
	ada := newUser("ada")
	insertUsers(t, s, &ada)
	wantErr(t, "unknown user", s.DeleteUser(ctx, id(), "x", "x", clock), auth.ErrNoUser)
	must(t, s.DeleteUser(ctx, ada.ID, "deleted-1", "deleted-1", clock))
	want := auth.User{ID: ada.ID, Username: "deleted-1", Email: "deleted-1", CreatedAt: ada.CreatedAt, DeletedAt: clock}
	if got, err := s.UserByID(ctx, ada.ID); err != nil || got != want {
		t.Errorf("left: %+v, %v, want %+v", got, err, want)
	}
	_, err := s.UserByLogin(ctx, "deleted-1")
	wantErr(t, "login of a deleted one", err, auth.ErrNoUser)
	again := newUser("ada") // name and email are free
	insertUsers(t, s, &again)
	wantErr(t, "twice", s.DeleteUser(ctx, ada.ID, "x", "x", clock), auth.ErrNoUser)
	_, err = s.UpdateUser(ctx, ada.ID, auth.UserChange{Admin: ptr(true)}, clock)
	wantErr(t, "change of a deleted one", err, auth.ErrNoUser)
	wantErr(t, "email of a deleted one", s.SetEmail(ctx, ada.ID, "x@example.org"), auth.ErrNoUser)
}

func authLogins(t *testing.T, s auth.Store) {
	ctx := context.Background()
	ada := newUser("ada")
	insertUsers(t, s, &ada)
	var want []auth.Session // newest first
	for range 5 {
		ses := newSession(ada.ID)
		ses.CreatedAt = clock.Add(time.Second)
		want = slices.Insert(want, 0, ses)
		must(t, s.InsertSession(ctx, ses))
	}
	if u, err := s.UserByID(ctx, ada.ID); err != nil || !u.LastLoginAt.Equal(clock.Add(time.Second)) {
		t.Errorf("last login %v, %v", u.LastLoginAt, err)
	}
	expired := newSession(ada.ID)
	expired.ExpiresAt = clock
	must(t, errors.Join(s.InsertSession(ctx, expired), s.InsertSession(ctx, newSession("v"))))
	want[1].LastUsedAt = clock.Add(time.Minute)
	must(t, s.Touch(ctx, clock.Add(time.Minute), []string{want[1].ID, id()}))
	var got []auth.Session
	for before := ""; ; before = got[len(got)-1].ID {
		page, err := s.Logins(ctx, ada.ID, clock, before, 2)
		must(t, err)
		got = append(got, page...)
		if len(page) < 2 {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages %+v, want %+v", got, want)
	}
}

func authRevoked(t *testing.T, s auth.Store) {
	ctx := context.Background()
	root, ada, bob := newUser("root"), newUser("ada"), newUser("bob")
	root.Admin = true
	insertUsers(t, s, &root, &ada, &bob)
	one, two, three := newSession(ada.ID), newSession(ada.ID), newSession(ada.ID)
	must(t, errors.Join(s.InsertSession(ctx, one), s.InsertSession(ctx, two), s.InsertSession(ctx, three)))
	tok, quiet := newToken(ada.ID), newToken(ada.ID)
	must(t, errors.Join(s.InsertToken(ctx, tok), s.InsertToken(ctx, quiet)))

	after := func(n int) time.Time { return clock.Add(time.Duration(n) * time.Second) }
	must(t, s.DeleteSession(ctx, one.ID, after(1)))
	must(t, s.DeleteSession(ctx, id(), after(1))) // was none
	must(t, s.DeleteToken(ctx, ada.ID, tok.ID, after(2)))
	wantErr(t, "no token", s.DeleteToken(ctx, ada.ID, id(), after(2)), auth.ErrNoToken)
	must(t, second(s.DeleteSessions(ctx, ada.ID, "", after(3))))
	must(t, second(s.UpdateUser(ctx, ada.ID, auth.UserChange{Disabled: ptr(true)}, after(4))))
	must(t, second(s.UpdateUser(ctx, ada.ID, auth.UserChange{Disabled: ptr(false)}, after(4).Add(time.Millisecond))))
	must(t, s.DeleteUser(ctx, bob.ID, "x", "x", after(5)))
	wantErr(t, "last admin", s.DeleteUser(ctx, root.ID, "y", "y", after(5)), auth.ErrLastAdmin)
	must(t, s.DeleteTokens(ctx, ada.ID))
	_, err := s.TokenByHash(ctx, quiet.Hash)
	wantErr(t, "token of a deleted user", err, auth.ErrNoToken)

	all := []auth.Revocation{
		{ID: one.ID, At: after(1)}, {ID: tok.ID, At: after(2)}, {ID: two.ID, At: after(3)}, {ID: three.ID, At: after(3)},
		{ID: ada.ID, At: after(4)}, {ID: bob.ID, At: after(5)},
	}
	inOrder := func(rs []auth.Revocation) []auth.Revocation {
		slices.SortFunc(rs, func(a, b auth.Revocation) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
		return rs
	}
	check := func(since time.Time, want []auth.Revocation) {
		t.Helper()
		if got, err := s.Revoked(ctx, since); err != nil || !slices.Equal(inOrder(got), inOrder(slices.Clone(want))) {
			t.Errorf("Revoked since %v: %+v, %v, want %+v", since, got, err, want)
		}
	}
	check(clock, all)
	check(after(4), all[4:])
	check(after(6), nil)
	must(t, second(s.DeleteExpiredLogins(ctx, after(4).Add(auth.KeepRevocations))))
	check(clock, all[4:])
}
