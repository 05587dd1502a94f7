package queue

import (
	"context"
	"fmt"
	"strings"

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
	redis.UniversalClient // only TxPipeline is called: Enqueue uses the methods below
	txs                   []redis.Pipeliner
	bySlot                map[string]redis.Pipeliner
	cluster               bool
	first                 bool // what comes now goes to the head of its queue
}

func newBatch(c redis.UniversalClient) *batch {
	_, cluster := c.(*redis.ClusterClient)
	return &batch{UniversalClient: c, bySlot: make(map[string]redis.Pipeliner), cluster: cluster}
}

// tx is the transaction that key is written in: one for everything, on a cluster
// one for each queue, whose keys are on one node.
func (b *batch) tx(key string) redis.Pipeliner {
	slot := ""
	if b.cluster {
		slot = hashTag(key)
	}
	tx := b.bySlot[slot]
	if tx == nil {
		tx = b.TxPipeline()
		b.bySlot[slot] = tx
		b.txs = append(b.txs, tx)
	}
	return tx
}

// flush writes everything; per queue all of it or nothing.
func (b *batch) flush(ctx context.Context) error {
	for _, tx := range b.txs { // the names of queues are asked for first, and so written first
		if _, err := tx.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hashTag is the part of a key that says which node has it.
func hashTag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	tag, _, _ := strings.Cut(rest, "}")
	return tag
}

// SAdd notes the queue's name.
func (b *batch) SAdd(ctx context.Context, key string, members ...any) *redis.IntCmd {
	b.tx(key).SAdd(ctx, key, members...)
	return redis.NewIntCmd(ctx)
}

// EvalSha notes what the script would write; a script that it does not know, of
// another release of asynq, is an error.
func (b *batch) EvalSha(ctx context.Context, _ string, keys []string, args ...any) *redis.Cmd {
	reply := redis.NewCmd(ctx)
	script, _ := Recognize(keys)
	tx := b.tx(keys[0])
	switch {
	case script == enqueueNow && len(args) == 3: // message, id, now
		tx.HSet(ctx, keys[0], "msg", args[0], "state", "pending", "pending_since", args[2])
		if b.first {
			tx.RPush(ctx, keys[1], args[1])
		} else {
			tx.LPush(ctx, keys[1], args[1])
		}
	case script == enqueueLater && len(args) == 3: // message, due, id
		due, ok := args[1].(int64)
		if !ok {
			reply.SetErr(fmt.Errorf("queue: asynq schedules at a %T", args[1]))
			return reply
		}
		tx.HSet(ctx, keys[0], "msg", args[0], "state", "scheduled")
		tx.ZAdd(ctx, keys[1], redis.Z{Score: float64(due), Member: args[2]})
	default:
		reply.SetErr(fmt.Errorf("queue: asynq runs an unknown script on %q", keys))
		return reply
	}
	reply.SetVal(int64(1))
	return reply
}
