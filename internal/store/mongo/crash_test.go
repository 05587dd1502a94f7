package mongo

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
)

// The tests below stop between two writes, as a server that is killed does, and
// let another one go on.

func eventsOf(device string, from, n int) []devsync.Event {
	start := time.UnixMilli(1_800_000_000_000).UTC().Truncate(time.Hour)
	events := make([]devsync.Event, n)
	for i := range events {
		at := start.Add(time.Duration(from+i) * time.Minute)
		events[i] = devsync.Event{Device: device, At: at, ReceivedAt: at, Files: 1, Errors: 1, Speed: 1}
	}
	return events
}

// insertUncounted is the first step of Append, and no more.
func insertUncounted(t *testing.T, db *DB, events []devsync.Event) {
	t.Helper()
	var docs []any
	for _, e := range events {
		docs = append(docs, eventDocOf("g", e))
	}
	if _, err := insertNew(t.Context(), db.events(), docs); err != nil {
		t.Fatal(err)
	}
}

// countUnmarked is the second step, without the mark and what it does to alerts.
func countUnmarked(t *testing.T, db *DB, device string) {
	t.Helper()
	ctx := t.Context()
	d, err := db.takeDevice(ctx, "g", device)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := find[eventDoc](ctx, db.events(), D{is("counted", false), is("group_id", "g"), is("device", device)})
	if err == nil {
		err = db.countEvents(ctx, d, fresh)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.Version++
	ok, err := update(ctx, db.devices(), D{is("_id", d.Key), is("version", d.Version-1)}, D{is("$set", d)})
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
}

// wantDevice compares what a device adds up to, itself and by hours.
func wantDevice(t *testing.T, db *DB, device string, events int64) {
	t.Helper()
	d, err := db.Device(t.Context(), "g", device)
	if err != nil {
		t.Fatal(err)
	}
	if d.Totals.Events != events || d.Totals.Errors != events || d.Streak != int(events) {
		t.Errorf("totals %+v, streak %d, want %d", d.Totals, d.Streak, events)
	}
	sums, err := db.Sums(t.Context(), devsync.SumQuery{Group: "g", Device: device})
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, s := range sums {
		sum += s.Events
	}
	if sum != events {
		t.Errorf("the sums have %d events, want %d", sum, events)
	}
}

func TestEventsAreCountedOnce(t *testing.T) {
	next := map[string]func(t *testing.T, db *DB) int64{ // how somebody goes on, and what there is more then
		"with the next event": func(t *testing.T, db *DB) int64 {
			if _, err := db.Append(t.Context(), "g", eventsOf("d", 50, 1)); err != nil {
				t.Fatal(err)
			}
			return 1
		},
		"with the same events": func(t *testing.T, db *DB) int64 {
			again, err := db.Append(t.Context(), "g", eventsOf("d", 3, 3))
			if err != nil || slices.ContainsFunc(again, func(s devsync.Stored) bool { return !s.Repeat }) {
				t.Fatalf("sent again: %+v, %v", again, err)
			}
			return 0
		},
		"by cron": func(t *testing.T, db *DB) int64 {
			if _, err := db.OpenSilent(t.Context(), time.UnixMilli(0)); err != nil {
				t.Fatal(err)
			}
			return 0
		},
	}
	for how, goOn := range next {
		for step, die := range map[string]func(t *testing.T, db *DB){
			"inserted": func(t *testing.T, db *DB) { insertUncounted(t, db, eventsOf("d", 3, 3)) },
			"counted": func(t *testing.T, db *DB) {
				insertUncounted(t, db, eventsOf("d", 3, 3))
				countUnmarked(t, db, "d")
			},
			"inserted by two, counted by one": func(t *testing.T, db *DB) {
				insertUncounted(t, db, eventsOf("d", 3, 2))
				countUnmarked(t, db, "d")
				insertUncounted(t, db, eventsOf("d", 5, 1))
			},
		} {
			t.Run(step+", then "+how, func(t *testing.T) {
				db := openTest(t)
				if _, err := db.Append(t.Context(), "g", eventsOf("d", 0, 3)); err != nil {
					t.Fatal(err)
				}
				die(t, db)
				wantDevice(t, db, "d", 6+goOn(t, db))
				alerts, err := db.Alerts(t.Context(), devsync.AlertQuery{Group: "g", Open: true, Limit: 10})
				if err != nil || len(alerts) != 1 {
					t.Errorf("alerts %+v, %v, want one", alerts, err)
				}
			})
		}
	}
}

// TestFirstEventsOfADevice: their server died before it registered the device.
func TestFirstEventsOfADevice(t *testing.T) {
	db := openTest(t)
	insertUncounted(t, db, eventsOf("d", 0, 4))
	if _, err := db.OpenSilent(t.Context(), time.UnixMilli(0)); err != nil {
		t.Fatal(err)
	}
	wantDevice(t, db, "d", 4)
}

// TestAlertOpensAfterACrash: the device's version says that it fails, and the
// server died before the alert was made.
func TestAlertOpensAfterACrash(t *testing.T) {
	db := openTest(t)
	if _, err := db.Append(t.Context(), "g", eventsOf("d", 0, 2)); err != nil {
		t.Fatal(err)
	}
	insertUncounted(t, db, eventsOf("d", 2, 1))
	countUnmarked(t, db, "d")
	for range 2 { // twice does no harm
		if _, err := db.OpenSilent(t.Context(), time.UnixMilli(0)); err != nil {
			t.Fatal(err)
		}
		news, err := db.News(t.Context(), 10)
		if err != nil || len(news) != 1 || news[0].Streak != 3 {
			t.Errorf("news %+v, %v", news, err)
		}
	}
}

// TestDropIsInterrupted: events are in the sums of their hour and still there.
func TestDropIsInterrupted(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	events := eventsOf("d", 0, 5)
	if _, err := db.Append(ctx, "g", events); err != nil {
		t.Fatal(err)
	}
	h := hourDoc{Key: "h", Group: "g", Device: "d", Hour: events[0].At.Truncate(time.Hour), Speeds: map[string]int64{}}
	h.Key = hourKey(h.Group, h.Device, h.Hour)
	for _, e := range events[:2] {
		h.Totals.Add(e)
		h.Dropping = append(h.Dropping, eventKey("g", e))
	}
	if _, err := db.hours().InsertOne(ctx, h); err != nil {
		t.Fatal(err)
	}
	wantDevice(t, db, "d", 5)
	for more := true; more; {
		var err error
		if more, err = db.DropEvents(ctx, events[4].At.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	wantDevice(t, db, "d", 5)
	left, err := db.EventsOf(ctx, devsync.EventQuery{Group: "g", Device: "d", Limit: 10})
	if err != nil || len(left) > 0 {
		t.Errorf("left %+v, %v", left, err)
	}
}

// TestPayloadsWithoutTasks: what was written before a task that never came, and of
// a task whose drop was interrupted, goes; the rest stays.
func TestPayloadsWithoutTasks(t *testing.T) {
	db, ctx := openTest(t), context.Background()
	long := time.Now().Add(-2 * sweepAge)
	idOf := func(at time.Time) string { // a UUIDv7 of a time
		id := uuid.Must(uuid.NewV7())
		ms := at.UnixMilli()
		for i := range 6 {
			id[i] = byte(ms >> (8 * (5 - i)))
		}
		return id.String()
	}
	never, soon, kept, dropped := idOf(long), idOf(time.Now()), idOf(long), idOf(long)
	for _, id := range []string{never, soon} {
		if _, err := db.payloads().InsertOne(ctx, payloadDoc{ID: inputOf(id), Task: id, Data: []byte("1")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{kept, dropped} {
		_, err := db.Insert(ctx, tasks.New{Task: tasks.Task{ID: id, Group: "g", Kind: "k", Status: tasks.Succeeded}, Input: []byte("1")})
		if err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := update(ctx, db.tasks(), D{is("_id", dropped)}, D{is("$set", D{is("dropped_at", long)})}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := db.PruneStats(ctx, long); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{never: false, soon: true, kept: true, dropped: false} {
		data, err := db.readPayload(ctx, inputOf(id))
		if err != nil || (data != nil) != want {
			t.Errorf("payload %q, %v, want one: %v", data, err, want)
		}
	}
	if _, err := db.Input(ctx, dropped); !errors.Is(err, tasks.ErrDropped) {
		t.Errorf("input of the dropped one: %v", err)
	}
}

// TestLockOfADeadServer: others go on when its time is over.
func TestLockOfADeadServer(t *testing.T) {
	db, ctx := openTest(t), context.Background()
	past := time.Now().Add(-time.Millisecond)
	if _, err := db.in("locks").InsertOne(ctx, D{is("_id", "l"), is("holder", "dead"), is("until", past)}); err != nil {
		t.Fatal(err)
	}
	ran := false
	if err := db.exclusive(ctx, "l", func(context.Context) error { ran = true; return nil }); err != nil || !ran {
		t.Fatalf("ran %v, %v", ran, err)
	}
	short, cancel := context.WithTimeout(ctx, 10*lockPoll)
	defer cancel()
	err := db.exclusive(ctx, "l", func(context.Context) error {
		return db.exclusive(short, "l", func(context.Context) error { return errors.New("two at once") })
	})
	if !errors.Is(err, errLocked) {
		t.Errorf("while it is held: %v", err)
	}
}
