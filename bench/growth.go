package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// curve is how rate and latency move with one thing that grows. The server is as
// it is shipped, on SQLite.
type curve struct {
	id, title, x string
	rate, wait   string // names of what is measured
	points       []point
}

type point struct{ x, rate, p50, p99, cpu float64 } // cpu: µs of the server for each

// add keeps a point and shows it.
func (c *curve) add(b *bench, p point) {
	c.points = append(c.points, p)
	b.say("  %s %s: %s/s, p50 %s ms, p99 %s ms, CPU %s µs each", short(p.x), c.x, number(p.rate), number(p.p50), number(p.p99), number(p.cpu))
}

// finish draws the curve and returns its lines of the table.
func (c *curve) finish(b *bench) ([]row, error) {
	if len(c.points) == 0 {
		return nil, fmt.Errorf("%s has no points", c.id)
	}
	var rows []row
	pic := picture{title: c.title, x: c.x, log: true}
	var rate, p50, p99, cpu []float64
	for _, p := range c.points {
		pic.at = append(pic.at, p.x)
		rate, p50, p99, cpu = append(rate, p.rate), append(p50, p.p50), append(p99, p.p99), append(cpu, p.cpu)
		rows = append(rows, newRow(c.id, short(p.x)+" "+c.x+": "+c.rate, "/s", p.rate).
			note("%s p50 %s ms, p99 %s ms; CPU of the server %s µs each", c.wait, number(p.p50), number(p.p99), number(p.cpu)))
	}
	pic.panels = []panel{
		{c.rate + " a second", []line{{"", rate}}},
		{c.wait + ", ms", []line{{"p50", p50}, {"p99", p99}}},
		{"CPU of the server for each, µs", []line{{"", cpu}}},
	}
	dir := cmp.Or(b.images, b.out)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return rows, err
	}
	return rows, pic.write(filepath.Join(dir, "growth-"+c.id+".svg"))
}

// overBacklog has workers that take from a queue that stays as long.
func (b *bench) overBacklog(ctx context.Context) ([]row, error) {
	c := &curve{id: "backlog", title: "Tasks done over the backlog", x: "tasks queued", rate: "tasks done", wait: "first page of the list"}
	r, err := b.start(ctx, inProcess)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	t, have := &tally{}, 0
	one := *b
	one.rounds = 1
	for _, n := range []int{smallBacklog, 10_000, pick(b.short, 20_000, 100_000), pick(b.short, 30_000, 1_000_000)} {
		rates, costs, err := one.steadyRounds(ctx, r, t, have, n)
		if err != nil {
			return nil, err
		}
		have = n
		times, err := repeat(ctx, 200, func() error {
			return r.api.Do(ctx, http.MethodGet, "/groups/"+r.group+"/tasks?limit=50", nil, nil)
		})
		if err != nil {
			return nil, err
		}
		c.add(b, point{float64(n), rates[0], percentile(times, 50), percentile(times, 99), costs[0]})
	}
	return c.finish(b)
}

// repeat returns how long each of n calls took, in milliseconds.
func repeat(ctx context.Context, n int, f func() error) (times []float64, err error) {
	for range n {
		began := time.Now()
		if err := f(); err != nil {
			return times, err
		}
		times = append(times, millis(time.Since(began)))
		if !pause(ctx, idlePause) {
			return times, ctx.Err()
		}
	}
	return times, nil
}

// overWorkers has ever more workers of one slot each.
func (b *bench) overWorkers(ctx context.Context) ([]row, error) {
	c := &curve{id: "workers", title: "Tasks done over the workers", x: "workers of one slot", rate: "tasks done", wait: "request → assign, idle"}
	r, err := b.start(ctx, inProcess)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	t := &tally{}
	t.start()
	seen := make(chan assignment, 1<<16)
	s := &swarm{rig: r, tally: t, assigned: func(task string, at time.Time) {
		select {
		case seen <- assignment{task, at}:
		default:
		}
	}}
	defer s.close()
	o := &own{rig: r, tally: t}
	for _, n := range pick(b.short, []int{1, 10, 100}, []int{1, 10, 100, 1000, 10_000}) {
		if err := s.grow(ctx, n); err != nil {
			return nil, err
		}
		tasks := pick(n < 10 || b.short, 1, pick(n < 100, 5, 20)) * batchSize
		got, err := b.batchRound(ctx, o, tasks)
		if err != nil {
			return nil, err
		}
		times, err := s.pickUps(ctx, t, seen, 100)
		if err != nil {
			return nil, err
		}
		c.add(b, point{float64(n), got.rate, percentile(times, 50), percentile(times, 99), each(got.used.server, tasks)})
	}
	return c.finish(b)
}

// pickUps submits one task at a time and returns the times from the request to
// assign.
func (s *swarm) pickUps(ctx context.Context, t *tally, seen chan assignment, n int) (times []float64, err error) {
	i := &idler{rig: s.rig, tally: t, assigns: seen, task: loadTask}
	if i.conn, err = s.dial(); err != nil {
		return nil, err
	}
	defer i.conn.Close()
	for len(seen) > 0 {
		<-seen
	}
	_, times, err = i.submit(ctx, n)
	return times, err
}

// overWatchers has ever more people who watch the groups of the tasks.
func (b *bench) overWatchers(ctx context.Context) ([]row, error) {
	c := &curve{id: "watchers", title: "Tasks at a steady pace over live watchers", x: "watchers", rate: "tasks done", wait: "request → assign"}
	s, err := b.startArena(ctx, inProcess)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if _, err := s.round(ctx, watchWarmUp); err != nil {
		return nil, err
	}
	for _, n := range []int{0, 10, 100, 300, 1000} {
		got, err := s.scene(ctx, pick(b.short, watchRound/5, watchRound), n, false)
		if err != nil {
			return nil, err
		}
		c.add(b, point{float64(n), got.steps / stepsOfTask, got.p50, got.p99, got.core * 1e4 / (got.steps / stepsOfTask)})
	}
	return c.finish(b)
}

// overPayload has ever larger inputs; a request has up to 1 MB of them.
func (b *bench) overPayload(ctx context.Context) ([]row, error) {
	c := &curve{id: "payload", title: "Tasks done over the size of their input", x: "bytes of input", rate: "tasks done", wait: "request → assign, idle"}
	for _, size := range []int{100, 1000, 10_000, 100_000, 512 << 10} {
		p, err := b.payload(ctx, size)
		if err != nil {
			return nil, fmt.Errorf("%d bytes: %w", size, err)
		}
		c.add(b, p)
	}
	return c.finish(b)
}

func (b *bench) payload(ctx context.Context, size int) (p point, err error) {
	r, err := b.start(ctx, inProcess)
	if err != nil {
		return p, err
	}
	defer r.stop()
	task := fmt.Sprintf(`{"kind":%q,"input":%q}`, loadKind, strings.Repeat("x", size-2))
	i, leave, err := r.idler(ctx)
	if err != nil {
		return p, err
	}
	i.task = task
	_, times, err := i.submit(ctx, pick(b.short, 20, 100))
	leave()
	if err != nil {
		return p, err
	}
	o := &own{rig: r, tally: &tally{}}
	o.tally.start()
	if o.leave, err = r.connectWorkers(ctx, loadSockets, loadSlots, loadKind, o.tally); err != nil {
		return p, err
	}
	defer o.leave()
	if err := o.begin(ctx); err != nil {
		return p, err
	}
	some := max(1, min(batchSize, 1_000_000/size))
	request := r.request("/groups/"+r.group+"/tasks:batch", batchOf(task, some))
	conn, err := r.dial()
	if err != nil {
		return p, err
	}
	defer conn.Close()
	sent, began, used := 0, time.Now(), r.cpu().server
	for time.Since(began) < pick(b.short, time.Second, 5*time.Second) {
		if _, err := conn.submitBatch(ctx, request, checkEntries(some)); err != nil {
			return p, err
		}
		sent += some
	}
	got, err := settled(ctx, o, sent)
	return point{float64(size), perSecond(sent, got.last.Sub(began)), percentile(times, 50), percentile(times, 99), each(r.cpu().server-used, sent)}, err
}

// overDevices has sync events of ever more devices.
func (b *bench) overDevices(ctx context.Context) ([]row, error) {
	c := &curve{id: "devices", title: "Sync events over the devices that report", x: "devices", rate: "events kept", wait: "answer to 500"}
	r, ours, err := b.startOurs(ctx)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	l, q := b.newLoader(), load{URL: ours.url + "/api/v1/sync-events", Connections: batchConnections, Batch: eventBatch, Interval: 250}
	for _, n := range []int{8, 80, 800, 8000, 80_000} {
		q.Devices = n
		if _, err := l.round(ctx, ours, q); err != nil { // makes all known: the first report of a device costs more
			return nil, err
		}
		got, err := l.round(ctx, ours, q)
		if err != nil {
			return nil, err
		}
		c.add(b, point{float64(n), got.rate(), got.P50, math.Max(got.P99, got.P50), each(got.server, got.sent())})
	}
	rows, err := c.finish(b)
	return rows, cmp.Or(err, l.checkKept(ctx, r, ours, q.Connections))
}
