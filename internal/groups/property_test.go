package groups_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
)

// move is something that somebody does to a group.
type move struct {
	what      string
	who, whom int // places among the people
	group     int
	role      auth.Role
}

// TestAGroupAlwaysHasOneOwner: after any moves, some of them at the same time on
// two servers, every group that is there has exactly one owner, and one that is
// gone has nobody and was told once.
func TestAGroupAlwaysHasOneOwner(t *testing.T) {
	f := setUp(t)
	second := groups.NewService(f.db, f.db, auth.NewThrottle(time.Now), time.Now)
	servers := []*groups.Service{f.Service, second}
	log := &eventLog{}
	f.Listen(log)
	second.Listen(log)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		people := make([]auth.Caller, 4)
		for i := range people {
			people[i] = f.user(fmt.Sprintf("u%d-%d", i, round))
		}
		ids := []string{f.create(people[0]).ID, f.create(people[1]).ID}
		for i, p := range people[2:] {
			f.add(ids[0], p, []auth.Role{auth.Admin, auth.Viewer}[i])
		}
		moves := rapid.Custom(func(rt *rapid.T) move {
			return move{
				what: rapid.SampledFrom([]string{"join", "join", "role", "role", "kick", "leave", "leave", "delete"}).Draw(rt, "what"),
				who:  rapid.IntRange(0, 3).Draw(rt, "who"), whom: rapid.IntRange(0, 3).Draw(rt, "whom"),
				group: rapid.IntRange(0, 1).Draw(rt, "group"),
				role:  rapid.SampledFrom([]auth.Role{auth.Owner, auth.Owner, auth.Admin, auth.Member, auth.Viewer}).Draw(rt, "role"),
			}
		})
		for range rapid.IntRange(1, 6).Draw(rt, "rounds") {
			var wg sync.WaitGroup
			for i, m := range rapid.SliceOfN(moves, 1, 6).Draw(rt, "at once") {
				wg.Go(func() {
					if err := play(f, servers[i%2], people, ids, m); fault.KindOf(err) == fault.Internal && err != nil {
						rt.Errorf("%+v: %v", m, err)
					}
				})
			}
			wg.Wait()
			for _, id := range ids {
				checkOwner(rt, f, log, id, people)
			}
		}
	})
}

func play(f *fixture, s *groups.Service, people []auth.Caller, ids []string, m move) error {
	who, whom, group := people[m.who], people[m.whom], ids[m.group]
	switch m.what {
	case "role":
		_, err := s.SetRole(ctx, who, group, whom.UserID, m.role)
		return err
	case "kick":
		return s.Kick(ctx, who, group, whom.UserID)
	case "leave":
		return s.Leave(ctx, who, group)
	case "delete":
		return s.Delete(ctx, who, group)
	}
	i, err := s.Invite(ctx, who, group, whom.Username)
	if err == nil {
		_, err = s.Answer(ctx, whom, i.ID, true)
	}
	return err
}

func checkOwner(rt *rapid.T, f *fixture, log *eventLog, group string, people []auth.Caller) {
	deleted := 0
	for _, e := range log.all {
		if e.Type == groups.Deleted && e.Group.ID == group {
			deleted++
		}
	}
	r, err := f.db.Roster(ctx, group)
	if errors.Is(err, groups.ErrNoGroup) {
		left, err := f.db.Members(ctx, group, "", 10)
		if len(left) != 0 || err != nil || deleted != 1 {
			rt.Fatalf("a deleted group, told %d times, has %+v, %v", deleted, left, err)
		}
		return
	}
	owners := slices.DeleteFunc(slices.Clone(r.Members), func(m groups.Membership) bool { return m.Role != auth.Owner })
	if err != nil || len(owners) != 1 || deleted != 0 {
		rt.Fatalf("owners %+v of %+v, deleted %d times, %v", owners, r.Members, deleted, err)
	}
	for _, p := range people {
		roles, err := f.db.RolesOf(ctx, p.UserID)
		i := slices.IndexFunc(r.Members, func(m groups.Membership) bool { return m.User == p.UserID })
		if err != nil || (i < 0) != (roles[group] == "") || i >= 0 && roles[group] != r.Members[i].Role {
			rt.Fatalf("%s has %v in the roster %+v, %v", p.Username, roles, r.Members, err)
		}
	}
}
