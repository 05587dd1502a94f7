package workload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Five requests to one host, each longer or shorter than the delay, asked for at
// once: one at a time, a delay apart; another host does not wait for them.
func TestGateKeepsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(time.Second)
		start := time.Now()
		var mu sync.Mutex
		var begun []time.Duration
		underWay := 0
		var all sync.WaitGroup
		for _, takes := range []time.Duration{0, 1, 800, 2, 300} {
			all.Go(func() {
				leave, err := g.enter(t.Context(), "a.example")
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				mu.Lock()
				begun = append(begun, time.Since(start))
				underWay++
				if underWay > 1 {
					t.Error("two requests to one host at a time")
				}
				mu.Unlock()
				<-time.After(takes * time.Millisecond)
				mu.Lock()
				underWay--
				mu.Unlock()
			})
		}
		synctest.Wait()
		leave, err := g.enter(t.Context(), "b.example")
		if err != nil {
			t.Fatal(err)
		}
		leave()
		if since := time.Since(start); since != 0 {
			t.Errorf("the other host waited %v", since)
		}
		all.Wait()
		for i, at := range begun {
			if at != time.Duration(i)*time.Second {
				t.Errorf("requests began at %v", begun)
			}
		}
	})
}

func TestGateGivesUpWhenCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(time.Hour)
		leave, err := g.enter(t.Context(), "a.example")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error)
		for range 2 {
			go func() {
				_, err := g.enter(ctx, "a.example")
				results <- err
			}()
		}
		synctest.Wait()
		leave() // one now waits for the hour to pass, the other for its turn
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		<-time.After(time.Hour)
		if leave, err = g.enter(t.Context(), "a.example"); err != nil {
			t.Fatal(err)
		}
		leave()
	})
}

func TestGateForgetsIdleHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(time.Second)
		for i := range 5000 {
			leave, err := g.enter(t.Context(), fmt.Sprintf("%d.example", i))
			if err != nil {
				t.Fatal(err)
			}
			leave()
			if i%500 == 0 {
				<-time.After(2 * time.Second)
			}
		}
		if len(g.hosts) > 1000 {
			t.Fatalf("%d hosts kept", len(g.hosts))
		}
	})
}
