package storetest

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/tasks"
)

// Notify is the conformance suite of notify.Store; open returns an empty one.
func Notify(t *testing.T, open func(t *testing.T) notify.Store) {
	for name, test := range map[string]func(*testing.T, notify.Store){
		"every field":                notifyFields,
		"unread ones are counted":    notifyMerge,
		"counted by many at once":    notifyMergeRace,
		"pages":                      notifyPages,
		"read":                       notifyRead,
		"delete":                     notifyDelete,
		"trim and expire":            notifyTrim,
		"settings":                   notifySettings,
		"a user's go with the user":  notifyForget,
		"as many as a group deletes": notifyMany,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// finished is a task's notification for a user, so many seconds after clock.
func finished(user, group string, seconds int) notify.Notification {
	at := clock.Add(time.Duration(seconds) * time.Second)
	return notify.Notification{
		ID: id(), To: user, Type: notify.TaskFinished, Count: 1, CreatedAt: at, UpdatedAt: at,
		About: notify.About{Group: &notify.GroupRef{ID: group, Name: "lab"}, Task: &notify.TaskRef{ID: id(), Kind: "k", Title: "t"}},
	}
}

// invited is one that never merges.
func invited(user string, seconds int) notify.Notification {
	n := finished(user, "g", seconds)
	n.Type, n.Task, n.Actor = notify.Invited, nil, &notify.PersonRef{ID: "ada", Username: "ada"}
	return n
}

func add(t *testing.T, s notify.Store, ns ...notify.Notification) []notify.Notification {
	t.Helper()
	kept, err := s.Add(context.Background(), ns...)
	must(t, err)
	if len(kept) != len(ns) {
		t.Fatalf("%d added, %d returned", len(ns), len(kept))
	}
	return kept
}

func listed(t *testing.T, s notify.Store, user string, unread bool) []notify.Notification {
	t.Helper()
	ns, err := s.List(context.Background(), user, unread, notify.Place{}, 5000)
	must(t, err)
	return ns
}

func wantCount(t *testing.T, s notify.Store, user string, unread, all int) {
	t.Helper()
	if u, a, err := s.Count(context.Background(), user); u != unread || a != all || err != nil {
		t.Errorf("%d unread of %d, %v; want %d of %d", u, a, err, unread, all)
	}
}

func notifyFields(t *testing.T, s notify.Store) {
	full := finished("ada", "g", 0)
	full.Count = 7
	full.About = notify.About{
		Group: &notify.GroupRef{ID: "g", Name: "Café"}, Actor: &notify.PersonRef{ID: "a", Username: "ada"},
		User: &notify.PersonRef{ID: "b", Username: "bob"}, Task: &notify.TaskRef{ID: "t", Kind: "k", Title: `"quoted"`},
		Worker: &tasks.WorkerRef{ID: "w", Name: "bench"}, Role: auth.Admin,
	}
	past := clock.Add(-time.Second)
	bare := notify.Notification{ID: id(), To: "ada", Type: notify.WorkerLost, Count: 1, CreatedAt: past, UpdatedAt: past}
	want := []notify.Notification{full, bare}
	if kept := add(t, s, want...); !reflect.DeepEqual(kept, want) {
		t.Errorf("kept %+v, want %+v", kept, want)
	}
	if got := listed(t, s, "ada", false); !reflect.DeepEqual(got, want) {
		t.Errorf("listed %+v, want %+v", got, want)
	}
	if got := listed(t, s, "bob", false); len(got) > 0 {
		t.Errorf("somebody else sees %+v", got)
	}
}

func notifyMerge(t *testing.T, s notify.Store) {
	ctx := context.Background()
	first, second := finished("ada", "g", 0), finished("ada", "g", 5)
	second.Count = 3
	add(t, s, first)
	others := []notify.Notification{finished("ada", "other", 1), finished("bob", "g", 1), invited("ada", 1), invited("ada", 1)}
	failed := finished("ada", "g", 1)
	failed.Type = notify.TaskFailed
	add(t, s, append(others, failed)...)

	want := second
	want.ID, want.Count, want.CreatedAt = first.ID, 4, first.CreatedAt
	if kept := add(t, s, second); !reflect.DeepEqual(kept[0], want) {
		t.Errorf("merged %+v, want %+v", kept[0], want)
	}
	wantCount(t, s, "ada", 5, 5)

	late := finished("ada", "g", -5) // another server's, written later
	if kept := add(t, s, late)[0]; kept.Count != 5 || !kept.UpdatedAt.Equal(second.UpdatedAt) {
		t.Errorf("after a late one: count %d, updated %v", kept.Count, kept.UpdatedAt)
	}
	if n, err := s.Read(ctx, "ada", []string{first.ID}); n != 1 || err != nil {
		t.Fatalf("read %d, %v", n, err)
	}
	next := finished("ada", "g", 9)
	if kept := add(t, s, next)[0]; !reflect.DeepEqual(kept, next) {
		t.Errorf("after reading: %+v, want a new one", kept)
	}
	if _, err := s.Read(ctx, "ada", nil); err != nil { // two read ones of the same type and group
		t.Fatal(err)
	}
	wantCount(t, s, "ada", 0, 6)
}

func notifyMergeRace(t *testing.T, s notify.Store) {
	n, failed := atOnce(16, func(i int) error {
		for range 10 {
			if _, err := s.Add(context.Background(), finished("ada", "g", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if n != 16 {
		t.Fatal(failed)
	}
	got := listed(t, s, "ada", true)
	if len(got) != 1 || got[0].Count != 160 || !got[0].UpdatedAt.Equal(clock.Add(15*time.Second)) {
		t.Errorf("got %+v, want one of 160", got)
	}
}

// walk lists a user's in pages of two; meanwhile is called after the first.
func walk(t *testing.T, s notify.Store, user string, unread bool, meanwhile func()) (ids []string) {
	t.Helper()
	for place := (notify.Place{}); ; {
		page, err := s.List(context.Background(), user, unread, place, 2)
		must(t, err)
		for _, n := range page {
			ids = append(ids, n.ID)
			place = n.Place()
		}
		if len(page) < 2 {
			return ids
		}
		if len(ids) == 2 {
			meanwhile()
		}
	}
}

func notifyPages(t *testing.T, s notify.Store) {
	var want []string // oldest first
	for i := range 7 {
		n := invited("ada", i/2) // pairs of one time: the later id comes first
		want = append(want, n.ID)
		add(t, s, n, invited("bob", i))
	}
	slices.Reverse(want)
	newer := invited("ada", 60)
	got := walk(t, s, "ada", false, func() { add(t, s, newer) })
	if !slices.Equal(got, want) {
		t.Errorf("pages %v, want %v", got, want)
	}
	if _, err := s.Read(context.Background(), "ada", []string{newer.ID, want[3]}); err != nil {
		t.Fatal(err)
	}
	if got := walk(t, s, "ada", true, func() {}); !slices.Equal(got, slices.Delete(want, 3, 4)) {
		t.Errorf("unread %v, want %v", got, want)
	}
}

func notifyRead(t *testing.T, s notify.Store) {
	ctx := context.Background()
	a, b, theirs := invited("ada", 0), invited("ada", 1), invited("bob", 0)
	add(t, s, a, b, theirs)
	read := func(want int, ids ...string) {
		t.Helper()
		if n, err := s.Read(ctx, "ada", ids); n != want || err != nil {
			t.Errorf("read %d, %v, want %d", n, err, want)
		}
	}
	read(1, a.ID, theirs.ID, id())
	read(0, a.ID)
	read(1)
	read(0)
	a.Read, b.Read = true, true
	if got := listed(t, s, "ada", false); !reflect.DeepEqual(got, []notify.Notification{b, a}) {
		t.Errorf("got %+v", got)
	}
	wantCount(t, s, "ada", 0, 2)
	wantCount(t, s, "bob", 1, 1)
	if n, err := s.Read(ctx, "bob", []string{}); n != 0 || err != nil {
		t.Errorf("no ids: %d, %v", n, err)
	}
}

func notifyDelete(t *testing.T, s notify.Store) {
	ctx := context.Background()
	n := finished("ada", "g", 0)
	add(t, s, n)
	wantErr(t, "somebody else's", s.Delete(ctx, "bob", n.ID), notify.ErrNone)
	must(t, s.Delete(ctx, "ada", n.ID))
	wantErr(t, "again", s.Delete(ctx, "ada", n.ID), notify.ErrNone)
	wantCount(t, s, "ada", 0, 0)
	next := finished("ada", "g", 1)
	if kept := add(t, s, next)[0]; !reflect.DeepEqual(kept, next) {
		t.Errorf("after deleting: %+v, want a new one", kept)
	}
}

func notifyTrim(t *testing.T, s notify.Store) {
	ctx := context.Background()
	old := finished("ada", "g", -100)
	add(t, s, old, invited("bob", -100), finished("ada", "g", 50)) // the oldest has changed last
	for i := range 4 {
		add(t, s, invited("ada", i))
	}
	must(t, s.Trim(ctx, "ada", 3))
	wantCount(t, s, "ada", 3, 3)
	wantCount(t, s, "bob", 1, 1)
	if got := listed(t, s, "ada", false); got[0].ID != old.ID || !got[2].UpdatedAt.Equal(clock.Add(2*time.Second)) {
		t.Errorf("left %+v", got)
	}
	for _, want := range []int{2, 1, 0} {
		if n, err := s.Expire(ctx, clock.Add(4*time.Second), 2); n != want || err != nil {
			t.Errorf("expired %d, %v, want %d", n, err, want)
		}
	}
	wantCount(t, s, "ada", 1, 1)
	wantCount(t, s, "bob", 0, 0)
}

func notifySettings(t *testing.T, s notify.Store) {
	ctx := context.Background()
	if got, err := s.Settings(ctx, "ada"); len(got) > 0 || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, want := range []notify.Settings{
		{{Group: "g", Types: []notify.Type{notify.Joined, notify.Left}}, {Types: []notify.Type{notify.WorkerLost}}},
		{{Group: "g", Types: []notify.Type{notify.Joined}}},
		{},
	} {
		must(t, s.SetSettings(ctx, "ada", want))
		if got, err := s.Settings(ctx, "ada"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

func notifyForget(t *testing.T, s notify.Store) {
	ctx := context.Background()
	off := notify.Settings{{Types: []notify.Type{notify.Left}}}
	for _, user := range []string{"ada", "bob"} {
		add(t, s, invited(user, 0), finished(user, "g", 0))
		must(t, s.SetSettings(ctx, user, off))
	}
	must(t, s.Forget(ctx, "ada"))
	must(t, s.Forget(ctx, "ada"))
	wantCount(t, s, "ada", 0, 0)
	wantCount(t, s, "bob", 2, 2)
	if got, err := s.Settings(ctx, "ada"); len(got) > 0 || err != nil {
		t.Errorf("settings are left: %+v, %v", got, err)
	}
	if got, err := s.Settings(ctx, "bob"); err != nil || !reflect.DeepEqual(got, off) {
		t.Errorf("bob's settings: %+v, %v", got, err)
	}
}

func notifyMany(t *testing.T, s notify.Store) {
	var ns []notify.Notification
	for range 500 {
		ns = append(ns, invited(id(), 0))
	}
	if kept := add(t, s, ns...); !reflect.DeepEqual(kept, ns) {
		t.Error("not all were kept as they are")
	}
}
