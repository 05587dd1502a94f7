package workload

import (
	"context"
	"sync"
	"time"
)

// gate keeps the pace of crawl: to each host one request at a time, begun at
// least delay after the one before, whichever task asks.
type gate struct {
	delay time.Duration

	mu    sync.Mutex // guards hosts and every users
	hosts map[string]*pacedHost
}

type pacedHost struct {
	users int           // requests waiting or under way
	turn  chan struct{} // holds a token while a request is under way
	next  time.Time     // earliest next request; belongs to the holder of turn
}

func newGate(delay time.Duration) *gate {
	return &gate{delay: delay, hosts: make(map[string]*pacedHost)}
}

// enter waits for the host's turn and returns the function that ends it.
func (g *gate) enter(ctx context.Context, name string) (leave func(), err error) {
	host := g.use(name)
	select {
	case host.turn <- struct{}{}:
	case <-ctx.Done():
		g.release(host)
		return nil, ctx.Err()
	}
	leave = func() {
		<-host.turn
		g.release(host)
	}
	if err := wait(ctx, time.Until(host.next)); err != nil {
		leave()
		return nil, err
	}
	host.next = time.Now().Add(g.delay)
	return leave, nil
}

func (g *gate) use(name string) *pacedHost {
	const many = 1000
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.hosts) >= many {
		now := time.Now()
		for name, h := range g.hosts {
			if h.users == 0 && h.next.Before(now) {
				delete(g.hosts, name)
			}
		}
	}
	host := g.hosts[name]
	if host == nil {
		host = &pacedHost{turn: make(chan struct{}, 1)}
		g.hosts[name] = host
	}
	host.users++
	return host
}

func (g *gate) release(host *pacedHost) {
	g.mu.Lock()
	defer g.mu.Unlock()
	host.users--
}
