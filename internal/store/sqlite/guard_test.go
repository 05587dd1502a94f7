package sqlite

import (
	"context"
	"testing"
	"time"

	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
)

// BenchmarkGuardInsert is a submit of 100 tasks.
func BenchmarkGuardInsert(b *testing.B) {
	db, ctx := openTest(b), context.Background()
	for b.Loop() {
		insert(ctx, b, db, 100)
	}
}

func insert(ctx context.Context, b *testing.B, db *DB, n int) []tasks.New {
	news := make([]tasks.New, n)
	for i := range news {
		news[i] = benchTask()
	}
	if _, err := db.Insert(ctx, news...); err != nil {
		b.Fatal(err)
	}
	return news
}

// BenchmarkGuardClaimAndApply takes one task from queued to succeeded.
func BenchmarkGuardClaimAndApply(b *testing.B) {
	db, ctx := openTest(b), context.Background()
	o := tasks.Owner{Server: "s", Session: "session", Epoch: 1, Worker: "w", WorkerName: "w", User: "u"}
	for b.Loop() {
		t := insert(ctx, b, db, 1)[0]
		run, ok, err := db.Apply(ctx, tasks.Claim(t.ID, 0, o, time.Minute, time.Now().Add(time.Second)))
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		if _, ok, err = db.Apply(ctx, tasks.Succeed(run, []byte(`{"ok":true}`), time.Now())); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkGuardAppend is a batch of 500 sync events.
func BenchmarkGuardAppend(b *testing.B) {
	db, ctx := openTest(b), context.Background()
	events := make([]devsync.Event, 500)
	n := int64(0)
	for b.Loop() {
		for i := range events {
			events[i] = benchEvent(n, 1000)
			n++
		}
		if _, err := db.Append(ctx, "group", events); err != nil {
			b.Fatal(err)
		}
	}
}
