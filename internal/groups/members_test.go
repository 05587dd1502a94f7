package groups_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

// eventLog remembers what it was told.
type eventLog struct {
	mu  sync.Mutex
	all []groups.Event
}

func (l *eventLog) GroupChanged(e groups.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
}

// take returns the events since the last take, as "type actor>user role".
func (l *eventLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, e := range l.all {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s>%s %s", e.Type, e.Actor.Name, e.User.Name, e.Role)))
	}
	l.all = nil
	return strings.Join(all, ", ")
}

// crew makes a group of ada, who owns it, and people named as their roles with a
// number, in this order.
func (f *fixture) crew(names ...string) (group string, people map[string]auth.Caller) {
	f.t.Helper()
	people = map[string]auth.Caller{"ada": f.user("ada")}
	group = f.create(people["ada"]).ID
	for _, name := range names {
		people[name] = f.user(name)
		f.add(group, people[name], auth.Role(strings.TrimRight(name, "0123456789")))
	}
	return group, people
}

func (f *fixture) add(group string, c auth.Caller, role auth.Role) {
	f.t.Helper()
	m := groups.Membership{ID: newID(), Group: group, User: c.UserID, Role: role, JoinedAt: time.Now().UTC()}
	if err := f.db.AddMember(ctx, m); err != nil {
		f.t.Fatal(err)
	}
}

// owner returns the name of the owner, empty where the group is gone.
func (f *fixture) owner(group string) string {
	f.t.Helper()
	r, err := f.db.Roster(ctx, group)
	if errors.Is(err, groups.ErrNoGroup) {
		return ""
	}
	if err != nil {
		f.t.Fatal(err)
	}
	var owners []string
	for _, m := range r.Members {
		if m.Role == auth.Owner {
			owners = append(owners, m.Username)
		}
	}
	if len(owners) != 1 {
		f.t.Fatalf("owners: %v of %+v", owners, r.Members)
	}
	return owners[0]
}

// TestHandOver: whoever leaves in whatever order, the right one owns the group.
func TestHandOver(t *testing.T) {
	f := setUp(t)
	n := 0
	for _, c := range []struct {
		joined string   // after ada
		leave  []string // "x": the owner then is …
	}{
		{"", []string{"ada:"}},
		{"viewer1", []string{"ada:viewer1", "viewer1:"}},
		{"viewer1 viewer2", []string{"ada:viewer1", "viewer1:viewer2", "viewer2:"}},
		{"viewer1 member1 admin1", []string{"ada:admin1", "admin1:member1", "member1:viewer1", "viewer1:"}},
		{"member1 admin1 admin2", []string{"ada:admin1", "admin1:admin2", "admin2:member1", "member1:"}},
		{"member1 admin1 admin2", []string{"admin1:ada", "ada:admin2", "member1:admin2", "admin2:"}},
		{"member1 member2", []string{"member1:ada", "ada:member2", "member2:"}},
		{"admin1 member1", []string{"member1:ada", "admin1:ada", "ada:"}},
	} {
		t.Run(c.joined+"/"+strings.Join(c.leave, " "), func(t *testing.T) {
			n++
			f.t = t
			people := map[string]auth.Caller{}
			caller := func(name string) auth.Caller {
				if people[name].UserID == "" {
					people[name] = f.user(fmt.Sprintf("%s-%d", name, n))
				}
				return people[name]
			}
			g := f.create(caller("ada")).ID
			for _, name := range strings.Fields(c.joined) {
				f.add(g, caller(name), auth.Role(strings.TrimRight(name, "12")))
			}
			for _, step := range c.leave {
				who, owner, _ := strings.Cut(step, ":")
				if err := f.Leave(ctx, caller(who), g); err != nil {
					t.Fatalf("%s leaves: %v", who, err)
				}
				if got, _, _ := strings.Cut(f.owner(g), "-"); got != owner {
					t.Fatalf("after %s has left the owner is %q, want %q", who, got, owner)
				}
				wantErr(t, "left already", f.Leave(ctx, caller(who), g), groups.ErrNoGroup)
			}
		})
	}
}

// TestWhoMayChangeWhom is the table of docs/http-api.md for roles and kicking.
func TestWhoMayChangeWhom(t *testing.T) {
	f := setUp(t)
	g, people := f.crew("admin1", "admin2", "member1", "member2", "viewer1", "viewer2")
	people["stranger"] = f.user("stranger")
	id := func(name string) string { return people[name].UserID }
	for _, c := range []struct {
		who, whom string
		role      auth.Role // empty: kick
		want      error
	}{
		{"stranger", "member1", auth.Viewer, groups.ErrNoGroup},
		{"stranger", "member1", "", groups.ErrNoGroup},
		{"viewer1", "viewer2", auth.Member, groups.ErrRole},
		{"member1", "viewer1", auth.Viewer, groups.ErrRole},
		{"member1", "stranger", auth.Viewer, groups.ErrRole},
		{"member1", "viewer1", "", groups.ErrRole},
		{"viewer1", "viewer1", "", groups.ErrUseLeave},
		{"admin1", "ada", auth.Member, groups.ErrRole},
		{"admin1", "ada", "", groups.ErrRole},
		{"admin1", "admin2", auth.Member, groups.ErrRole},
		{"admin1", "admin2", "", groups.ErrRole},
		{"admin1", "admin1", auth.Member, groups.ErrRole},
		{"admin1", "admin1", "", groups.ErrUseLeave},
		{"admin1", "member1", auth.Admin, groups.ErrRole},
		{"admin1", "member1", auth.Owner, groups.ErrRole},
		{"admin1", "stranger", auth.Member, groups.ErrNoMember},
		{"admin1", "stranger", "", groups.ErrNoMember},
		{"ada", "ada", auth.Admin, groups.ErrIsOwner},
		{"ada", "ada", auth.Owner, groups.ErrIsOwner},
		{"ada", "ada", "", groups.ErrUseLeave},
		{"ada", "stranger", auth.Owner, groups.ErrNoMember},
	} {
		var err error
		if c.role == "" {
			err = f.Kick(ctx, people[c.who], g, id(c.whom))
		} else {
			_, err = f.SetRole(ctx, people[c.who], g, id(c.whom), c.role)
		}
		wantErr(t, fmt.Sprintf("%s, %s, %q", c.who, c.whom, c.role), err, c.want)
	}
	for _, name := range []string{"admin1", "member1", "viewer1"} {
		wantErr(t, name+" deletes", f.Delete(ctx, people[name], g), groups.ErrRole)
	}
	limited := people["ada"]
	limited.Groups = []string{"another"}
	wantErr(t, "beyond the token", f.Leave(ctx, limited, g), groups.ErrNoGroup)
	wantErr(t, "beyond the token", f.Star(ctx, limited, g, true), groups.ErrNoGroup)
	if got := f.owner(g); got != "ada" {
		t.Errorf("owner %q", got)
	}
}

// TestEvents: everything is told once, after it is so.
func TestEvents(t *testing.T) {
	f := setUp(t)
	log := &eventLog{}
	f.Listen(log)
	g, people := f.crew("admin1", "member1", "viewer1")
	id := func(name string) string { return people[name].UserID }
	role := func(who, whom string, role auth.Role) func() error {
		return func() error { _, err := f.SetRole(ctx, people[who], g, id(whom), role); return err }
	}
	for _, c := range []struct {
		what string
		do   func() error
		want string
	}{
		{"promoted", role("ada", "member1", auth.Admin), "role_changed ada>member1 admin"},
		{"the same again", role("ada", "member1", auth.Admin), ""},
		{"by an admin", role("admin1", "viewer1", auth.Member), "role_changed admin1>viewer1 member"},
		{"handed over", role("ada", "admin1", auth.Owner), "role_changed ada>admin1 owner, role_changed ada>ada admin"},
		{"kicked", func() error { return f.Kick(ctx, people["admin1"], g, id("member1")) }, "kicked admin1>member1 admin"},
		{"owner left", func() error { return f.Leave(ctx, people["admin1"], g) }, "left admin1>admin1 owner, role_changed admin1>ada owner"},
		{"left", func() error { return f.Leave(ctx, people["viewer1"], g) }, "left viewer1>viewer1 member"},
		{"last left", func() error { return f.Leave(ctx, people["ada"], g) }, "group_deleted ada>"},
	} {
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got := log.take(); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestDelete(t *testing.T) {
	f := setUp(t)
	log := &eventLog{}
	f.Listen(log)
	g, people := f.crew("admin1", "viewer1")
	if err := f.Delete(ctx, people["ada"], g); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, p := range people {
		want = append(want, p.UserID)
		_, err := f.Authorize(ctx, p, g, auth.View)
		wantErr(t, p.Username, err, groups.ErrNoGroup)
	}
	slices.Sort(want)
	if e := log.all[0]; len(log.all) != 1 || e.Type != groups.Deleted || e.Group != (groups.Ref{ID: g, Name: "lab"}) ||
		!slices.Equal(slices.Sorted(slices.Values(e.Members)), want) || e.At.IsZero() {
		t.Errorf("told %+v", log.all)
	}
	wantErr(t, "again", f.Delete(ctx, people["ada"], g), groups.ErrNoGroup)
}

// TestLeaveAll is for somebody whose account goes.
func TestLeaveAll(t *testing.T) {
	f := setUp(t)
	ada, bob := f.user("ada"), f.user("bob")
	alone, shared, invited := f.create(ada).ID, f.create(ada).ID, f.create(bob).ID
	f.add(shared, bob, auth.Viewer)
	if _, err := f.Invite(ctx, bob, invited, "ada"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing left
		if err := f.LeaveAll(ctx, groups.Ref{ID: ada.UserID, Name: "ada"}); err != nil {
			t.Fatal(err)
		}
	}
	if f.owner(alone) != "" || f.owner(shared) != "bob" || f.owner(invited) != "bob" {
		t.Errorf("owners %q, %q, %q", f.owner(alone), f.owner(shared), f.owner(invited))
	}
	if list, err := f.Invitations(ctx, ada, "", 10); len(list) != 0 || err != nil {
		t.Errorf("still invited: %v, %v", list, err)
	}
}

func TestTooManyGroups(t *testing.T) {
	f := setUp(t)
	ada, bob := f.user("ada"), f.user("bob")
	g := f.create(bob).ID
	i, err := f.Invite(ctx, bob, g, "ada")
	if err != nil {
		t.Fatal(err)
	}
	_, code, err := f.CreateLink(ctx, bob, g, groups.NewLink{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range groups.MaxGroups {
		wg.Go(func() { f.create(ada) })
	}
	wg.Wait()
	_, err = f.Create(ctx, ada, "one too many", "", nil)
	wantErr(t, "create", err, groups.ErrTooManyGroups)
	_, err = f.Answer(ctx, ada, i.ID, true)
	wantErr(t, "accept", err, groups.ErrTooManyGroups)
	_, err = f.AnswerAll(ctx, ada, true)
	wantErr(t, "accept all", err, groups.ErrTooManyGroups)
	_, err = f.Join(ctx, ada, code, addr)
	wantErr(t, "join", err, groups.ErrTooManyGroups)
	if links, err := f.Links(ctx, bob, g, "", 10); err != nil || links[0].Uses != 0 {
		t.Errorf("a use was taken: %+v, %v", links, err)
	}
}
