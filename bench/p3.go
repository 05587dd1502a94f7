package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	loadKind    = "noop"
	loadTask    = `{"kind":"noop","input":{"n":1}}`
	loadSockets = 8
	loadSlots   = 128 // of each socket
	batchSize   = 1000
	submitters  = 4 // connections that submit batches

	// What the BullMQ pipeline reached (docs/numbers.md).
	peerBatches = 13500
	peerSingles = 11400
)

// batches is P3: from the first submit to the last task done.
func (b *bench) batches(ctx context.Context) ([]row, error) {
	rates, note, err := b.batchRounds(ctx, "P3", realRedis, pick(b.short, 3000, 30000))
	if len(rates) == 0 {
		return nil, err
	}
	r := newRow("P3", "tasks done, 1,000 per request, Redis", "/s", rates...).peer(1.5, peerBatches)
	return []row{r.note("%s", note)}, err
}

// batchRounds submits n tasks a round and returns the rates of the rounds after
// a warm-up.
func (b *bench) batchRounds(ctx context.Context, id string, on backend, n int) (rates []float64, note string, err error) {
	r, err := b.start(ctx, on)
	if err != nil {
		return nil, "", err
	}
	defer r.stop()
	t := &tally{}
	t.start()
	leave, err := r.connectWorkers(ctx, loadSockets, loadSlots, loadKind, t)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	if _, err := r.batchRound(ctx, t, max(n/5, batchSize)); err != nil {
		return nil, "", fmt.Errorf("warm-up: %w", err)
	}
	prof := b.profiler(ctx, r, id)
	defer prof.finish()
	var throttled int
	var gap time.Duration
	before := r.cpu()
	for i := range b.rounds {
		got, err := r.batchRound(ctx, t, n)
		if err != nil {
			return rates, "", err
		}
		b.say("  round %d of %d: %s done/s, accepted after %s, longest gap %s%s", i+1, b.rounds, number(got.rate),
			got.accepted.Round(time.Millisecond), t.longestGap().Round(time.Millisecond), remarked(t.remarks()))
		rates = append(rates, got.rate)
		throttled += got.throttled
		gap = max(gap, t.longestGap())
	}
	note = fmt.Sprintf("%s tasks a round, longest gap between results %s, %s", number(float64(n)),
		gap.Round(time.Millisecond), r.cpu().perTask(before, b.rounds*n))
	if throttled > 0 {
		note += fmt.Sprintf(", %d requests throttled (429)", throttled)
	}
	return rates, note, nil
}

func remarked(s string) string { return pick(s == "", "", "; "+s) }

type batchResult struct {
	rate      float64
	accepted  time.Duration // until the last batch was
	throttled int
}

func (r *rig) batchRound(ctx context.Context, t *tally, n int) (batchResult, error) {
	request := r.request("/groups/"+r.group+"/tasks:batch",
		`{"tasks":[`+loadTask+strings.Repeat(","+loadTask, batchSize-1)+`]}`)
	t.start()
	began := time.Now()
	var (
		mu   sync.Mutex
		res  batchResult
		fail error
		all  sync.WaitGroup
	)
	todo := make(chan struct{}, n/batchSize)
	for range n / batchSize {
		todo <- struct{}{}
	}
	close(todo)
	for range submitters {
		all.Go(func() {
			throttled, err := r.submitBatches(ctx, request, todo)
			mu.Lock()
			defer mu.Unlock()
			res.throttled += throttled
			if err != nil {
				fail = err
			}
		})
	}
	all.Wait()
	res.accepted = time.Since(began)
	if fail != nil {
		return res, fail
	}
	last, err := t.await(ctx, n/batchSize*batchSize)
	res.rate = perSecond(n/batchSize*batchSize, last.Sub(began))
	return res, err
}

// submitBatches sends one batch for each element of todo, a refused one again
// after the pause that the server asked for.
func (r *rig) submitBatches(ctx context.Context, request []byte, todo <-chan struct{}) (throttled int, err error) {
	c, err := r.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for range todo {
		n, err := c.submitBatch(ctx, request)
		throttled += n
		if err != nil {
			return throttled, err
		}
	}
	return throttled, nil
}

// submitBatch sends a batch, again while it is refused, after the pause that the
// server asks for, and returns how often it was.
func (c *conn) submitBatch(ctx context.Context, request []byte) (throttled int, err error) {
	for {
		a, err := c.do(request)
		if err != nil {
			return throttled, fmt.Errorf("submit: %w", err)
		}
		if a.status != http.StatusTooManyRequests {
			return throttled, checkBatch(a)
		}
		throttled++
		if !pause(ctx, a.retryAfter) {
			return throttled, ctx.Err()
		}
	}
}

// checkBatch wants every entry accepted.
func checkBatch(a answer) error {
	if a.status != 207 {
		return fmt.Errorf("submit: status %d: %.300s", a.status, a.body)
	}
	var got struct {
		Results []struct{ Status int }
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	for _, item := range got.Results {
		if item.Status != 202 {
			return fmt.Errorf("submit: an entry has status %d: %.300s", item.Status, a.body)
		}
	}
	if len(got.Results) != batchSize {
		return fmt.Errorf("submit: %d answers for %d tasks", len(got.Results), batchSize)
	}
	return nil
}
