// Asynq alone on Redis with its stock settings, with a task that does nothing:
// TASKS of them, then PICKUPS one at a time for an idle server. It prints a line
// of JSON for bench/alone.go.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

// producers enqueue at the same time: a client has no way to send many in one
// round trip.
const producers = 32

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// peer is a client, and what the handler counts.
type peer struct {
	redis   asynq.RedisClientOpt
	client  *asynq.Client
	left    atomic.Int64
	drained chan time.Time // when left became 0
}

func run() error {
	tasks, _ := strconv.Atoi(os.Getenv("TASKS"))
	pickups, _ := strconv.Atoi(os.Getenv("PICKUPS"))
	p := &peer{redis: asynq.RedisClientOpt{Addr: "127.0.0.1:" + os.Getenv("REDIS_PORT")}, drained: make(chan time.Time, 1)}
	p.client = asynq.NewClient(p.redis)
	defer func() { _ = p.client.Close() }() // what was sent is sent
	return p.measure(tasks, pickups)
}

func (p *peer) handle(context.Context, *asynq.Task) error {
	if p.left.Add(-1) == 0 {
		p.drained <- time.Now()
	}
	return nil
}

func (p *peer) measure(tasks, pickups int) error {
	var result struct {
		Enqueue float64   `json:"enqueue"` // tasks a second
		Process float64   `json:"process"` // of those that wait
		Both    float64   `json:"both"`    // at the same time
		Pickups []float64 `json:"pickup_ms"`
	}
	rate := func(began, ended time.Time) float64 { return float64(tasks) / ended.Sub(began).Seconds() }
	began := time.Now()
	if err := p.enqueue(tasks); err != nil {
		return err
	}
	result.Enqueue = rate(began, time.Now())
	server := asynq.NewServer(p.redis, asynq.Config{LogLevel: asynq.ErrorLevel})
	began = time.Now()
	if err := server.Start(asynq.HandlerFunc(p.handle)); err != nil {
		return err
	}
	defer server.Shutdown()
	result.Process = rate(began, <-p.drained)
	began = time.Now()
	if err := p.enqueue(tasks); err != nil {
		return err
	}
	result.Both = rate(began, <-p.drained)
	for range pickups {
		time.Sleep(30 * time.Millisecond) // idle
		p.left.Store(1)
		if _, err := p.client.Enqueue(asynq.NewTask("noop", nil)); err != nil {
			return err
		}
		enqueued := time.Now()
		result.Pickups = append(result.Pickups, max((<-p.drained).Sub(enqueued).Seconds()*1000, 0))
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func (p *peer) enqueue(n int) error {
	p.left.Store(int64(n))
	var (
		all  sync.WaitGroup
		next atomic.Int64
		fail atomic.Value
	)
	for range producers {
		all.Go(func() {
			for next.Add(1) <= int64(n) {
				if _, err := p.client.Enqueue(asynq.NewTask("noop", nil)); err != nil {
					fail.Store(err)
					return
				}
			}
		})
	}
	all.Wait()
	err, _ := fail.Load().(error)
	return err
}
