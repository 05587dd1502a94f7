// River alone on PostgreSQL, with a job that does nothing: TASKS of them, then
// PICKUPS one at a time for an idle client. It prints a line of JSON for bench/alone.go.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

type noop struct{}

func (noop) Kind() string { return "noop" }

type worker struct {
	river.WorkerDefaults[noop]
	started chan time.Time // of the jobs that are timed one at a time
}

func (w *worker) Work(context.Context, *river.Job[noop]) error {
	select {
	case w.started <- time.Now():
	default:
	}
	return nil
}

const batch = 1000

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	tasks, _ := strconv.Atoi(os.Getenv("TASKS"))
	pickups, _ := strconv.Atoi(os.Getenv("PICKUPS"))
	pool, err := pgxpool.New(ctx, "postgres://bench@127.0.0.1:"+os.Getenv("PGPORT")+"/postgres?pool_max_conns=20")
	if err != nil {
		return err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	p := &peer{w: &worker{started: make(chan time.Time, 1)}}
	workers := river.NewWorkers()
	river.AddWorker(workers, p.w)
	p.client, err = river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2000}}, Workers: workers,
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 20 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	return p.measure(ctx, tasks, pickups)
}

type peer struct {
	client *river.Client[pgx.Tx]
	w      *worker
}

func (p *peer) measure(ctx context.Context, tasks, pickups int) error {
	done, cancel := p.client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: 2*tasks + pickups, Kinds: []river.EventKind{river.EventKindJobCompleted},
	})
	defer cancel()
	var result struct {
		Enqueue float64   `json:"enqueue"` // jobs a second
		Process float64   `json:"process"` // of those that wait
		Both    float64   `json:"both"`    // at the same time
		Pickups []float64 `json:"pickup_ms"`
	}
	rate := func(began time.Time) float64 { return float64(tasks) / time.Since(began).Seconds() }
	began := time.Now()
	if err := p.insert(ctx, tasks); err != nil {
		return err
	}
	result.Enqueue = rate(began)
	began = time.Now()
	if err := p.client.Start(ctx); err != nil {
		return err
	}
	for range tasks {
		<-done
	}
	result.Process = rate(began)
	began = time.Now()
	if err := p.insert(ctx, tasks); err != nil {
		return err
	}
	for range tasks {
		<-done
	}
	result.Both = rate(began)
	for range pickups {
		time.Sleep(30 * time.Millisecond) // idle
		select {
		case <-p.w.started:
		default:
		}
		if _, err := p.client.Insert(ctx, noop{}, nil); err != nil {
			return err
		}
		inserted := time.Now()
		started := <-p.w.started
		result.Pickups = append(result.Pickups, max(started.Sub(inserted).Seconds()*1000, 0))
		<-done
	}
	if err := p.client.Stop(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// insert uses COPY, the fastest that there is.
func (p *peer) insert(ctx context.Context, n int) error {
	jobs := make([]river.InsertManyParams, batch)
	for i := range jobs {
		jobs[i].Args = noop{}
	}
	for range n / batch {
		if _, err := p.client.InsertManyFast(ctx, jobs); err != nil {
			return err
		}
	}
	return nil
}
