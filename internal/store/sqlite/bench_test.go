package sqlite

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/tasks"
)

func benchTask() tasks.New {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return tasks.New{Input: []byte(`{"n":"1000000016000000063"}`), Task: tasks.Task{
		ID: uuid.Must(uuid.NewV7()).String(), Group: "0199-group", Kind: "factorize", Title: "Factorize a number",
		CreatedBy: "0199-user", Priority: tasks.Normal, Status: tasks.Queued, CreatedAt: now, RunAt: now, EnqueuedAt: now,
		MaxAttempts: 3, MaxReassignments: 5, Timeout: time.Minute, InBytes: 27,
	}}
}

// BenchmarkLife is a task from submit to success, 256 at a time: three durable
// writes each.
func BenchmarkLife(b *testing.B) {
	db, ctx := openTest(b), context.Background()
	var n atomic.Int64
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		session := uuid.NewString()
		for pb.Next() {
			t := benchTask()
			if _, err := db.Insert(ctx, t); err != nil {
				b.Error(err)
				return
			}
			o := tasks.Owner{Server: "s", Session: session, Epoch: 1, Worker: session, WorkerName: "w", User: "u"}
			run, _, ok, err := db.Claim(ctx, tasks.Claim(t.ID, 0, o, time.Minute, time.Now().Add(time.Second)))
			if err != nil || !ok {
				b.Error(ok, err)
				return
			}
			if _, ok, err = db.Apply(ctx, tasks.Succeed(run, []byte(`["1000000007","1000000009"]`), time.Now())); err != nil || !ok {
				b.Error(ok, err)
				return
			}
			n.Add(1)
		}
	})
	b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "tasks/s")
	commits, operations := db.Writes()
	b.ReportMetric(float64(operations)/float64(commits), "operations/commit")
}

// BenchmarkInsert is bulk submits of 5,000.
func BenchmarkInsert(b *testing.B) {
	db, ctx := openTest(b), context.Background()
	for b.Loop() {
		news := make([]tasks.New, 5000)
		for i := range news {
			news[i] = benchTask()
		}
		if _, err := db.Insert(ctx, news...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*5000/b.Elapsed().Seconds(), "tasks/s")
}

// BenchmarkAlone is one claim at a time: a transaction and an fsync each.
func BenchmarkAlone(b *testing.B) {
	db, ctx := openTest(b), context.Background()
	t := benchTask()
	if _, err := db.Insert(ctx, t); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, _, err := db.Apply(ctx, tasks.Transition{Task: t.ID, Set: []tasks.Assign{tasks.Inc(tasks.ColGen, 1)}})
		if err != nil {
			b.Fatal(err)
		}
	}
}
