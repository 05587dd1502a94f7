package metrics

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// StoreRead takes how long the store took to read something.
func (m *Metrics) StoreRead(took time.Duration) { m.reads.Observe(took.Seconds()) }

// StoreCommit takes how long the store took to make writes durable.
func (m *Metrics) StoreCommit(took time.Duration) { m.commits.Observe(took.Seconds()) }

// Redis returns what measures a client's round trips: add it before the first
// use of the client. A pipeline counts as one, a subscription not at all.
func (m *Metrics) Redis() redis.Hook { return redisTimer{m} }

type redisTimer struct{ m *Metrics }

// DialHook implements redis.Hook.
func (redisTimer) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (t redisTimer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		t.observe(began, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (t redisTimer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		t.observe(began, err)
		return err
	}
}

// observe counts a refusal in reply (a script that it does not know, a key that
// is not there) as an answer, and what its caller gave up as nothing.
func (t redisTimer) observe(began time.Time, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	var reply redis.Error
	t.m.redis[err == nil || errors.As(err, &reply)].Observe(time.Since(began).Seconds())
}
