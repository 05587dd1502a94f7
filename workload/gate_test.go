package workload

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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

func TestPublic(t *testing.T) {
	tests := map[string]bool{
		"93.184.216.34": true, "8.8.8.8": true, "172.32.0.1": true, "100.128.0.1": true, "2606:4700::1111": true,
		"127.0.0.1": false, "127.255.255.255": false, "0.0.0.0": false, "0.1.2.3": false,
		"10.255.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.0.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "100.127.255.255": false, "198.19.0.1": false,
		"224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false, "192.0.0.8": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fdff::1": false,
		"ff02::1": false, "fec0::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:8.8.8.8": true,
		"::10.0.0.1": false, "64:ff9b::a00:1": false, "64:ff9b:1::1": false, "2002:a00:1::": false, "2001::1": false, "2001:db8::1": false,
	}
	for text, want := range tests {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("public(%s) = %t", text, got)
		}
	}
}
