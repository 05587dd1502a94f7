package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const submitters = 4 // connections that submit batches

// batches is P3: from the first submit to the last task done, ours and the peer's
// in turn.
func (b *bench) batches(ctx context.Context) ([]row, error) {
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
	rows, err := b.batchRounds(ctx, "P3", pick(b.short, 3000, 30000), ours, peer)
	if err != nil {
		return rows, err
	}
	return append(rows, against("P3", "Firmlight / "+peer.name()+", done", rows[0], rows[1], b.goal(1.5))), nil
}

// batchRounds submits n tasks a round to each after a warm-up, and returns a line
// for each; the first one is ours.
func (b *bench) batchRounds(ctx context.Context, id string, n int, ours *own, peers ...pipeline) ([]row, error) {
	all := append([]pipeline{ours}, peers...)
	rates, notes := make([][]float64, len(all)), make([]batchNotes, len(all))
	for _, p := range all {
		if _, err := b.batchRound(ctx, p, max(n/5, batchSize)); err != nil {
			return nil, fmt.Errorf("warm-up: %w", err)
		}
	}
	for i := range b.rounds {
		for k, p := range all {
			got, err := b.batchRound(ctx, p, n)
			if err != nil {
				return nil, err
			}
			b.say("  round %d of %d: %-15s %s done/s, accepted after %s", i+1, b.rounds, p.name(), number(got.rate),
				got.accepted.Round(time.Millisecond))
			rates[k] = append(rates[k], got.rate)
			notes[k].add(got)
		}
		if gap, remarks := ours.tally.longestGap(), ours.tally.remarks(); remarks != "" {
			b.say("  longest gap %s%s", gap.Round(time.Millisecond), remarked(remarks))
		}
	}
	rows := make([]row, len(all))
	for k, p := range all {
		rows[k] = newRow(id, "tasks done, 1,000 per request: "+p.name(), "/s", rates[k]...).note("%s", notes[k].text(n, b.rounds))
	}
	stages, err := b.stages(ctx, ours.rig, id, taskStages, func() (time.Duration, error) {
		got, err := b.batchRound(ctx, ours, n)
		return got.used.server / time.Duration(n), err
	})
	rows[0] = rows[0].note("%s", stages)
	return rows, err
}

func remarked(s string) string { return pick(s == "", "", "; "+s) }

type batchResult struct {
	rate      float64
	accepted  time.Duration // until the last batch was
	throttled int
	used      cpu
}

// batchNotes is what the rounds of a pipeline came to beside their rates.
type batchNotes struct {
	used      cpu
	throttled int
}

func (s *batchNotes) add(r batchResult) {
	s.used, s.throttled = s.used.plus(r.used), s.throttled+r.throttled
}

func (s *batchNotes) text(n, rounds int) string {
	note := fmt.Sprintf("%s tasks a round, %s", number(float64(n)), s.used.perTask(n*rounds))
	if s.throttled > 0 {
		note += fmt.Sprintf(", %d requests throttled (429)", s.throttled)
	}
	return note
}

func (b *bench) batchRound(ctx context.Context, p pipeline, n int) (res batchResult, err error) {
	if err := p.begin(ctx); err != nil {
		return res, err
	}
	began, before := time.Now(), p.cpu()
	var (
		mu  sync.Mutex
		all sync.WaitGroup
	)
	todo := make(chan struct{}, n/batchSize)
	for range n / batchSize {
		todo <- struct{}{}
	}
	close(todo)
	for range submitters {
		all.Go(func() {
			throttled, fail := submitBatches(ctx, p, todo)
			mu.Lock()
			defer mu.Unlock()
			res.throttled += throttled
			if fail != nil {
				err = fail
			}
		})
	}
	all.Wait()
	res.accepted = time.Since(began)
	if err != nil {
		return res, fmt.Errorf("%s: %w", p.name(), err)
	}
	n = n / batchSize * batchSize
	got, err := settled(ctx, p, n)
	res.used = p.cpu().minus(before)
	res.rate = perSecond(n, got.last.Sub(began))
	if err == nil && got.done != n {
		err = fmt.Errorf("%s: %d tasks done, but only %d submitted", p.name(), got.done, n)
	}
	return res, err
}

// submitBatches sends one batch for each element of todo.
func submitBatches(ctx context.Context, p pipeline, todo <-chan struct{}) (throttled int, err error) {
	batch := p.batch()
	c, err := dial(batch.host)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	request := batch.bytes()
	for range todo {
		n, err := c.submitBatch(ctx, request, p.checkBatch)
		throttled += n
		if err != nil {
			return throttled, err
		}
	}
	return throttled, nil
}

// submitBatch sends a batch, again while it is refused, after the pause that the
// server asks for, and returns how often it was.
func (c *conn) submitBatch(ctx context.Context, request []byte, check func(answer) error) (throttled int, err error) {
	for {
		a, err := c.do(request)
		if err != nil {
			return throttled, fmt.Errorf("submit: %w", err)
		}
		if a.status != http.StatusTooManyRequests {
			return throttled, check(a)
		}
		throttled++
		if !pause(ctx, a.retryAfter) {
			return throttled, ctx.Err()
		}
	}
}

// checkBatch wants every entry of a batch accepted.
func checkBatch(a answer) error { return checkEntries(batchSize)(a) }

func checkEntries(n int) func(answer) error {
	return func(a answer) error { return a.accepted(n) }
}

// accepted returns an error unless all of n tasks were.
func (a answer) accepted(n int) error {
	if a.status != http.StatusMultiStatus {
		return fmt.Errorf("submit: status %d: %.300s", a.status, a.body)
	}
	var got struct {
		Results []struct{ Status int }
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	for _, item := range got.Results {
		if item.Status != http.StatusAccepted {
			return fmt.Errorf("submit: an entry has status %d: %.300s", item.Status, a.body)
		}
	}
	if len(got.Results) != n {
		return fmt.Errorf("submit: %d answers for %d tasks", len(got.Results), n)
	}
	return nil
}
