package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/firmlight/firmlight/e2e/kit"
)

// queue is a peer that only queues: a program of bench/peers that enqueues tasks,
// does them, does both at once, and is then idle but for one task at a time.
type queue struct {
	name, what     string
	tasks, pickups int // of a round
	postgres       bool
}

var queues = []queue{
	{"bullmq", "BullMQ alone, Redis, 100 at once", 20000, 200, false},
	{"asynq", "Asynq alone, Redis, stock settings", 20000, 20, false},
	{"river", "River, PostgreSQL, 2,000 at once, COPY", 20000, 200, true},
	{"celery", "Celery, Redis, prefork, prefetch 128", 3000, 100, false},
}

// queueResult is the line that such a program prints.
type queueResult struct {
	Enqueue float64   `json:"enqueue"` // tasks a second
	Process float64   `json:"process"` // of those that wait
	Both    float64   `json:"both"`    // at the same time
	Pickups []float64 `json:"pickup_ms"`
}

// queuesAlone is Q: what queues reach without HTTP, sockets or a store of tasks.
func (b *bench) queuesAlone(ctx context.Context) ([]row, error) {
	if err := b.preparePeers(ctx); err != nil {
		return nil, err
	}
	commands, err := b.prepareQueues(ctx)
	if err != nil {
		return nil, err
	}
	results := make([][]queueResult, len(queues))
	for i := range b.rounds {
		for k, q := range queues {
			got, err := b.queueRound(ctx, q, commands[q.name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", q.name, err)
			}
			b.say("  round %d of %d: %-6s %7s/s in, %7s/s out, %7s/s both, pick-up p50 %s ms, p99 %s ms", i+1, b.rounds, q.name,
				number(got.Enqueue), number(got.Process), number(got.Both), number(median(got.Pickups)), number(percentile(got.Pickups, 99)))
			results[k] = append(results[k], got)
		}
	}
	var rows []row
	for k, q := range queues {
		rows = append(rows, q.rows(results[k])...)
	}
	return rows, nil
}

func (q queue) rows(results []queueResult) []row {
	all := func(of func(queueResult) float64) []float64 {
		values := make([]float64, len(results))
		for i, r := range results {
			values[i] = of(r)
		}
		return values
	}
	return []row{
		newRow("Q", q.what+": enqueued", "/s", all(func(r queueResult) float64 { return r.Enqueue })...),
		newRow("Q", q.name+": done, all waiting", "/s", all(func(r queueResult) float64 { return r.Process })...),
		newRow("Q", q.name+": done while they are enqueued", "/s", all(func(r queueResult) float64 { return r.Both })...),
		newRow("Q", q.name+": pick-up when idle, p50", "ms", all(func(r queueResult) float64 { return median(r.Pickups) })...),
		newRow("Q", q.name+": pick-up when idle, p99", "ms", all(func(r queueResult) float64 { return percentile(r.Pickups, 99) })...),
	}
}

// prepareQueues builds and installs what the programs need beside Node, and
// returns how each is started.
func (b *bench) prepareQueues(ctx context.Context) (map[string][]string, error) {
	celery := filepath.Join(peersDir, "celery")
	python := filepath.Join(celery, ".venv/bin/python")
	steps := [][]string{
		{"go", "build", "-o", filepath.Join(b.dir, "asynq"), "./" + peersDir + "/asynq"},
		{"go", "-C", filepath.Join(peersDir, "river"), "build", "-o", filepath.Join(b.dir, "river"), "."},
	}
	if _, err := os.Stat(python); errors.Is(err, os.ErrNotExist) {
		steps = append(steps, []string{"python3", "-m", "venv", filepath.Join(celery, ".venv")})
	}
	steps = append(steps, []string{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
		"--requirement", filepath.Join(celery, "requirements.txt")})
	for _, c := range steps {
		if err := command(ctx, c...); err != nil {
			return nil, err
		}
	}
	return map[string][]string{
		"bullmq": {"node", filepath.Join(peersDir, "dist/bullmq-alone.js")},
		"asynq":  {filepath.Join(b.dir, "asynq")},
		"river":  {filepath.Join(b.dir, "river")},
		"celery": {python, filepath.Join(celery, "run.py")},
	}, nil
}

// queueRound runs a program once, on a Redis or PostgreSQL of its own.
func (b *bench) queueRound(ctx context.Context, q queue, args []string) (r queueResult, err error) {
	var where string
	if q.postgres {
		p, err := b.startPostgres(ctx)
		if err != nil {
			return r, err
		}
		defer p.stop()
		where = "PGPORT=" + p.port
	} else {
		dir, err := b.temp(q.name)
		if err != nil {
			return r, err
		}
		var redis *kit.Process
		var addr string
		if redis, addr, err = startRedis(ctx, dir); err != nil {
			return r, err
		}
		defer redis.Kill()
		where = "REDIS_PORT=" + portOf(addr)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), where, fmt.Sprintf("TASKS=%d", pick(b.short, 1000, q.tasks)),
		fmt.Sprintf("PICKUPS=%d", pick(b.short, 10, q.pickups)), fmt.Sprintf("CONCURRENCY=%d", bullConcurrency))
	out, err := printed(cmd)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("%w in %s", err, out)
	}
	return r, nil
}
