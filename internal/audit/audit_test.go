package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/store/sqlite"
)

// book is a Service on the real store, with a clock that tests move.
type book struct {
	*audit.Service
	t   *testing.T
	db  *sqlite.DB
	now time.Time
}

func open(t *testing.T) *book {
	t.Helper()
	db := sqlitetest.Open(t)
	b := &book{t: t, db: db, now: time.Now()}
	b.Service = audit.NewService(audit.Options{
		Store: db, Retention: 24 * time.Hour, Now: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler),
	})
	return b
}

// all returns the log, the oldest first.
func (b *book) all() []audit.Entry {
	b.t.Helper()
	var all []audit.Entry
	for page, err := range b.Export(context.Background(), audit.Filter{}) {
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, page...)
	}
	slices.Reverse(all)
	return all
}

// count returns how many entries there are and how many attempts they stand for.
func (b *book) count() (entries, attempts int) {
	for _, e := range b.all() {
		entries++
		attempts += e.LeftOut
		if e.Action != audit.ActionLeftOut {
			attempts++
		}
	}
	return entries, attempts
}

func refused(mods ...func(*audit.Entry)) audit.Entry {
	e := audit.Entry{Action: "login", Outcome: "bad_credentials", Status: 401, Address: "192.0.2.1"}
	for _, mod := range mods {
		mod(&e)
	}
	return e
}

func TestRefusedAttemptsAreCounted(t *testing.T) {
	b := open(t)
	ctx := context.Background()
	for i := range 50 {
		b.Record(ctx, refused(func(e *audit.Entry) { e.RequestID = fmt.Sprint(i) }))
	}
	if n, _ := b.count(); n != 10 {
		t.Errorf("%d of 50 were kept at once, want 10", n)
	}
	ok := audit.Entry{Action: "login", Outcome: audit.OK, Address: "192.0.2.1"}
	b.Record(ctx, ok)
	other := refused(func(e *audit.Entry) { e.TokenKind, e.Actor = auth.KindSession, "ada" })
	b.Record(ctx, other)
	if n, _ := b.count(); n != 12 {
		t.Errorf("%d entries, want what was done and another's, too: 12", n)
	}
	b.Flush(ctx)
	all := b.all()
	last := all[slices.IndexFunc(all, func(e audit.Entry) bool { return e.LeftOut > 0 })]
	if len(all) != 13 || last.LeftOut != 39 || last.RequestID != "49" || last.Address != "192.0.2.1" {
		t.Errorf("%d entries, the last of those left out %+v", len(all), last)
	}
	b.Flush(ctx)
	b.Record(ctx, refused()) // in the next minute
	if n, _ := b.count(); n != 14 {
		t.Errorf("%d entries, want 14", n)
	}
}

// TestSourcesOfRefusals: a token's owner counts, else the address; of IPv6 the network.
func TestSourcesOfRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		vary func(i int, e *audit.Entry)
		kept int
	}{
		"one network":      {func(i int, e *audit.Entry) { e.Address = fmt.Sprintf("2001:db8::%x", i+1) }, 10},
		"many networks":    {func(i int, e *audit.Entry) { e.Address = fmt.Sprintf("2001:db8:0:%x::1", i) }, 50},
		"many addresses":   {func(i int, e *audit.Entry) { e.Address = fmt.Sprintf("192.0.2.%d", i) }, 50},
		"one user":         {func(i int, e *audit.Entry) { e.Address, e.Actor, e.TokenKind = fmt.Sprint(i), "ada", auth.KindAPI }, 10},
		"many failed ones": {func(i int, e *audit.Entry) { e.Actor = fmt.Sprint(i) }, 10}, // whoever's account it was
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			for i := range 50 {
				b.Record(context.Background(), refused(func(e *audit.Entry) { c.vary(i, e) }))
			}
			if n, _ := b.count(); n != c.kept {
				t.Errorf("%d of 50 kept, want %d", n, c.kept)
			}
		})
	}
}

// TestFloodIsBounded has an attacker with more addresses than are told apart.
func TestFloodIsBounded(t *testing.T) {
	b := open(t)
	const minutes, each = 10, 1200
	for range minutes {
		for i := range each {
			b.Record(context.Background(), refused(func(e *audit.Entry) { e.Address = fmt.Sprintf("10.0.%d.%d", i/250, i%250) }))
		}
		b.Flush(context.Background())
		b.now = b.now.Add(time.Minute)
	}
	entries, attempts := b.count()
	if most := 600 + minutes*(6+1); entries > most || entries < 600 {
		t.Errorf("%d entries, want 600 to %d", entries, most)
	}
	if attempts != minutes*each {
		t.Errorf("the log tells of %d attempts, there were %d", attempts, minutes*each)
	}
}

func TestRetention(t *testing.T) {
	b := open(t)
	ctx := context.Background()
	const n = 450 // several portions
	for range n {
		b.Record(ctx, audit.Entry{Action: "a", Outcome: audit.OK})
	}
	for _, c := range []struct {
		after time.Duration
		left  int
	}{{23 * time.Hour, n}, {2 * time.Hour, 0}} {
		b.now = b.now.Add(c.after)
		if err := b.Prune(ctx); err != nil {
			t.Fatal(err)
		}
		if got, _ := b.count(); got != c.left {
			t.Errorf("%d left, want %d", got, c.left)
		}
	}
}

// TestStopWritesWhatIsLeft also stops twice, and without a start.
func TestStopWritesWhatIsLeft(t *testing.T) {
	b := open(t)
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		b.Record(ctx, refused())
	}
	for range 2 {
		if err := b.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if entries, attempts := b.count(); entries != 11 || attempts != 20 {
		t.Errorf("%d entries of %d attempts", entries, attempts)
	}
	if err := open(t).Stop(ctx); err != nil {
		t.Error(err)
	}
}

// TestRecordOutlivesItsRequest: the client has gone, the change has happened.
func TestRecordOutlivesItsRequest(t *testing.T) {
	b := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.Record(ctx, audit.Entry{Action: "a", Outcome: audit.OK})
	all := b.all()
	if len(all) != 1 || time.Since(all[0].At()) > time.Minute {
		t.Errorf("%+v", all)
	}
}
