package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

// places says who is what in a group, in the order they joined.
func places(t *testing.T, s GroupStore, group string) string {
	t.Helper()
	r, err := s.Roster(context.Background(), group)
	must(t, err)
	var all []string
	for _, m := range r.Members {
		all = append(all, m.Username+" "+string(m.Role))
	}
	return strings.Join(all, ", ")
}

func groupsChanges(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada, bob, eve := addUser(t, s, "ada"), addUser(t, s, "bob"), addUser(t, s, "eve")
	g := addGroup(t, s, "lab", ada)
	other := addGroup(t, s, "other", eve)
	must(t, s.AddMember(ctx, membership(g.ID, bob, auth.Admin)))
	must(t, s.AddMember(ctx, membership(g.ID, eve, auth.Viewer)))
	wantErr(t, "a member", s.AddMember(ctx, membership(g.ID, eve, auth.Viewer)), groups.ErrAlreadyMember)
	wantErr(t, "of no group", s.AddMember(ctx, membership(id(), eve, auth.Viewer)), groups.ErrNoGroup)
	_, err := s.Roster(ctx, id())
	wantErr(t, "roster of no group", err, groups.ErrNoGroup)

	r, err := s.Roster(ctx, g.ID)
	must(t, err)
	if r.Group.Name != "lab" || places(t, s, g.ID) != "ada owner, bob admin, eve viewer" {
		t.Errorf("roster %+v", r)
	}
	handOver := groups.Change{
		Group: g.ID, Version: r.Version, Remove: eve.ID, Roles: map[string]auth.Role{bob.ID: auth.Owner, ada.ID: auth.Admin},
	}
	apply := func(what string, c groups.Change, want bool) {
		t.Helper()
		if ok, err := s.ChangeMembers(ctx, c); ok != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", what, ok, err, want)
		}
	}
	old := handOver
	old.Version--
	apply("on an old version", old, false)
	apply("hand-over", handOver, true)
	apply("the same again", handOver, false)
	if got := places(t, s, g.ID); got != "ada admin, bob owner" {
		t.Errorf("after the hand-over: %s", got)
	}
	apply("of no group", groups.Change{Group: id()}, false)

	r, err = s.Roster(ctx, g.ID)
	must(t, err)
	must(t, s.AddMember(ctx, membership(g.ID, eve, auth.Member)))
	gone := groups.Change{Group: g.ID, Version: r.Version, Delete: true, At: clock}
	apply("deleted after somebody joined", gone, false)
	must(t, s.InsertInvitation(ctx, groups.Invitation{ID: id(), Group: g.ID, User: addUser(t, s, "guest").ID, InvitedBy: bob.ID, CreatedAt: clock}))
	l := link(g.ID, bob)
	must(t, s.InsertLink(ctx, l, clock))
	gone.Version++
	apply("deleted", gone, true)
	for _, u := range []auth.User{ada, bob, eve} {
		if roles, err := s.RolesOf(ctx, u.ID); err != nil || roles[g.ID] != "" {
			t.Errorf("%s still has %v, %v", u.Username, roles, err)
		}
	}
	_, err = s.GroupByID(ctx, g.ID)
	wantErr(t, "deleted", err, groups.ErrNoGroup)
	_, err = s.LinkByHash(ctx, l.Hash, clock)
	wantErr(t, "link of a deleted group", err, groups.ErrNoLink)
	if left, err := s.InvitationsOf(ctx, g.ID, "", 10); len(left) != 0 || err != nil {
		t.Errorf("invitations of a deleted group: %v, %v", left, err)
	}
	if got := places(t, s, other.ID); got != "eve owner" {
		t.Errorf("the other group: %s", got)
	}
}

// groupsTombstones are of deleted groups, until they are forgotten.
func groupsTombstones(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada := addUser(t, s, "ada")
	var ids []string
	for i := range 3 {
		g := addGroup(t, s, "lab", ada)
		ids = append(ids, g.ID)
		r, err := s.Roster(ctx, g.ID)
		must(t, err)
		ok, err := s.ChangeMembers(ctx, groups.Change{
			Group: g.ID, Version: r.Version, Delete: true, At: clock.Add(time.Duration(i) * time.Minute),
		})
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	due := func(now time.Time, limit int) string {
		t.Helper()
		ts, err := s.DueTombstones(ctx, now, limit)
		must(t, err)
		var all []string
		for _, d := range ts {
			i := slices.Index(ids, d.Group)
			if want := clock.Add(time.Duration(i) * time.Minute); !d.DeletedAt.Equal(want) {
				t.Errorf("%d was deleted at %v, want %v", i, d.DeletedAt, want)
			}
			all = append(all, fmt.Sprint(i))
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct {
		after time.Duration
		limit int
		want  string
	}{{-time.Millisecond, 10, ""}, {0, 10, "0"}, {time.Hour, 2, "0 1"}, {time.Hour, 10, "0 1 2"}} {
		if got := due(clock.Add(c.after), c.limit); got != c.want {
			t.Errorf("due after %v: %q, want %q", c.after, got, c.want)
		}
	}
	must(t, s.SweepTombstone(ctx, ids[0], clock.Add(30*time.Minute)))
	must(t, s.SweepTombstone(ctx, ids[1], time.Time{}))
	if got := due(clock.Add(time.Hour), 10); got != "2 0" {
		t.Errorf("due later: %q", got)
	}
	if got := due(clock.Add(10*time.Minute), 10); got != "2" {
		t.Errorf("due in between: %q", got)
	}
}

// groupsOneStep: of many changes on one version one is made.
func groupsOneStep(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada := addUser(t, s, "ada")
	g := addGroup(t, s, "lab", ada)
	var heirs []auth.User
	for i := range 8 {
		heirs = append(heirs, addUser(t, s, fmt.Sprintf("heir-%d", i)))
		must(t, s.AddMember(ctx, membership(g.ID, heirs[i], auth.Member)))
	}
	r, err := s.Roster(ctx, g.ID)
	must(t, err)
	n, failed := atOnce(8, func(i int) error {
		ok, err := s.ChangeMembers(ctx, groups.Change{
			Group: g.ID, Version: r.Version, Roles: map[string]auth.Role{heirs[i].ID: auth.Owner, ada.ID: auth.Admin},
		})
		if err == nil && !ok {
			err = errors.New("overtaken")
		}
		return err
	})
	if got := places(t, s, g.ID); n != 1 || len(failed) != 7 || strings.Count(got, "owner") != 1 {
		t.Errorf("%d hand-overs were made: %s", n, got)
	}
}

// GroupFiller is a store whose test double is too slow to add a thousand members
// one by one: it adds most of them by another way.
type GroupFiller interface {
	FillGroup(ctx context.Context, group string, members []groups.Membership) error
}

func groupsFull(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada := addUser(t, s, "ada")
	g := addGroup(t, s, "lab", ada)
	l := link(g.ID, ada)
	must(t, s.InsertLink(ctx, l, clock))
	var all []groups.Membership
	for range groups.MaxMembers - 1 {
		all = append(all, groups.Membership{ID: id(), Group: g.ID, User: id(), Role: auth.Member, JoinedAt: clock})
	}
	if f, ok := s.(GroupFiller); ok {
		some := len(all) - 8
		must(t, f.FillGroup(ctx, g.ID, all[:some]))
		all = all[some:]
	}
	if n, failed := atOnce(len(all), func(i int) error { return s.AddMember(ctx, all[i]) }); n != len(all) {
		t.Errorf("%d of %d joined, then %v", n, len(all), failed)
	}
	bob := addUser(t, s, "bob")
	i := groups.Invitation{ID: id(), Group: g.ID, User: bob.ID, InvitedBy: ada.ID, CreatedAt: clock}
	must(t, s.InsertInvitation(ctx, i))
	m := membership(g.ID, bob, auth.Member)
	wantErr(t, "one too many", s.AddMember(ctx, m), groups.ErrGroupFull)
	wantErr(t, "accept", s.AnswerInvitation(ctx, i.ID, bob.ID, &m), groups.ErrGroupFull)
	_, err := s.TakeLink(ctx, l.Hash, clock)
	wantErr(t, "link", err, groups.ErrGroupFull)
	if got, err := s.LinkByHash(ctx, l.Hash, clock); got.Uses != 0 || err != nil {
		t.Errorf("a use was taken: %+v, %v", got, err)
	}
	if left, err := s.InvitationsTo(ctx, bob.ID, "", 10); len(left) != 1 || err != nil {
		t.Errorf("the invitation has not stayed: %v, %v", left, err)
	}
}

func groupsStars(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada, bob := addUser(t, s, "ada"), addUser(t, s, "bob")
	g := addGroup(t, s, "lab", ada)
	must(t, s.AddMember(ctx, membership(g.ID, bob, auth.Viewer)))
	for _, star := range []bool{true, true, false} {
		must(t, s.SetStar(ctx, g.ID, bob.ID, star))
		mine, err := s.GroupOf(ctx, g.ID, bob.ID)
		his, err2 := s.GroupOf(ctx, g.ID, ada.ID)
		if must(t, errors.Join(err, err2)); mine.Starred != star || his.Starred {
			t.Errorf("starred %v, the other's %v, want %v", mine.Starred, his.Starred, star)
		}
	}
	wantErr(t, "a stranger", s.SetStar(ctx, g.ID, addUser(t, s, "eve").ID, true), groups.ErrNoGroup)
}

func groupsPending(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada := addUser(t, s, "ada")
	g, other := addGroup(t, s, "lab", ada), addGroup(t, s, "other", ada)
	invite := func(to auth.User) groups.Invitation {
		return groups.Invitation{
			ID: id(), Group: g.ID, GroupName: "lab", User: to.ID, Username: to.Username,
			InvitedBy: ada.ID, InvitedByName: "ada", CreatedAt: clock,
		}
	}
	var all []groups.Invitation
	for i := range groups.MaxInvitations {
		all = append(all, invite(addUser(t, s, fmt.Sprintf("u-%d", i))))
		must(t, s.InsertInvitation(ctx, all[i]))
	}
	late := invite(addUser(t, s, "late"))
	wantErr(t, "one too many", s.InsertInvitation(ctx, late), groups.ErrTooManyInvitations)
	if got, err := s.InvitationsOf(ctx, g.ID, all[1].ID, 2); err != nil || !slices.Equal(got, all[2:4]) {
		t.Errorf("InvitationsOf = %+v, %v", got, err)
	}
	if got, err := s.InvitationByID(ctx, all[0].ID); err != nil || got != all[0] {
		t.Errorf("InvitationByID = %+v, %v", got, err)
	}
	wantErr(t, "withdrawn by another group", s.WithdrawInvitation(ctx, other.ID, all[0].ID), groups.ErrNoInvitation)
	must(t, s.WithdrawInvitation(ctx, g.ID, all[0].ID))
	wantErr(t, "withdrawn twice", s.WithdrawInvitation(ctx, g.ID, all[0].ID), groups.ErrNoInvitation)
	_, err := s.InvitationByID(ctx, all[0].ID)
	wantErr(t, "withdrawn", err, groups.ErrNoInvitation)
	must(t, s.InsertInvitation(ctx, late))
	must(t, s.AddMember(ctx, groups.Membership{ID: id(), Group: g.ID, User: late.User, Role: auth.Viewer, JoinedAt: clock}))
	_, err = s.InvitationByID(ctx, late.ID)
	wantErr(t, "joined by another way", err, groups.ErrNoInvitation)
	late.ID, late.Group = id(), id()
	wantErr(t, "to no group", s.InsertInvitation(ctx, late), groups.ErrNoGroup)
}
