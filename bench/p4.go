package main

import (
	"context"
	"fmt"
	"time"
)

const singleConnections = 100

// singles is P4: wrk submits one task a request for a fixed time, to us and to
// the peer in turn.
func (b *bench) singles(ctx context.Context) ([]row, error) {
	ours, err := b.startOwn(ctx, realRedis)
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	peer, err := b.startBeside(ctx)
	if err != nil {
		return nil, err
	}
	defer peer.stop()
	all := []pipeline{ours, peer}
	for _, p := range all {
		if _, err := b.singleRound(ctx, p, 2*time.Second); err != nil {
			return nil, fmt.Errorf("warm-up: %w", err)
		}
	}
	length := pick(b.short, 2*time.Second, 10*time.Second)
	sums := make([]singleSum, len(all))
	for i := range b.rounds {
		for k, p := range all {
			got, err := b.singleRound(ctx, p, length)
			if err != nil {
				return nil, err
			}
			b.say("  round %d of %d: %-15s %s accepted/s, %s done/s, the rest %s later%s", i+1, b.rounds, p.name(),
				number(got.accepted), number(got.done), got.drain.Round(time.Millisecond),
				remarked(pick(k == 0, ours.tally.remarks(), "")))
			sums[k].add(got)
		}
	}
	stages, err := b.stages(ctx, ours.rig, "P4", taskStages, func() (time.Duration, error) {
		got, err := b.singleRound(ctx, ours, length)
		return got.used.server / time.Duration(max(1, got.tasks)), err
	})
	if err != nil {
		return nil, err
	}
	us, them := sums[0].rows(ours.name()), sums[1].rows(peer.name())
	us[1] = us[1].note("%s", stages)
	us[2] = us[2].atLeast(0.9)
	return append(append(us, them...), against("P4", "Firmlight / "+peer.name()+", done", us[1], them[1], b.goal(1))), nil
}

// singleSum is what the rounds of a pipeline came to.
type singleSum struct {
	accepted, done, ratio, p50, p99 []float64
	tasks, throttled                int
	drain                           time.Duration
	used                            cpu
}

func (s *singleSum) add(r singleResult) {
	s.accepted, s.done = append(s.accepted, r.accepted), append(s.done, r.done)
	s.ratio = append(s.ratio, r.done/r.accepted)
	s.p50, s.p99 = append(s.p50, r.p50), append(s.p99, r.p99)
	s.tasks += r.tasks
	s.throttled += r.throttled
	s.drain = max(s.drain, r.drain)
	s.used = s.used.plus(r.used)
}

// rows are accepted, done, and their ratio.
func (s *singleSum) rows(name string) []row {
	what := fmt.Sprintf("one task per request, %d connections: %s ", singleConnections, name)
	accepted := newRow("P4", what+"accepted", "/s", s.accepted...).
		note("answered after p50 %s ms, p99 %s ms", number(median(s.p50)), number(median(s.p99)))
	if s.throttled > 0 {
		accepted = accepted.note("%d requests throttled (429)", s.throttled)
	}
	return []row{
		accepted,
		newRow("P4", what+"done", "/s", s.done...).note("%s", s.used.perTask(s.tasks)),
		newRow("P4", name+", done / accepted during the run", "", s.ratio...).
			note("the rest was done at most %s after the end", s.drain.Round(time.Millisecond)),
	}
}

type singleResult struct {
	accepted, done float64 // per second, during the run
	p50, p99       float64 // ms to the answer
	tasks          int     // accepted
	throttled      int
	drain          time.Duration // from the end of the run to the last task done
	used           cpu
}

func (b *bench) singleRound(ctx context.Context, p pipeline, length time.Duration) (res singleResult, err error) {
	if err := p.begin(ctx); err != nil {
		return res, err
	}
	before := p.cpu()
	w, err := wrk(ctx, p.single(), singleConnections, length)
	if err != nil {
		return res, err
	}
	end := time.Now()
	during, err := p.progress(ctx)
	if err != nil {
		return res, err
	}
	after, err := settled(ctx, p, w.Answers-w.Refused)
	if err != nil {
		return res, err
	}
	if open := after.accepted - (w.Answers - w.Refused); open > singleConnections {
		return res, fmt.Errorf("%s: %d more tasks accepted than answered", p.name(), open)
	}
	res = singleResult{
		accepted: float64(w.Answers-w.Refused) / w.Seconds, done: float64(during.done) / w.Seconds, p50: w.P50, p99: w.P99,
		tasks: after.done, throttled: w.Refused, drain: max(after.last.Sub(end), 0), used: p.cpu().minus(before),
	}
	res.used.bench += w.cpu
	return res, nil
}
