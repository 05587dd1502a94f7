package queue

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// batch stands in for Redis while an asynq client enqueues: it takes what
// asynq's scripts would write and writes it all in one round trip. The scripts
// themselves are one round trip each, and an in-process Redis needs 0.2 ms for
// any script. What they add is a check that the id is not taken; ours are fresh.
//
// An asynq client of its own for each batch also names the queue in
// asynq:queues each time; one kept would not do so again after FLUSHALL.
type batch struct {
	redis.UniversalClient // never called: Enqueue only uses the methods below
	tx                    redis.Pipeliner
	first                 bool // what comes now goes to the head of its queue
}

func newBatch(c redis.UniversalClient) *batch { return &batch{tx: c.TxPipeline()} }

// flush writes everything; per queue all of it or nothing.
func (b *batch) flush(ctx context.Context) error {
	_, err := b.tx.Exec(ctx)
	return err
}

// SAdd notes the queue's name.
func (b *batch) SAdd(ctx context.Context, key string, members ...any) *redis.IntCmd {
	b.tx.SAdd(ctx, key, members...)
	return redis.NewIntCmd(ctx)
}

// EvalSha notes what the script would write; a script that it does not know, of
// another release of asynq, is an error.
func (b *batch) EvalSha(ctx context.Context, _ string, keys []string, args ...any) *redis.Cmd {
	reply := redis.NewCmd(ctx)
	script, _ := Recognize(keys)
	switch {
	case script == enqueueNow && len(args) == 3: // message, id, now
		b.tx.HSet(ctx, keys[0], "msg", args[0], "state", "pending", "pending_since", args[2])
		if b.first {
			b.tx.RPush(ctx, keys[1], args[1])
		} else {
			b.tx.LPush(ctx, keys[1], args[1])
		}
	case script == enqueueLater && len(args) == 3: // message, due, id
		due, ok := args[1].(int64)
		if !ok {
			reply.SetErr(fmt.Errorf("queue: asynq schedules at a %T", args[1]))
			return reply
		}
		b.tx.HSet(ctx, keys[0], "msg", args[0], "state", "scheduled")
		b.tx.ZAdd(ctx, keys[1], redis.Z{Score: float64(due), Member: args[2]})
	default:
		reply.SetErr(fmt.Errorf("queue: asynq runs an unknown script on %q", keys))
		return reply
	}
	reply.SetVal(int64(1))
	return reply
}
