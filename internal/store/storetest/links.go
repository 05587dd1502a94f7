package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

// link is one with a use that is good for an hour.
func link(group string, by auth.User) groups.Link {
	return groups.Link{
		ID: id(), Group: group, GroupName: "lab", Hash: "hash " + id(), Role: auth.Viewer, MaxUses: 1, ExpiresAt: clock.Add(time.Hour),
		CreatedBy: by.ID, CreatedByName: by.Username, CreatedAt: clock,
	}
}

func groupsLinks(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada := addUser(t, s, "ada")
	g, other := addGroup(t, s, "lab", ada), addGroup(t, s, "other", ada)
	l := link(g.ID, ada)
	l.MaxUses = 2
	must(t, s.InsertLink(ctx, l, clock))
	must(t, s.InsertLink(ctx, link(other.ID, ada), clock))
	for _, c := range []struct {
		what  string
		hash  string
		after time.Duration
		want  error
	}{
		{"unknown", "?", 0, groups.ErrNoLink},
		{"just good", l.Hash, time.Hour - time.Millisecond, nil},
		{"just expired", l.Hash, time.Hour, groups.ErrNoLink},
	} {
		_, err := s.LinkByHash(ctx, c.hash, clock.Add(c.after))
		wantErr(t, c.what+": look", err, c.want)
		if c.want != nil {
			_, err = s.TakeLink(ctx, c.hash, clock.Add(c.after))
			wantErr(t, c.what+": take", err, c.want)
		}
	}
	for l.Uses < l.MaxUses {
		got, err := s.TakeLink(ctx, l.Hash, clock)
		if l.Uses++; err != nil || got != l {
			t.Errorf("taken: %+v, %v, want %+v", got, err, l)
		}
	}
	_, err := s.TakeLink(ctx, l.Hash, clock)
	wantErr(t, "used up", err, groups.ErrNoLink)
	_, err = s.LinkByHash(ctx, l.Hash, clock)
	wantErr(t, "used up", err, groups.ErrNoLink)
	if got, err := s.Links(ctx, g.ID, "", 10); err != nil || !slices.Equal(got, []groups.Link{l}) {
		t.Errorf("Links = %+v, %v", got, err)
	}
	must(t, s.GiveBackLink(ctx, l.ID))
	must(t, s.GiveBackLink(ctx, id()))
	if _, err := s.TakeLink(ctx, l.Hash, clock); err != nil {
		t.Errorf("given back: %v", err)
	}
	must(t, s.GiveBackLink(ctx, l.ID))
	wantErr(t, "revoked by another group", s.DeleteLink(ctx, other.ID, l.ID), groups.ErrNoLink)
	must(t, s.DeleteLink(ctx, g.ID, l.ID))
	wantErr(t, "revoked twice", s.DeleteLink(ctx, g.ID, l.ID), groups.ErrNoLink)
	_, err = s.TakeLink(ctx, l.Hash, clock)
	wantErr(t, "revoked", err, groups.ErrNoLink)
}

// groupsLinkLimit: only links in force count.
func groupsLinkLimit(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada := addUser(t, s, "ada")
	g := addGroup(t, s, "lab", ada)
	var all []groups.Link
	for i := range groups.MaxLinks {
		all = append(all, link(g.ID, ada))
		if i == 0 {
			all[i].ExpiresAt = clock.Add(time.Minute)
		}
		must(t, s.InsertLink(ctx, all[i], clock))
	}
	wantErr(t, "one too many", s.InsertLink(ctx, link(g.ID, ada), clock), groups.ErrTooManyLinks)
	must(t, s.InsertLink(ctx, link(g.ID, ada), clock.Add(time.Minute))) // the first has expired
	if _, err := s.TakeLink(ctx, all[1].Hash, clock); err != nil {
		t.Fatal(err)
	}
	must(t, s.InsertLink(ctx, link(g.ID, ada), clock.Add(time.Minute)))
	got, err := s.Links(ctx, g.ID, "", 2*groups.MaxLinks)
	if err != nil || len(got) != groups.MaxLinks || got[0] != all[2] {
		t.Errorf("%d links, %v", len(got), err)
	}
}

// groupsLinkMakers: a link lives as long as its maker may make one.
func groupsLinkMakers(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada, bob, eve := addUser(t, s, "ada"), addUser(t, s, "bob"), addUser(t, s, "eve")
	g := addGroup(t, s, "lab", ada)
	must(t, s.AddMember(ctx, membership(g.ID, bob, auth.Admin)))
	must(t, s.AddMember(ctx, membership(g.ID, eve, auth.Member)))
	wantErr(t, "a member's", s.InsertLink(ctx, link(g.ID, eve), clock), groups.ErrRole)
	wantErr(t, "a stranger's", s.InsertLink(ctx, link(g.ID, addUser(t, s, "zoe")), clock), groups.ErrNoGroup)
	change := func(c groups.Change) {
		t.Helper()
		r, err := s.Roster(ctx, g.ID)
		must(t, err)
		c.Group, c.Version = g.ID, r.Version
		if ok, err := s.ChangeMembers(ctx, c); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for what, c := range map[string]groups.Change{
		"demoted": {Roles: map[string]auth.Role{bob.ID: auth.Member}},
		"removed": {Remove: bob.ID},
	} {
		kept, ended := link(g.ID, ada), link(g.ID, bob)
		must(t, s.InsertLink(ctx, kept, clock))
		must(t, s.InsertLink(ctx, ended, clock))
		change(groups.Change{Roles: map[string]auth.Role{eve.ID: auth.Viewer}})
		if _, err := s.LinkByHash(ctx, ended.Hash, clock); err != nil {
			t.Errorf("another's role ended a link: %v", err)
		}
		change(c)
		_, err := s.LinkByHash(ctx, ended.Hash, clock)
		wantErr(t, what, err, groups.ErrNoLink)
		if _, err := s.LinkByHash(ctx, kept.Hash, clock); err != nil {
			t.Errorf("%s: the other link: %v", what, err)
		}
		if what == "demoted" {
			change(groups.Change{Roles: map[string]auth.Role{bob.ID: auth.Admin}})
		} else {
			must(t, s.AddMember(ctx, membership(g.ID, bob, auth.Admin)))
		}
	}
}

// groupsLastUse: of many who take the last use one gets it.
func groupsLastUse(t *testing.T, s GroupStore) {
	ctx := context.Background()
	ada := addUser(t, s, "ada")
	l := link(addGroup(t, s, "lab", ada).ID, ada)
	l.MaxUses = 3
	must(t, s.InsertLink(ctx, l, clock))
	n, failed := atOnce(8, func(int) error {
		_, err := s.TakeLink(ctx, l.Hash, clock)
		return err
	})
	if n != 3 {
		t.Errorf("%d of 8 took one of 3 uses", n)
	}
	for _, err := range failed {
		wantErr(t, "loser", err, groups.ErrNoLink)
	}
}
