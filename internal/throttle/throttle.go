// Package throttle counts failed logins in Redis, so that their limits hold over
// all servers together.
package throttle

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firmlight/firmlight/internal/auth"
)

const (
	prefix = "firmlight:throttle:"
	// timeout is how long a login waits for Redis.
	timeout = 200 * time.Millisecond
	// pause is how long Redis is left alone after it did not answer in time.
	pause = time.Second
)

// take keeps for each key the times (ms) of what counts, oldest first. It
// returns 0, or for how long (ms) the limit is reached. Every server's clock is
// used: they differ by less than anybody notices in a window of minutes.
var take = redis.NewScript(`
local key, now, limit, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local first = redis.call('LINDEX', key, 0)
while first and now - first >= window do
	redis.call('LPOP', key)
	first = redis.call('LINDEX', key, 0)
end
if redis.call('LLEN', key) >= limit then
	return first + window - now
end
redis.call('RPUSH', key, now)
redis.call('PEXPIRE', key, window)
return 0`)

// Throttle is an auth.Throttle over all servers that share a Redis. While that
// is away or slow each server counts by itself, with half the limits.
type Throttle struct {
	rdb   redis.UniversalClient
	local auth.Throttle
	now   func() time.Time
	log   *slog.Logger

	timeout time.Duration // longer in tests

	mu   sync.Mutex
	away time.Time // when Redis did not answer; zero: it did. Guarded by mu
}

var _ auth.Throttle = (*Throttle)(nil)

// New returns a Throttle; now tells the time.
func New(rdb redis.UniversalClient, now func() time.Time, log *slog.Logger) *Throttle {
	return &Throttle{rdb: rdb, local: auth.NewThrottle(now), now: now, log: log, timeout: timeout}
}

// Take implements auth.Throttle.
func (t *Throttle) Take(ctx context.Context, key string, limit int, window time.Duration) (ok bool, wait time.Duration) {
	var left int64
	answered := t.ask(ctx, func(ctx context.Context) (err error) {
		left, err = take.Run(ctx, t.rdb, []string{name(key)}, t.now().UnixMilli(), limit, window.Milliseconds()).Int64()
		return err
	})
	if !answered {
		return t.local.Take(ctx, key, max(1, limit/2), window)
	}
	return left == 0, time.Duration(left) * time.Millisecond
}

// GiveBack implements auth.Throttle. Where Take counted is not remembered: if
// Redis went or came in between, one more or less is counted.
func (t *Throttle) GiveBack(ctx context.Context, key string) {
	t.local.GiveBack(ctx, key)
	t.ask(ctx, func(ctx context.Context) error { return t.rdb.RPop(ctx, name(key)).Err() })
}

// ask reports whether Redis answered in time; after it did not it is not asked
// for a moment, so that logins do not wait for it one by one.
func (t *Throttle) ask(ctx context.Context, f func(context.Context) error) bool {
	t.mu.Lock()
	away := !t.away.IsZero()
	resting := away && t.now().Sub(t.away) < pause
	t.mu.Unlock()
	if resting {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timeout)
	defer cancel()
	err := f(ctx)
	if errors.Is(err, redis.Nil) { // an answer too
		err = nil
	}
	t.mu.Lock()
	if t.away = (time.Time{}); err != nil {
		t.away = t.now()
	}
	t.mu.Unlock()
	if err != nil && !away {
		t.log.WarnContext(ctx, "failed logins are counted on this server alone: Redis does not answer", "error", err)
	}
	return err == nil
}

// name is a key in Redis. Some type their password where the login belongs, so
// it is hashed.
func name(key string) string {
	sum := sha256.Sum256([]byte(key))
	return prefix + base64.RawURLEncoding.EncodeToString(sum[:])
}
