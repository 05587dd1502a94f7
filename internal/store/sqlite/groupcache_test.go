package sqlite

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

func insertGroup(t *testing.T, db *DB) (g groups.Group, m groups.Membership) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	g = groups.Group{ID: "g", Name: "0", CreatedAt: now}
	m = groups.Membership{ID: "m", Group: "g", User: "u", Role: auth.Owner, JoinedAt: now}
	if err := db.InsertGroup(t.Context(), g, m); err != nil {
		t.Fatal(err)
	}
	return g, m
}

// TestGroupsAreReadAsTheyAre: whoever asks after a change was acknowledged is told
// of it, however many ask meanwhile.
func TestGroupsAreReadAsTheyAre(t *testing.T) {
	db := openTest(t)
	g, m := insertGroup(t, db)
	var acknowledged atomic.Int64
	var all sync.WaitGroup
	over := make(chan struct{})
	for i := range 4 {
		all.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				least := acknowledged.Load()
				var name string
				if i%2 == 0 {
					got, err := db.GroupByID(t.Context(), g.ID)
					if err != nil {
						t.Error(err)
						return
					}
					name = got.Name
				} else {
					got, err := db.GroupOf(t.Context(), g.ID, m.User)
					if err != nil {
						t.Error(err)
						return
					}
					name = got.Name
				}
				if n, _ := strconv.ParseInt(name, 10, 64); n < least {
					t.Errorf("read %s after %d was acknowledged", name, least)
					return
				}
			}
		})
	}
	for n := int64(1); n <= 500; n++ {
		name := strconv.FormatInt(n, 10)
		if err := db.UpdateGroup(t.Context(), g.ID, groups.Settings{Name: &name}); err != nil {
			t.Fatal(err)
		}
		acknowledged.Store(n)
	}
	close(over)
	all.Wait()
}

// TestGroupsAreKept: a second read needs no database, until something of groups or
// memberships is written; what is not there is not kept.
func TestGroupsAreKept(t *testing.T) {
	db := openTest(t)
	if _, err := db.GroupByID(t.Context(), "g"); !errors.Is(err, groups.ErrNoGroup) {
		t.Fatal(err)
	}
	g, m := insertGroup(t, db)
	kept := func() int {
		for range 2 {
			if _, err := db.GroupByID(t.Context(), g.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := db.GroupOf(t.Context(), g.ID, m.User); err != nil {
				t.Fatal(err)
			}
		}
		db.groups.mu.RLock()
		defer db.groups.mu.RUnlock()
		return len(db.groups.known)
	}
	before := db.groups.version.Load()
	if n := kept(); n != 2 {
		t.Errorf("%d kept", n)
	}
	if _, err := db.Insert(t.Context(), benchTask()); err != nil {
		t.Fatal(err)
	}
	if v := db.groups.version.Load(); v != before {
		t.Error("a task makes groups be read again")
	}
	if _, ok := db.groups.get(groupOfUser{g.ID, m.User}); !ok {
		t.Error("not kept")
	}
	name := "other"
	if err := db.UpdateGroup(t.Context(), g.ID, groups.Settings{Name: &name}); err != nil {
		t.Fatal(err)
	}
	if _, ok := db.groups.get(groupOfUser{g.ID, m.User}); ok {
		t.Error("kept after a change")
	}
}

// TestNothingElseWritesGroups: the cache knows changes by their statements, so none
// may come from a trigger or a foreign key.
func TestNothingElseWritesGroups(t *testing.T) {
	db := openTest(t)
	var n int
	err := db.readRow(t.Context(), `SELECT count(*) FROM sqlite_schema
		WHERE type = 'trigger' OR type = 'table' AND (sql LIKE '%REFERENCES%' OR sql LIKE '%CASCADE%')`, nil, &n)
	if err != nil || n != 0 {
		t.Errorf("%d triggers and references, %v", n, err)
	}
	for q, want := range map[string]bool{
		"UPDATE user_groups SET name = ?": true, "DELETE FROM memberships": true, "SELECT 1 FROM memberships": false, "UPDATE tasks SET x = 1": false,
	} {
		if writesGroups(q) != want {
			t.Errorf("%s: %t", q, !want)
		}
	}
}
