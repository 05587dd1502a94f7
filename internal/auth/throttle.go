package auth

import (
	"context"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// Throttle counts failed logins. A login is taken as failed when it begins and
// given back when it succeeds, so that many at once cannot slip through. Its
// methods do not fail: one that cannot count over all servers counts here.
type Throttle interface {
	// Take counts one for key unless limit were counted within window; then it
	// returns false and how long to wait.
	Take(ctx context.Context, key string, limit int, window time.Duration) (ok bool, wait time.Duration)
	// GiveBack takes the newest count of key away.
	GiveBack(ctx context.Context, key string)
}

// Limits of failed logins (docs/http-api.md).
const (
	failWindow      = 5 * time.Minute
	failsPerLogin   = 10 // for one login from one address
	failsPerAddress = 100
)

// Attempt takes one for key within the window of failed logins; over the limit it
// returns a fault of kind TooMany.
func Attempt(ctx context.Context, t Throttle, key string, limit int) error {
	ok, wait := t.Take(ctx, key, limit, failWindow)
	if ok {
		return nil
	}
	return &fault.Error{
		Kind: fault.TooMany, Code: "too_many_attempts", Detail: "Too many failed attempts; wait a little.", RetryAfter: wait,
	}
}

// memoryThrottle is the Throttle of one server.
type memoryThrottle struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[string][]time.Time // oldest first; guarded by mu
}

// maxThrottleKeys bounds the memory; beyond it, stale keys are swept, and if
// that does not help all is forgotten rather than everybody refused.
const maxThrottleKeys = 100_000

// NewThrottle returns a Throttle in memory; now tells the time.
func NewThrottle(now func() time.Time) Throttle {
	return &memoryThrottle{now: now, seen: map[string][]time.Time{}}
}

func (t *memoryThrottle) Take(_ context.Context, key string, limit int, window time.Duration) (bool, time.Duration) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	times := t.seen[key]
	for len(times) > 0 && now.Sub(times[0]) >= window {
		times = times[1:]
	}
	if len(times) >= limit {
		t.seen[key] = times
		return false, window - now.Sub(times[0])
	}
	if len(t.seen) >= maxThrottleKeys && len(times) == 0 {
		t.sweep(now.Add(-window))
	}
	t.seen[key] = append(times, now)
	return true, 0
}

// sweep is called with mu held.
func (t *memoryThrottle) sweep(before time.Time) {
	for key, times := range t.seen {
		if times[len(times)-1].Before(before) {
			delete(t.seen, key)
		}
	}
	if len(t.seen) >= maxThrottleKeys {
		clear(t.seen)
	}
}

func (t *memoryThrottle) GiveBack(_ context.Context, key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if times := t.seen[key]; len(times) > 1 {
		t.seen[key] = times[:len(times)-1]
	} else {
		delete(t.seen, key)
	}
}
