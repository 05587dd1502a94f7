package e2e

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

const (
	rollingRun = 2 * time.Second // of a task
	// rollingMargin is for everything but a task's run and its wait for a slot: the
	// store, the way to a worker, a worker's way to another server (up to 2 s). Less
	// than the 6 s after which a server is taken for dead.
	rollingMargin = 5 * time.Second
)

// TestRollingRestart: three servers are drained (SIGTERM) and replaced one after
// the other while tasks are submitted. Each is run once, to its end, on the worker
// that began it; and none is held up by longer than its own run takes.
func TestRollingRestart(t *testing.T) {
	env, _, _ := shared(t)
	var servers []*kit.Server
	var behind []string
	for range 3 {
		s := startMember(t, bins.Server, env)
		servers = append(servers, s)
		behind = append(behind, s.URL)
	}
	c := introduce(t, &kit.Server{URL: startBalancer(t, behind...)})
	for i := range 6 { // twice the slots that are needed
		c.testWorker(fmt.Sprint("w", i), 2)
	}
	c.connected(6)
	var over sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	var ids []string
	over.Go(func() { ids = c.trickle(ctx) })
	for i, s := range servers {
		pause(t.Context(), rollingRun)
		began := time.Now()
		must(t, s.Stop(time.Minute))
		stopped := time.Since(began)
		must(t, s.Restart())
		t.Logf("server %d: stopped in %s, replaced in %s", i, ms(stopped), ms(time.Since(began)))
	}
	pause(t.Context(), rollingRun)
	stop()
	over.Wait()
	var held []time.Duration
	for _, id := range ids {
		task := c.wait(id, "succeeded")
		if task.Attempt != 1 || task.Reassignments != 0 {
			es, err := c.Timeline(t.Context(), id)
			t.Errorf("attempt %d, %d reassignments: %+v %v", task.Attempt, task.Reassignments, es, err)
		}
		held = append(held, task.FinishedAt.Sub(task.CreatedAt)-rollingRun)
	}
	all, err := c.List(t.Context(), c.group, url.Values{})
	must(t, err)
	if len(all) != len(ids) || len(ids) < 10 {
		t.Errorf("%d tasks in the store, %d were accepted", len(all), len(ids))
	}
	slices.Sort(held)
	t.Logf("%d tasks of %s: held up by %s (median), %s (longest)", len(ids), rollingRun, ms(held[len(held)/2]), ms(held[len(held)-1]))
	if longest := held[len(held)-1]; longest > rollingRun+rollingMargin {
		t.Errorf("a task was held up by %s", longest)
	}
}

// trickle submits a task every half second until ctx ends, each until it is
// accepted, and returns them.
func (c *cluster) trickle(ctx context.Context) (ids []string) {
	for i := 0; ctx.Err() == nil; {
		task, err := c.Submit(c.t.Context(), c.group, map[string]any{
			"kind": "work", "input": map[string]int64{"ms": rollingRun.Milliseconds()}, "idempotency_key": fmt.Sprint("rolling-", i),
		})
		if err != nil {
			c.t.Logf("a submit was not accepted, and is sent again: %v", err)
			pause(ctx, 50*time.Millisecond)
			continue
		}
		ids = append(ids, task.ID)
		i++
		pause(ctx, 500*time.Millisecond)
	}
	return ids
}
