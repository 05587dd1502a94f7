package throttle_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/throttle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	limit  = 10
	window = 5 * time.Minute
)

// clock is a time that tests move.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(1_800_000_000_000)
	return c
}

func (c *clock) now() time.Time      { return time.UnixMilli(c.ms.Load()) }
func (c *clock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// client is a server's own connection to Redis, as app opens it.
func client(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	r, err := queue.Open(t.Context(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r.Client()
}

// pair is two servers' throttles on one Redis.
type pair struct {
	t        *testing.T
	clock    *clock
	rdb      redis.UniversalClient
	one, two *throttle.Throttle
}

// newPair returns two that wait long for Redis: a busy machine is not one without it.
func newPair(t *testing.T, one, two redis.UniversalClient) *pair {
	c, log := newClock(), slog.New(slog.DiscardHandler)
	p := &pair{t: t, clock: c, rdb: one, one: throttle.New(one, c.now, log), two: throttle.New(two, c.now, log)}
	p.one.SetTimeout(20 * time.Second)
	p.two.SetTimeout(20 * time.Second)
	return p
}

// onEach runs a test on a real Redis and on the one inside the process.
func onEach(t *testing.T, test func(*pair)) {
	t.Run("redis-server", func(t *testing.T) {
		url, _ := redistest.Start(t)
		test(newPair(t, client(t, url), client(t, url)))
	})
	t.Run("in process", func(t *testing.T) {
		rdb := client(t, "")
		test(newPair(t, rdb, rdb))
	})
}

// takes takes n times and returns how many were let through.
func (p *pair) takes(th *throttle.Throttle, key string, n int) (through int) {
	p.t.Helper()
	for range n {
		if ok, _ := th.Take(p.t.Context(), key, limit, window); ok {
			through++
		}
	}
	return through
}

func (p *pair) want(what string, got, want int) {
	p.t.Helper()
	if got != want {
		p.t.Errorf("%s: %d let through, want %d", what, got, want)
	}
}

func TestServersCountTogether(t *testing.T) {
	onEach(t, func(p *pair) {
		p.want("six here", p.takes(p.one, "ada", 6), 6)
		p.clock.add(time.Minute)
		p.want("the rest there", p.takes(p.two, "ada", 6), 4)
		p.want("another key", p.takes(p.one, "bob", 1), 1)
		if ok, wait := p.one.Take(t.Context(), "ada", limit, window); ok || wait != 4*time.Minute {
			t.Errorf("the eleventh: %v, wait %s, want 4m", ok, wait)
		}
		p.two.GiveBack(t.Context(), "ada")
		p.want("one was given back", p.takes(p.one, "ada", 2), 1)
		p.clock.add(4*time.Minute - time.Millisecond)
		p.want("just before the first falls out", p.takes(p.two, "ada", 1), 0)
		p.clock.add(time.Millisecond)
		p.want("as many as fell out", p.takes(p.two, "ada", 10), 6)
	})
}

func TestManyAtOnce(t *testing.T) {
	onEach(t, func(p *pair) {
		var through atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() { through.Add(int64(p.takes([]*throttle.Throttle{p.one, p.two}[i%2], "ada", 1))) })
		}
		wg.Wait()
		p.want("of forty", int(through.Load()), limit)
	})
}

func TestKeysTellNothingAndGo(t *testing.T) {
	onEach(t, func(p *pair) {
		p.takes(p.one, "login 192.0.2.1 my secret password", 1)
		keys, err := p.rdb.Keys(t.Context(), "*").Result()
		if err != nil || len(keys) != 1 || !strings.HasPrefix(keys[0], "firmlight:throttle:") || strings.Contains(keys[0], "secret") {
			t.Fatalf("keys %q, %v", keys, err)
		}
		if ttl, err := p.rdb.PTTL(t.Context(), keys[0]).Result(); err != nil || ttl <= 0 || ttl > window {
			t.Errorf("stays for %s, %v", ttl, err)
		}
		p.one.GiveBack(t.Context(), "login 192.0.2.1 my secret password")
		p.one.GiveBack(t.Context(), "never taken")
		if n, err := p.rdb.DBSize(t.Context()).Result(); n != 0 || err != nil {
			t.Errorf("%d keys are left, %v", n, err)
		}
	})
}

// TestWithoutRedis: each server counts by itself, to half the limit, and goes
// back to counting together.
func TestWithoutRedis(t *testing.T) {
	url, srv := redistest.Start(t)
	p := newPair(t, client(t, url), client(t, url))
	srv.Kill()
	p.want("here", p.takes(p.one, "ada", limit), limit/2)
	p.want("there", p.takes(p.two, "ada", limit), limit/2)
	p.one.GiveBack(t.Context(), "ada")
	p.want("one was given back", p.takes(p.one, "ada", 2), 1)
	srv.Restart()
	p.clock.add(time.Minute)
	p.want("together again", p.takes(p.one, "ada", 6)+p.takes(p.two, "ada", 6), limit)
}

// TestSlowRedis: a login does not wait for a Redis that does not answer.
func TestSlowRedis(t *testing.T) {
	url, _ := redistest.Start(t)
	p := newPair(t, client(t, url), client(t, url))
	p.want("at first", p.takes(p.one, "ada", 1), 1)
	other := client(t, url)
	if err := other.Do(context.Background(), "CLIENT", "PAUSE", "20000", "ALL").Err(); err != nil {
		t.Fatal(err)
	}
	p.one.SetTimeout(throttle.Timeout)
	began := time.Now()
	p.want("while it is slow", p.takes(p.one, "ada", limit), limit/2)
	p.one.GiveBack(t.Context(), "ada")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("that took %s, want hardly more than the one wait of 200 ms", took)
	}
}
