package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// stallLimit is how long nothing may be done before a round counts as failed.
const stallLimit = 20 * time.Second

// tally counts what the worker sockets of a round saw. A task is done when the
// server has acknowledged its result: then it is durable.
type tally struct {
	mu       sync.Mutex
	assigned int
	done     int
	refused  int            // results that the server did not want
	odd      map[string]int // what should not happen, by text
	last     time.Time      // of the last done
	gap      time.Duration  // longest between two frames with one
}

// start begins a round.
func (t *tally) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.assigned, t.done, t.refused, t.odd = 0, 0, 0, map[string]int{}
	t.last, t.gap = time.Now(), 0
}

func (t *tally) add(assigned, done, refused int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.assigned += assigned
	t.refused += refused
	if done > 0 {
		at := time.Now()
		if t.done > 0 {
			t.gap = max(t.gap, at.Sub(t.last))
		}
		t.done, t.last = t.done+done, at
	}
}

func (t *tally) strange(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.odd[what]++
}

// doneSoFar returns how many tasks are done, and when the newest was.
func (t *tally) doneSoFar() (int, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done, t.last
}

// await waits until n tasks are done and returns when the last one was.
func (t *tally) await(ctx context.Context, n int) (time.Time, error) {
	for {
		done, last := t.doneSoFar()
		switch {
		case done == n:
			return last, nil
		case done > n:
			return last, fmt.Errorf("%d tasks done, but only %d accepted", done, n)
		case time.Since(last) > stallLimit:
			return last, fmt.Errorf("%d of %d tasks done, then nothing for %s", done, n, stallLimit)
		case !pause(ctx, 2*time.Millisecond):
			return last, fmt.Errorf("%d of %d tasks done: %w", done, n, ctx.Err())
		}
	}
}

// remarks says what was out of the ordinary in the round; empty: nothing.
func (t *tally) remarks() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	if t.assigned != t.done {
		all = append(all, fmt.Sprintf("%d assigned for %d done", t.assigned, t.done))
	}
	if t.refused > 0 {
		all = append(all, fmt.Sprintf("%d results refused", t.refused))
	}
	for _, what := range slices.Sorted(maps.Keys(t.odd)) {
		all = append(all, fmt.Sprintf("%d × %s", t.odd[what], what))
	}
	return strings.Join(all, ", ")
}

func (t *tally) longestGap() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gap
}
