// Package queue holds tasks in order until a worker can take them: asynq's
// queues on Redis, the doorbell that says when there is something in them, and
// the in-process Redis of the embedded default.
package queue

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Every command ends within ioTimeout, so that nobody who waits for Redis waits
// longer than asynq's lease (30 s), retries included.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 3 * time.Second
	poolTimeout = 4 * time.Second
	poolSize    = 64
	bufferSize  = 8 << 10 // per connection and direction; consumers hold one connection each
)

// go-redis writes to stderr what it also returns as an error.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Redis is a connection pool to Redis, or to the one inside this process.
type Redis struct {
	client redis.UniversalClient
	mini   *miniredis.Miniredis // nil for a real one

	once sync.Once
	quit chan struct{} // closed by Close
	done chan struct{} // closed when the clock stands
}

// Open connects to the Redis at url: redis://, rediss:// or unix://, with the
// parameter addr (more nodes) a cluster, with master_name a Sentinel. An empty
// url starts an in-process Redis that nothing outside can reach. A server that
// does not answer yet is no error, only a warning: everything on Redis recovers.
func Open(ctx context.Context, rawURL string, logger *slog.Logger) (*Redis, error) {
	if rawURL == "" {
		return openEmbedded()
	}
	client, err := connect(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	r := &Redis{client: client}
	if err := r.Ping(ctx); err != nil {
		logger.WarnContext(ctx, "redis does not answer yet", "error", err)
	}
	return r, nil
}

func connect(rawURL string) (redis.UniversalClient, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch q := u.Query(); {
	case q.Has("master_name"):
		o, err := redis.ParseFailoverURL(rawURL)
		if err != nil {
			return nil, err
		}
		bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.PoolSize, &o.DialerRetries)
		o.ContextTimeoutEnabled = true
		return redis.NewFailoverClient(o), nil
	case q.Has("addr"):
		o, err := redis.ParseClusterURL(rawURL)
		if err != nil {
			return nil, err
		}
		bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.PoolSize, &o.DialerRetries)
		o.ContextTimeoutEnabled = true
		o.MaintNotificationsConfig = quiet
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, err
		}
		bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.PoolSize, &o.DialerRetries)
		o.ContextTimeoutEnabled = true
		o.ReadBufferSize, o.WriteBufferSize = bufferSize, bufferSize
		o.MaintNotificationsConfig = quiet
		return redis.NewClient(o), nil
	}
}

// bound sets what the URL left open.
func bound(dial, read, write, wait *time.Duration, size, dials *int) {
	*dial = cmp.Or(*dial, dialTimeout)
	*read = cmp.Or(*read, ioTimeout)
	*write = cmp.Or(*write, ioTimeout)
	*wait = cmp.Or(*wait, poolTimeout)
	*size = cmp.Or(*size, poolSize)
	*dials = cmp.Or(*dials, 1) // commands are tried again anyway
}

// Client is for the other users of Redis: pub/sub, throttles.
func (r *Redis) Client() redis.UniversalClient { return r.client }

// Embedded reports whether this is the in-process Redis.
func (r *Redis) Embedded() bool { return r.mini != nil }

// Ping returns an error where Redis does not answer.
func (r *Redis) Ping(ctx context.Context) error { return r.client.Ping(ctx).Err() }

// Close ends the connections and, where it is in this process, Redis itself
// with all it holds. A second Close does nothing.
func (r *Redis) Close() error {
	var err error
	r.once.Do(func() {
		err = r.client.Close()
		if r.mini != nil {
			close(r.quit)
			<-r.done
			r.mini.Close()
		}
	})
	return err
}
