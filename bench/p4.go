package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const singleConnections = 100

// singles is P4: connections that submit one task after another for a fixed
// time.
func (b *bench) singles(ctx context.Context) ([]row, error) {
	r, err := b.start(ctx, realRedis)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	t := &tally{}
	t.start()
	leave, err := r.connectWorkers(ctx, loadSockets, loadSlots, loadKind, t)
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, err := r.singleRound(ctx, t, time.Second); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	length := pick(b.short, 2*time.Second, 10*time.Second)
	prof := b.profiler(ctx, r, "P4")
	defer prof.finish()
	var sum singleSum
	before := r.cpu()
	for i := range b.rounds {
		got, err := r.singleRound(ctx, t, length)
		if err != nil {
			return sum.rows(), err
		}
		b.say("  round %d of %d: %s accepted/s, %s done/s, the rest %s later%s", i+1, b.rounds, number(got.accepted),
			number(got.done), got.drain.Round(time.Millisecond), remarked(t.remarks()))
		sum.add(got)
		sum.cpu = r.cpu().perTask(before, sum.tasks)
	}
	return sum.rows(), nil
}

// singleSum is what the rounds came to.
type singleSum struct {
	accepted, done, ratio []float64
	tasks, throttled      int
	drain                 time.Duration
	cpu                   string
}

func (s *singleSum) add(r singleResult) {
	s.accepted, s.done = append(s.accepted, r.accepted), append(s.done, r.done)
	s.ratio = append(s.ratio, r.done/r.accepted)
	s.tasks += r.tasks
	s.throttled += r.throttled
	s.drain = max(s.drain, r.drain)
}

func (s *singleSum) rows() []row {
	if len(s.accepted) == 0 {
		return nil
	}
	what := fmt.Sprintf("one task per request, %d connections, Redis: ", singleConnections)
	accepted := newRow("P4", what+"accepted", "/s", s.accepted...)
	if s.throttled > 0 {
		accepted = accepted.note("%d requests throttled (429)", s.throttled)
	}
	return []row{
		accepted,
		newRow("P4", what+"done", "/s", s.done...).peer(1, peerSingles).note("%s", s.cpu),
		newRow("P4", "done / accepted during the run", "", s.ratio...).atLeast(0.9).
			note("the rest was done at most %s after the end", s.drain.Round(time.Millisecond)),
	}
}

type singleResult struct {
	accepted, done float64 // per second, during the run
	tasks          int     // accepted
	throttled      int
	drain          time.Duration // from the end of the run to the last task done
}

func (r *rig) singleRound(ctx context.Context, t *tally, length time.Duration) (singleResult, error) {
	t.start()
	began := time.Now()
	limited, cancel := context.WithDeadline(ctx, began.Add(length))
	defer cancel()
	var (
		mu   sync.Mutex
		res  singleResult
		fail error
		all  sync.WaitGroup
	)
	for range singleConnections {
		all.Go(func() {
			n, throttled, err := r.submitSingles(limited)
			mu.Lock()
			defer mu.Unlock()
			res.tasks += n
			res.throttled += throttled
			if err != nil {
				fail = err
			}
		})
	}
	all.Wait()
	end := time.Now()
	res.accepted = perSecond(res.tasks, end.Sub(began))
	res.done = perSecond(t.doneSoFar(), end.Sub(began))
	if fail != nil {
		return res, fail
	}
	last, err := t.await(ctx, res.tasks)
	res.drain = max(last.Sub(end), 0)
	return res, err
}

// submitSingles submits on one connection until ctx ends.
func (r *rig) submitSingles(ctx context.Context) (taken, throttled int, err error) {
	c, err := r.dial()
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	request := r.request("/groups/"+r.group+"/tasks", loadTask)
	for ctx.Err() == nil {
		a, err := c.do(request)
		switch {
		case err != nil:
			return taken, throttled, fmt.Errorf("submit: %w", err)
		case a.status == 202:
			taken++
		case a.status == 429:
			throttled++
			pause(ctx, a.retryAfter)
		default:
			return taken, throttled, fmt.Errorf("submit: status %d: %.300s", a.status, a.body)
		}
	}
	return taken, throttled, nil
}
