package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/internal/mongotest"
)

// overServers has one to four servers on one MongoDB and one Redis. The MongoDB is
// that of the tests: FerretDB, which does one command at a time, unless
// FIRMLIGHT_TEST_MONGODB_URI names a real one. With FerretDB the rate is its own;
// what a server more costs shows in the servers' CPU for a task.
func (b *bench) overServers(ctx context.Context) ([]row, error) {
	c := &curve{id: "servers", title: "Tasks done over the servers", x: "servers", rate: "tasks done", wait: "request → assign, idle"}
	for n := 1; n <= 4; n++ {
		p, err := b.servers(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("%d servers: %w", n, err)
		}
		c.add(b, p)
	}
	return c.finish(b)
}

// fleet is several servers of one installation, all as a rig: they have one user,
// one group and one Redis.
type fleet []*rig

// startFleet runs n servers on the MongoDB; whoever gets them without an error
// stops them.
func (b *bench) startFleet(ctx context.Context, n int, uri string) (f fleet, err error) {
	env := []string{"FIRMLIGHT_MONGODB_URI=" + uri, "FIRMLIGHT_SECRET=" + strings.Repeat("s", 32)}
	first, err := b.start(ctx, realRedis, env...)
	if err != nil {
		return nil, err
	}
	f = fleet{first}
	env = append(env, "FIRMLIGHT_REDIS_URL=redis://"+first.redisAddress+"/0")
	for len(f) < n {
		more := *first
		more.redis = nil // the first one's
		if more.dir, err = b.temp("data"); err == nil {
			more.Server, err = kit.StartServer(b.server, more.dir, env, nil)
		}
		if err != nil {
			f.stop()
			return nil, err
		}
		f = append(f, &more)
	}
	return f, nil
}

// stop ends the servers, the one with the Redis last.
func (f fleet) stop() {
	for i := range f {
		f[len(f)-1-i].stop()
	}
}

func (f fleet) cpu() (sum time.Duration) {
	for _, r := range f {
		sum += kit.CPU(r.PID())
	}
	return sum
}

// servers submits to n servers in turn, which share eight worker sockets. The tasks
// that come one at a time go in at the first server and out at the last.
func (b *bench) servers(ctx context.Context, n int) (p point, err error) {
	store, err := mongotest.Start()
	if err != nil {
		return p, err
	}
	defer func() { _ = store.Stop() }()
	f, err := b.startFleet(ctx, n, store.Database())
	if err != nil {
		return p, err
	}
	defer f.stop()
	times, err := f.pickUps(ctx, pick(b.short, 20, 100))
	if err != nil {
		return p, err
	}
	t := &tally{}
	t.start()
	for i := range loadSockets {
		w, err := f[i%n].connectWorker(ctx, fmt.Sprintf("load-%d", i), loadKind, loadSlots, t, nil)
		if err != nil {
			return p, err
		}
		defer w.close()
	}
	const some = 20
	tasks := pick(b.short, 3, 30) * some
	began, used := time.Now(), f.cpu()
	if err := f.submit(ctx, tasks, some); err != nil {
		return p, err
	}
	last, err := t.await(ctx, tasks)
	return point{float64(n), perSecond(tasks, last.Sub(began)), percentile(times, 50), percentile(times, 99), each(f.cpu()-used, tasks)}, err
}

// pickUps returns the times from a request to the first server to the assign of a
// worker at the last one, in milliseconds.
func (f fleet) pickUps(ctx context.Context, n int) (times []float64, err error) {
	i, leave, err := f[len(f)-1].idler(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	i.conn.Close()
	if i.conn, err = f[0].dial(); err != nil {
		return nil, err
	}
	if _, _, err := i.submit(ctx, 5); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	_, times, err = i.submit(ctx, n)
	return times, err
}

// submit submits tasks, some in a request, to the servers in turn.
func (f fleet) submit(ctx context.Context, tasks, some int) error {
	body := batchOf(loadTask, some)
	for k := range tasks / some {
		r := f[k%len(f)]
		conn, err := r.dial()
		if err != nil {
			return err
		}
		_, err = conn.submitBatch(ctx, r.request("/groups/"+r.group+"/tasks:batch", body), checkEntries(some))
		_ = conn.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
