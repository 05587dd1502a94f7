package notify_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/store/sqlite"
	"github.com/firmlight/firmlight/internal/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted is the real store, which counts its writes and may be away.
type counted struct {
	notify.Store
	mu   sync.Mutex
	adds int
	away error
}

func (c *counted) Add(ctx context.Context, ns ...notify.Notification) ([]notify.Notification, error) {
	c.mu.Lock()
	c.adds++
	away := c.away
	c.mu.Unlock()
	if away != nil {
		return nil, away
	}
	return c.Store.Add(ctx, ns...)
}

func (c *counted) setAway(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
}

// pages is what a user's open pages are told.
type pages struct {
	mu   sync.Mutex
	told map[string][]notify.Change
}

func (p *pages) Notify(user string, change any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[user] = append(p.told[user], change.(notify.Change))
}

func (p *pages) take(user string) []notify.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := p.told[user]
	delete(p.told, user)
	return told
}

// fixture is a notify.Service on the real store, in a group whose people are ada
// (owner), ben (admin), cora (member) and vic (viewer); zoe is in none.
type fixture struct {
	*notify.Service
	*testing.T
	db    *sqlite.DB
	store *counted
	pages *pages
	group groups.Ref
}

// inBubble runs a test with a started service, in a time that passes at once.
func inBubble(t *testing.T, test func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := sqlitetest.Open(t)
		f := &fixture{
			T: t, db: db, store: &counted{Store: db.Notifications()}, pages: &pages{told: map[string][]notify.Change{}},
			group: groups.Ref{ID: "lab-id", Name: "lab"},
		}
		f.people()
		f.Service = f.server()
		test(f)
		must(t, f.Service.Stop(context.Background()))
	})
}

// server starts another service on the same store.
func (f *fixture) server() *notify.Service {
	f.Helper()
	s := notify.New(notify.Options{Store: f.store, Groups: f.db, Live: f.pages, Log: slog.New(slog.DiscardHandler)})
	must(f.T, s.Start(context.Background()))
	return s
}

func (f *fixture) people() {
	f.Helper()
	ctx := context.Background()
	at := now()
	join := func(name string, role auth.Role) groups.Membership {
		must(f.T, f.db.InsertUser(ctx, auth.User{ID: name, Username: name, Email: name + "@example.org"}))
		return groups.Membership{ID: newID(), Group: f.group.ID, User: name, Role: role, JoinedAt: at}
	}
	must(f.T, f.db.InsertGroup(ctx, groups.Group{ID: f.group.ID, Name: f.group.Name, CreatedAt: at}, join("ada", auth.Owner)))
	for name, role := range map[string]auth.Role{"ben": auth.Admin, "cora": auth.Member, "vic": auth.Viewer} {
		m := join(name, role)
		i := groups.Invitation{ID: newID(), Group: f.group.ID, User: name, InvitedBy: "ada", CreatedAt: at}
		must(f.T, f.db.InsertInvitation(ctx, i))
		must(f.T, f.db.AnswerInvitation(ctx, i.ID, name, &m))
	}
	join("zoe", "")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settle lets all that waits be written.
func (f *fixture) settle() {
	f.Helper()
	synctest.Wait()
	time.Sleep(2 * notify.FlushEvery) //nolint:forbidigo // of the bubble
	synctest.Wait()
}

// of lists a user's.
func (f *fixture) of(user string) []notify.Notification {
	f.Helper()
	ns, err := f.List(context.Background(), user, false, notify.Place{}, 2*notify.MaxOfUser)
	must(f.T, err)
	return ns
}

// one returns the only one of a user's.
func (f *fixture) one(user string) notify.Notification {
	f.Helper()
	ns := f.of(user)
	if len(ns) != 1 {
		f.Fatalf("%s has %+v, want one", user, ns)
	}
	return ns[0]
}

func ref(name string) groups.Ref { return groups.Ref{ID: name, Name: name} }

// ended is a task of a user's that has ended in the group.
func (f *fixture) ended(user string, status tasks.Status) tasks.Task {
	return tasks.Task{
		ID: newID(), Group: f.group.ID, Kind: "echo", Title: "a title", CreatedBy: user, Status: status, FinishedAt: now(),
	}
}

// heard lists who was told of anything, and clears it.
func (f *fixture) heard() []string {
	f.Helper()
	var who []string
	for _, user := range []string{"ada", "ben", "cora", "vic", "zoe"} {
		if len(f.of(user)) > 0 {
			who = append(who, user)
			must(f.T, f.Forget(context.Background(), user))
		}
	}
	return who
}

func (f *fixture) wantHeard(what string, want ...string) {
	f.Helper()
	f.settle()
	if got := f.heard(); !slices.Equal(got, want) {
		f.Errorf("%s: %v heard, want %v", what, got, want)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// now is the time as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
