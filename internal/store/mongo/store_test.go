package mongo

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/mongotest"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/store/storetest"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

var (
	server  *mongotest.Server
	standIn bool // it is FerretDB
)

// TestMain runs the tests on one server.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if server, err = mongotest.Start(); err == nil && server.StandIn {
		standIn = true
		err = flag.Set("rapid.checks", "15")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	failed := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return failed
}

// openTest opens a database of the test's own, which goes with it. Whatever the
// test asks it must have an index for.
func openTest(tb testing.TB) *DB {
	tb.Helper()
	some := indexes
	if standIn { // it would keep the others without ever using them
		some = slices.DeleteFunc(slices.Clone(indexes), func(i index) bool { return !i.unique })
	}
	asked := &recorder{}
	db, err := open(context.Background(), server.Database(), slog.New(slog.DiscardHandler), some, asked.monitor())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if !anythingGoes(tb) {
			asked.check(tb, db)
		}
		if err := db.db.Drop(context.Background()); err != nil {
			tb.Error(err)
		}
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// anythingGoes holds for tests that ask what the domain never does.
func anythingGoes(tb testing.TB) bool {
	return strings.HasSuffix(tb.Name(), "/find_agrees_with_a_naive_filter") || strings.HasSuffix(tb.Name(), "/insert_thousands")
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(tb testing.TB) storetest.Stores {
		db := openTest(tb)
		return storetest.Stores{
			Tasks: db, Payloads: db, Stats: db, Queues: db, Sessions: db.Sessions(), Roster: db.Sessions(), Cluster: db, Installation: db,
			Slow: standIn,
		}
	})
}

func TestInstallationStore(t *testing.T) {
	storetest.Installation(t, func(t *testing.T) (storetest.InstallationStore, workers.Store, tasks.Store) {
		db := openTest(t)
		return db, db.Sessions(), db
	})
}

func TestAuthStore(t *testing.T) {
	storetest.Auth(t, func(t *testing.T) auth.Store { return openTest(t) })
}

func TestGroupStore(t *testing.T) {
	storetest.Groups(t, func(t *testing.T) storetest.GroupStore { return filler{openTest(t)} })
}

// filler adds many members in one update.
type filler struct{ *DB }

func (f filler) FillGroup(ctx context.Context, group string, members []groups.Membership) error {
	set, users := D{}, []string{}
	for _, m := range members {
		set = append(set, is("members."+m.User, memberDoc{ID: m.ID, Role: m.Role, JoinedAt: m.JoinedAt}))
		users = append(users, m.User)
	}
	_, err := update(ctx, f.groups(), here(group), D{
		is("$set", set), is("$push", D{op("users", "$each", users)}), is("$inc", D{is("size", len(members)), is("version", 1)}),
	})
	return err
}

func TestAuditStore(t *testing.T) {
	storetest.Audit(t, func(t *testing.T) audit.Store { return openTest(t) })
}

func TestNotificationStore(t *testing.T) {
	storetest.Notify(t, func(t *testing.T) notify.Store { return openTest(t).Notifications() })
}

func TestDevices(t *testing.T) {
	storetest.Devices(t, func(t *testing.T) devsync.Store { return devices{openTest(t)} })
}

type devices struct{ *DB }

// Slow implements storetest.Slow.
func (devices) Slow() bool { return standIn }
