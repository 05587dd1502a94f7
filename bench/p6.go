package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// smallBacklog is what all slots take at once, and one to two batches that wait.
	smallBacklog = loadSockets*loadSlots + 2*batchSize - loadSockets*loadSlots%batchSize
	steadyFor    = 10 * time.Second // one round; a fifth of it in a short run
	pageLoads    = 500              // of each kind
)

// backlog is P6: how fast tasks are done, and found, behind a long queue.
func (b *bench) backlog(ctx context.Context) ([]row, error) {
	r, err := b.start(ctx, realRedis)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	big := pick(b.short, 20_000, 1_000_000)
	t := &tally{}
	short, shortCost, err := b.steadyRounds(ctx, r, t, 0, smallBacklog)
	if err != nil {
		return nil, fmt.Errorf("%d queued: %w", smallBacklog, err)
	}
	began := time.Now()
	if err := b.fill(ctx, r, smallBacklog, big); err != nil {
		return nil, err
	}
	filled := time.Since(began)
	b.say("  %s queued after %s", number(float64(big)), filled.Round(time.Second))
	rows, err := b.pageRows(ctx, r, big)
	if err != nil {
		return rows, err
	}
	long, longCost, err := b.steadyRounds(ctx, r, t, big, big)
	if err != nil {
		return rows, fmt.Errorf("%d queued: %w", big, err)
	}
	with := func(n int) string { return fmt.Sprintf("tasks done with %s queued, Redis", number(float64(n))) }
	return append(rows,
		newRow("P6", with(smallBacklog), "/s", short...).note("CPU of the server per task %s µs", number(median(shortCost))),
		newRow("P6", with(big), "/s", long...).atLeast(0.9*median(short)).
			note("CPU of the server per task %s µs, filled in %s, %s/s", number(median(longCost)), filled.Round(time.Second),
				number(perSecond(big, filled)))), nil
}

// fill submits until so many tasks wait.
func (b *bench) fill(ctx context.Context, r *rig, have, want int) error {
	todo := make(chan []byte)
	failed := make(chan error, submitters)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range submitters {
		go func() { failed <- r.submitEach(ctx, todo) }()
	}
	for n := have; n < want; n += batchSize {
		select {
		case todo <- r.request("/groups/"+r.group+"/tasks:batch", titled(n)):
		case err := <-failed:
			return err
		}
		if n%100_000 == 0 {
			b.say("  %s of %s queued", number(float64(n)), number(float64(want)))
		}
	}
	close(todo)
	for range submitters {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

// titled is the body of a batch whose titles have a word that all have, one of a
// hundred, one of ten thousand, and one that no other has.
func titled(first int) string {
	var s strings.Builder
	for i := first; i < first+batchSize; i++ {
		fmt.Fprintf(&s, `,{"kind":%q,"title":"Frame%d of scene%04d in film%02d, rendered","input":{"n":1}}`, loadKind, i, i%10_000, i%100)
	}
	return `{"tasks":[` + s.String()[1:] + `]}`
}

// submitEach sends each request of todo, a refused one again after the pause
// that the server asked for.
func (r *rig) submitEach(ctx context.Context, todo <-chan []byte) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for request := range todo {
		if _, err := c.submitBatch(ctx, request, checkBatch); err != nil {
			return err
		}
	}
	return nil
}

// steadyRounds keeps a backlog of the same length, of which have are there
// already, while workers take from it, and returns the rates of the rounds and the
// server's CPU per task, in µs.
func (b *bench) steadyRounds(ctx context.Context, r *rig, t *tally, have, backlog int) (rates, costs []float64, err error) {
	if have < backlog {
		if err := b.fill(ctx, r, have, backlog); err != nil {
			return nil, nil, err
		}
	}
	t.start()
	leave, err := r.connectWorkers(ctx, loadSockets, loadSlots, loadKind, t)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	c, err := r.dial()
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	submitted := 0
	for i := range b.rounds + 1 { // the first one is the warm-up
		began := time.Now()
		before, _ := t.doneSoFar()
		used := r.cpu().server
		for time.Since(began) < pick(b.short, steadyFor/5, steadyFor) {
			if done, _ := t.doneSoFar(); done-submitted < batchSize {
				if !pause(ctx, 2*time.Millisecond) {
					return nil, nil, ctx.Err()
				}
				continue
			}
			if _, err := c.submitBatch(ctx, r.request("/groups/"+r.group+"/tasks:batch", titled(submitted)), checkBatch); err != nil {
				return nil, nil, err
			}
			submitted += batchSize
		}
		done, _ := t.doneSoFar()
		rate := perSecond(done-before, time.Since(began))
		if i > 0 {
			b.say("  %s queued, round %d of %d: %s done/s%s", number(float64(backlog)), i, b.rounds, number(rate), remarked(t.remarks()))
			rates = append(rates, rate)
			costs = append(costs, each(r.cpu().server-used, done-before))
		}
	}
	return rates, costs, nil
}

// pageRows measures reads as a browser makes them.
func (b *bench) pageRows(ctx context.Context, r *rig, n int) (rows []row, err error) {
	for _, page := range []struct{ what, query string }{
		{"first page of the list", "limit=50"},
		{"search for a word of all titles", "limit=50&q=rendered"},
		{"search for a word of 1 %", "limit=50&q=film42"},
		{"search for a word of 0.01 %", "limit=50&q=scene0042"},
		{"search for what begins in 0.1 %", "limit=50&q=scene004"},
		{"search for two words", "limit=50&q=film42+scene0042"},
	} {
		var times []float64
		for range pick(b.short, 20, pageLoads) {
			began := time.Now()
			if err := r.api.Do(ctx, http.MethodGet, "/groups/"+r.group+"/tasks?"+page.query, nil, nil); err != nil {
				return rows, fmt.Errorf("%s: %w", page.what, err)
			}
			times = append(times, millis(time.Since(began)))
		}
		rows = append(rows, newRow("P6", fmt.Sprintf("%s, p99, %s tasks", page.what, number(float64(n))), "ms", percentile(times, 99)).
			atMost(10).note("p50 %s ms of %d", number(median(times)), len(times)))
	}
	return rows, nil
}
