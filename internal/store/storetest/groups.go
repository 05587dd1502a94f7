package storetest

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

// GroupStore is what the groups suite needs: names of users come from auth's half.
type GroupStore interface {
	groups.Store
	auth.UserStore
}

// Groups is the conformance suite of groups.Store; open returns an empty one.
func Groups(t *testing.T, open func(t *testing.T) GroupStore) {
	for name, test := range map[string]func(*testing.T, GroupStore){
		"groups":                    groupsCRUD,
		"groups are listed by page": groupsPages,
		"invitations":               groupsInvitations,
		"one answer counts":         groupsAnswerRace,
		"changes of members":        groupsChanges,
		"one change of a version":   groupsOneStep,
		"a full group":              groupsFull,
		"stars":                     groupsStars,
		"pending invitations":       groupsPending,
		"deleted groups":            groupsTombstones,
		"invite links":              groupsLinks,
		"invite links in force":     groupsLinkLimit,
		"makers of invite links":    groupsLinkMakers,
		"the last use of a link":    groupsLastUse,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func addUser(t *testing.T, s GroupStore, name string) auth.User {
	t.Helper()
	u := newUser(name)
	must(t, s.InsertUser(context.Background(), u))
	return u
}

func addGroup(t *testing.T, s GroupStore, name string, owner auth.User) groups.Group {
	t.Helper()
	g := groups.Group{ID: id(), Name: name, CreatedAt: clock}
	must(t, s.InsertGroup(context.Background(), g, membership(g.ID, owner, auth.Owner)))
	return g
}

func membership(group string, u auth.User, role auth.Role) groups.Membership {
	return groups.Membership{ID: id(), Group: group, User: u.ID, Role: role, JoinedAt: clock}
}

func ptr[T any](v T) *T { return &v }

func groupsCRUD(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada, bob := addUser(t, s, "ada"), addUser(t, s, "bob")
	g := groups.Group{ID: id(), Name: "lab", Description: "ours", ResultRetention: ptr(time.Minute), CreatedAt: clock}
	owner := membership(g.ID, ada, auth.Owner)
	must(t, s.InsertGroup(ctx, g, owner))
	if got, err := s.GroupByID(ctx, g.ID); err != nil || !reflect.DeepEqual(got, g) {
		t.Errorf("GroupByID = %+v, %v", got, err)
	}
	mine := groups.Mine{Group: g, Role: auth.Owner, Members: 1}
	if got, err := s.GroupOf(ctx, g.ID, ada.ID); err != nil || !reflect.DeepEqual(got, mine) {
		t.Errorf("GroupOf = %+v, %v", got, err)
	}
	_, err := s.GroupOf(ctx, g.ID, bob.ID)
	wantErr(t, "not a member", err, groups.ErrNoGroup)
	_, err = s.GroupByID(ctx, id())
	wantErr(t, "unknown group", err, groups.ErrNoGroup)
	if roles, err := s.RolesOf(ctx, ada.ID); err != nil || !maps.Equal(roles, map[string]auth.Role{g.ID: auth.Owner}) {
		t.Errorf("RolesOf = %v, %v", roles, err)
	}
	if roles, err := s.RolesOf(ctx, bob.ID); err != nil || len(roles) != 0 {
		t.Errorf("RolesOf(nobody) = %v, %v", roles, err)
	}
	owner.Username = "ada"
	if got, err := s.Members(ctx, g.ID, "", 10); err != nil || !slices.Equal(got, []groups.Membership{owner}) {
		t.Errorf("Members = %+v, %v", got, err)
	}

	for _, c := range []struct {
		name string
		set  groups.Settings
		want func()
	}{
		{"nothing", groups.Settings{}, func() {}},
		{"name", groups.Settings{Name: ptr("new")}, func() { g.Name = "new" }},
		{"empty description", groups.Settings{Description: ptr("")}, func() { g.Description = "" }},
		{"no retention", groups.Settings{SetRetention: true}, func() { g.ResultRetention = nil }},
		{"retention of nothing", groups.Settings{SetRetention: true, ResultRetention: ptr(time.Duration(0))},
			func() { g.ResultRetention = ptr(time.Duration(0)) }},
	} {
		must(t, s.UpdateGroup(ctx, g.ID, c.set))
		c.want()
		if got, err := s.GroupByID(ctx, g.ID); err != nil || !reflect.DeepEqual(got, g) {
			t.Errorf("after setting %s: %+v, %v", c.name, got, err)
		}
	}
	wantErr(t, "update of nothing", s.UpdateGroup(ctx, id(), groups.Settings{Name: ptr("x")}), groups.ErrNoGroup)
}

func groupsPages(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada, bob := addUser(t, s, "ada"), addUser(t, s, "bob")
	var want []string
	for range 5 {
		want = append(want, addGroup(t, s, "lab", ada).ID)
	}
	addGroup(t, s, "another's", bob)
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		page, err := s.GroupsOf(ctx, ada.ID, after, 2)
		must(t, err)
		for _, m := range page {
			got = append(got, m.ID)
		}
		if len(page) < 2 {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages %v, want %v", got, want)
	}
}

func groupsInvitations(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada, bob := addUser(t, s, "ada"), addUser(t, s, "bob")
	lab, shop := addGroup(t, s, "lab", ada), addGroup(t, s, "shop", ada)
	invite := func(g groups.Group, to auth.User) groups.Invitation {
		return groups.Invitation{
			ID: id(), Group: g.ID, GroupName: g.Name, User: to.ID, Username: to.Username,
			InvitedBy: ada.ID, InvitedByName: "ada", CreatedAt: clock,
		}
	}
	first, second := invite(lab, bob), invite(shop, bob)
	must(t, s.InsertInvitation(ctx, first))
	must(t, s.InsertInvitation(ctx, second))
	wantErr(t, "twice", s.InsertInvitation(ctx, invite(lab, bob)), groups.ErrAlreadyInvited)
	wantErr(t, "a member", s.InsertInvitation(ctx, invite(lab, ada)), groups.ErrAlreadyMember)
	if got, err := s.InvitationsTo(ctx, bob.ID, "", 10); err != nil || !slices.Equal(got, []groups.Invitation{first, second}) {
		t.Errorf("InvitationsTo = %+v, %v", got, err)
	}
	if got, err := s.InvitationsTo(ctx, bob.ID, first.ID, 10); err != nil || !slices.Equal(got, []groups.Invitation{second}) {
		t.Errorf("InvitationsTo after the first = %+v, %v", got, err)
	}

	wantErr(t, "another's", s.AnswerInvitation(ctx, first.ID, ada.ID, nil), groups.ErrNoInvitation)
	must(t, s.AnswerInvitation(ctx, first.ID, bob.ID, &groups.Membership{ID: id(), User: bob.ID, Role: auth.Member, JoinedAt: clock}))
	must(t, s.AnswerInvitation(ctx, second.ID, bob.ID, nil))
	wantErr(t, "again", s.AnswerInvitation(ctx, second.ID, bob.ID, nil), groups.ErrNoInvitation)
	if roles, err := s.RolesOf(ctx, bob.ID); err != nil || !maps.Equal(roles, map[string]auth.Role{lab.ID: auth.Member}) {
		t.Errorf("roles after accept and decline: %v, %v", roles, err)
	}
	if m, err := s.GroupOf(ctx, lab.ID, ada.ID); err != nil || m.Members != 2 {
		t.Errorf("%d members, %v", m.Members, err)
	}
	must(t, s.InsertInvitation(ctx, invite(shop, bob))) // declined may be invited again
}

func groupsAnswerRace(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada, bob := addUser(t, s, "ada"), addUser(t, s, "bob")
	g := addGroup(t, s, "lab", ada)
	i := groups.Invitation{ID: id(), Group: g.ID, User: bob.ID, InvitedBy: ada.ID, CreatedAt: clock}
	must(t, s.InsertInvitation(ctx, i))
	n, failed := atOnce(8, func(int) error {
		return s.AnswerInvitation(ctx, i.ID, bob.ID, &groups.Membership{ID: id(), User: bob.ID, Role: auth.Member, JoinedAt: clock})
	})
	if n != 1 {
		t.Errorf("%d of 8 answers counted", n)
	}
	for _, err := range failed {
		wantErr(t, "loser", err, groups.ErrNoInvitation)
	}
}
