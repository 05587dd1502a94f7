package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/internal/client"
)

// TestSubmittingDoesNotStarveDispatch: invariant 6 of docs/architecture.md.
// Workers that are the bottleneck finish nine tenths as many tasks a second while
// others submit as fast as the server answers. Most of up to five rounds decide,
// since what else a machine does may spoil one. The server is one without the
// race detector, which would make the processor the bottleneck.
func TestSubmittingDoesNotStarveDispatch(t *testing.T) {
	server := filepath.Join(t.TempDir(), "server")
	must(t, kit.BuildPackage(t.Context(), "cmd/server", server, false))
	c := startBinary(t, server)
	c.testWorker("w", 8)
	c.connected(1)
	// 80 a second at most. Longer ones would hide what each of them waits for.
	work := map[string]any{"kind": "work", "input": map[string]int{"ms": 100}}
	batch := func(n int) map[string]any { return map[string]any{"tasks": slices.Repeat([]any{work}, n)} }
	ctx, path := t.Context(), "/groups/"+c.group+"/tasks:batch"
	must(t, c.Do(ctx, "POST", path, batch(5000), nil)) // a backlog for both
	finished := func() int {
		var got struct{ Counts struct{ Succeeded int } }
		must(t, c.Do(ctx, "GET", "/groups/"+c.group+"/stats?window=1h", nil, &got))
		return got.Counts.Succeeded
	}
	rate := func() float64 { // asked for twice only: counting a long backlog costs too
		before, began := finished(), time.Now()
		pause(ctx, 8*time.Second)
		return float64(finished()-before) / time.Since(began).Seconds()
	}
	eventually(t, time.Minute, "all slots are busy", func() bool { return finished() >= 8 })
	for kept, lost := 0, 0; kept < 3; {
		alone := rate()
		accepted, stop := c.submitAll(path, batch(100))
		loaded := rate()
		stop()
		t.Logf("%.1f tasks/s alone, %.1f/s while %d more were accepted", alone, loaded, accepted.Load())
		if loaded >= 0.9*alone {
			kept++
		} else if lost++; lost == 3 {
			t.Fatal("submitting takes more than a tenth of the rate")
		}
	}
}

// submitAll submits batches until stop is called, four at a time, as fast as the
// server answers; it counts the tasks that were accepted. The batch is encoded once:
// the processor is the server's.
func (c *cluster) submitAll(path string, batch map[string]any) (accepted *atomic.Int64, stop func()) {
	body, err := json.Marshal(batch)
	must(c.t, err)
	ctx, cancel := context.WithCancel(c.t.Context())
	accepted = new(atomic.Int64)
	var submitters sync.WaitGroup
	for range 4 {
		submitters.Go(func() {
			for ctx.Err() == nil {
				var p *kit.Problem
				switch err := c.Send(ctx, "POST", client.Base+path, "application/json", body, nil); {
				case err == nil:
					accepted.Add(100)
				case errors.As(err, &p) && p.Status == 429:
					pause(ctx, 2*time.Second) // Retry-After
				case ctx.Err() == nil:
					c.t.Error(err)
					return
				}
			}
		})
	}
	return accepted, func() { cancel(); submitters.Wait() }
}
