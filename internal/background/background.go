// Package background owns the goroutines of a part of the server between its
// Start and its Stop.
package background

import (
	"context"
	"sync"
	"time"
)

// Loops are the goroutines of one part. The zero value has none.
type Loops struct {
	mu     sync.Mutex // guards cancel
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Start runs loops until Stop. They have the values of ctx and outlive its end: a
// server that has to end still needs its parts, and stops them in their order.
func (l *Loops) Start(ctx context.Context, loops ...func(context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.mu.Lock()
	l.cancel = cancel
	l.mu.Unlock()
	for _, loop := range loops {
		l.wg.Go(func() { loop(ctx) })
	}
}

// Stop cancels the loops and waits for them. It may be called twice, or without
// Start.
func (l *Loops) Stop() {
	l.mu.Lock()
	if l.cancel != nil {
		l.cancel()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// Every is a loop that calls do at each interval, never twice at once.
func Every(interval time.Duration, do func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				do(ctx)
			}
		}
	}
}

// Each is a loop that calls do with what comes from c, one after another, until c
// is closed.
func Each[T any](c <-chan T, do func(context.Context, T)) func(context.Context) {
	return func(ctx context.Context) {
		for {
			select {
			case <-ctx.Done():
				return
			case v, ok := <-c:
				if !ok {
					return
				}
				do(ctx, v)
			}
		}
	}
}
