package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/dispatch"
	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/worker"
	"github.com/firmlight/firmlight/workload"
)

// whole is everything real that a task passes: service, store, queue,
// dispatcher, hub, socket and worker.
type whole struct {
	*tasks.Service
	tb    testing.TB
	url   string
	ended chan tasks.Task
}

// noWorkers is for a service that is asked to cancel nothing.
type noWorkers struct{ tasks.Workers }

func (w *whole) TaskProgress(tasks.Task)                {}
func (w *whole) TaskLogged(tasks.Task, []tasks.LogLine) {}
func (w *whole) TaskChanged(t tasks.Task) {
	if t.Status.Ended() {
		w.ended <- t
	}
}

func newWhole(tb testing.TB, redisURL string) *whole {
	ctx, log := context.Background(), slog.New(slog.DiscardHandler)
	must := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	db := sqlitetest.Open(tb)
	r, err := queue.Open(ctx, redisURL, log)
	must(err)
	q := queue.New(r, log)
	w := &whole{tb: tb, ended: make(chan tasks.Task, 100_000)}
	w.Service = tasks.NewService(tasks.Deps{
		Store: db, Payloads: db, Counts: db, Queues: db, Queue: q, Events: w, Workers: noWorkers{},
		Kinds: workload.Builtin(workload.Options{}), Server: "s1", Logger: log,
		GroupExists: func(context.Context, string) error { return nil },
	})
	must(w.Start(ctx))
	var d *dispatch.Dispatcher
	hub := workers.NewHub(workers.HubOptions{
		Store: db.Sessions(), Tasks: w.Service, Server: "s1", Logger: log, Drain: time.Second,
		OnChange: func(groups, kinds []string) { d.Changed(groups, kinds) },
	})
	d = dispatch.New(dispatch.Options{Queue: q, Slots: dispatch.SlotsOf(hub), Tasks: w.Service, Server: "s1", Logger: log})
	must(d.Start(ctx))
	must(hub.Start(ctx))
	var conns sync.WaitGroup
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		conn, err := workers.Accept(rw, req)
		if err != nil {
			return
		}
		conns.Go(func() {
			hub.Serve(ctx, conn, workers.Identity{User: "u", Username: "u", Token: "t", Groups: []string{"g1", "g2"}})
		})
	}))
	w.url = web.URL
	tb.Cleanup(func() { // the order of docs/architecture.md
		must(hub.Stop(ctx))
		conns.Wait()
		must(d.Stop(ctx))
		must(w.Stop(ctx))
		web.Close()
		must(r.Close())
	})
	return w
}

// work runs a worker that echoes, until the test ends.
func (w *whole) work(name string, slots int) {
	wk := worker.New(worker.Options{
		Server: w.url, Token: "secret", Name: name, Slots: slots, Logger: slog.New(slog.DiscardHandler),
	})
	wk.Handle("echo", func(_ context.Context, t *worker.Task) (any, error) { return t.Input, nil })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = wk.Run(ctx)
	}()
	w.tb.Cleanup(func() {
		cancel()
		<-done
	})
}

func (w *whole) submit(group string, n int) {
	w.tb.Helper()
	specs := make([]tasks.Spec, n)
	for i := range specs {
		specs[i] = tasks.Spec{Kind: "echo", Input: json.RawMessage(fmt.Sprint(i)), Priority: tasks.Priorities[i%3]}
	}
	for _, o := range w.Submit(context.Background(), tasks.Submitter{User: "u", Group: group}, specs) {
		if o.Err != nil {
			w.tb.Fatal(o.Err)
		}
	}
}

func (w *whole) next() tasks.Task {
	w.tb.Helper()
	select {
	case t := <-w.ended:
		return t
	case <-time.After(30 * time.Second):
		w.tb.Fatal("no task ended")
		return tasks.Task{}
	}
}

func TestTasksThroughEverythingReal(t *testing.T) {
	for kind, start := range map[string]func(testing.TB) string{
		"embedded": func(testing.TB) string { return "" },
		"redis":    func(tb testing.TB) string { url, _ := redistest.Start(tb); return url },
		"cluster":  func(tb testing.TB) string { url, _ := redistest.StartCluster(tb); return url },
		"sentinel": func(tb testing.TB) string { url, _ := redistest.StartSentinel(tb); return url },
	} {
		t.Run(kind, func(t *testing.T) {
			w := newWhole(t, start(t))
			w.submit("g1", 30) // before there is a worker
			w.work("one", 1)
			w.work("four", 4)
			w.submit("g2", 270)
			var ids []string
			for range 300 {
				got := w.next()
				if got.Status != tasks.Succeeded || got.Attempt != 1 {
					t.Errorf("%s ended %s in attempt %d", got.ID, got.Status, got.Attempt)
				}
				ids = append(ids, got.ID)
			}
			slices.Sort(ids)
			if len(slices.Compact(ids)) != 300 {
				t.Error("a task ended twice")
			}
		})
	}
}

// BenchmarkWhole is submit to succeeded, in portions of 100, with SQLite's fsync.
func BenchmarkWhole(tb *testing.B) {
	for _, kind := range []string{"embedded", "redis"} {
		tb.Run(kind, func(tb *testing.B) {
			url := ""
			if kind == "redis" {
				url, _ = redistest.Start(tb)
			}
			w := newWhole(tb, url)
			for i := range 4 {
				w.work(fmt.Sprint(i), 16)
			}
			w.submit("g1", 1)
			w.next()
			tb.ResetTimer()
			go func() {
				for left := tb.N; left > 0; left -= 100 {
					w.submit("g1", min(left, 100))
				}
			}()
			for range tb.N {
				w.next()
			}
			tb.ReportMetric(float64(tb.N)/tb.Elapsed().Seconds(), "tasks/s")
		})
	}
}
