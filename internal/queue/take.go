package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/redis/go-redis/v9"
)

// lease is how long an entry taken out is ours: asynq's own duration.
const lease = 30 * time.Second

// Entry is what was taken out of a queue.
type Entry struct {
	ID      string // asynq's, fresh for each push
	Message string // asynq's encoding
	Lane    int
}

// Taken is one queue's answer. With Left 0 or Paused there is nothing more to
// take now.
type Taken struct {
	Entries []Entry
	Left    int
	Paused  bool
}

// takeScript is asynq's dequeue script (0.26), several times over: pending,
// paused, active, lease; lease's end, prefix of the entries' keys, how many. It
// answers paused, what is left, and pairs of id and message. An id without its
// entry (which asynq would leave in active for good) is dropped.
var takeScript = redis.NewScript(`
if redis.call("EXISTS", KEYS[2]) == 1 then
	return {1, 0}
end
local out = {0, 0}
local want = tonumber(ARGV[3])
while want > 0 do
	local id = redis.call("RPOPLPUSH", KEYS[1], KEYS[3])
	if not id then
		return out
	end
	local msg = redis.call("HGET", ARGV[2] .. id, "msg")
	if msg then
		redis.call("HSET", ARGV[2] .. id, "state", "active")
		redis.call("HDEL", ARGV[2] .. id, "pending_since")
		redis.call("ZADD", KEYS[4], ARGV[1], id)
		table.insert(out, id)
		table.insert(out, msg)
		want = want - 1
	else
		redis.call("LREM", KEYS[3], 1, id)
	end
end
out[2] = redis.call("LLEN", KEYS[1])
return out`)

// Take takes up to want entries out of each of a pair's queues in one round
// trip and leases them. Queues with want 0 are not asked. With an error, what
// other queues gave is returned all the same.
func (q *Queue) Take(ctx context.Context, p tasks.Pair, want [Lanes]int) ([Lanes]Taken, error) {
	var out [Lanes]Taken
	replies, err := q.runTake(ctx, p, want, func(pipe redis.Pipeliner, keys []string, args ...any) *redis.Cmd {
		return takeScript.EvalSha(ctx, pipe, keys, args...)
	})
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		var again [Lanes]int
		for i, r := range replies {
			if r != nil && redis.HasErrorPrefix(r.Err(), "NOSCRIPT") {
				again[i] = want[i]
			}
		}
		var second [Lanes]*redis.Cmd
		second, _ = q.runTake(ctx, p, again, func(pipe redis.Pipeliner, keys []string, args ...any) *redis.Cmd {
			return takeScript.Eval(ctx, pipe, keys, args...)
		})
		for i, r := range second {
			if r != nil {
				replies[i] = r
			}
		}
	}
	var errs []error
	for i, r := range replies {
		if r == nil {
			continue
		}
		if out[i], err = parseTaken(r, i); err != nil {
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

type eval func(pipe redis.Pipeliner, keys []string, args ...any) *redis.Cmd

func (q *Queue) runTake(ctx context.Context, p tasks.Pair, want [Lanes]int, run eval) ([Lanes]*redis.Cmd, error) {
	var replies [Lanes]*redis.Cmd
	pipe := q.client.Pipeline()
	until := time.Now().Add(lease).Unix()
	for i, n := range want {
		if n > 0 {
			name := Name(p, tasks.Priorities[i])
			replies[i] = run(pipe, keysOf(name), until, key(name, "t:"), n)
		}
	}
	_, err := pipe.Exec(ctx)
	return replies, err
}

func parseTaken(r *redis.Cmd, lane int) (Taken, error) {
	reply, err := r.Slice()
	if err != nil {
		return Taken{}, err
	}
	bad := fmt.Errorf("queue: take answers %v", reply)
	if len(reply) < 2 || len(reply)%2 != 0 {
		return Taken{}, bad
	}
	paused, ok1 := reply[0].(int64)
	left, ok2 := reply[1].(int64)
	if !ok1 || !ok2 {
		return Taken{}, bad
	}
	t := Taken{Paused: paused == 1, Left: int(left)}
	for pair := range slices.Chunk(reply[2:], 2) {
		id, ok1 := pair[0].(string)
		msg, ok2 := pair[1].(string)
		if !ok1 || !ok2 {
			return Taken{}, bad
		}
		t.Entries = append(t.Entries, Entry{ID: id, Message: msg, Lane: lane})
	}
	return t, nil
}

// putBackScript is asynq's requeue script, several times over: active, lease,
// pending; prefix of the entries' keys, ids. Entries leave a queue on the
// right. What is no longer ours (FLUSHALL, an expired lease) is left alone.
var putBackScript = redis.NewScript(`
local n = 0
for i = 2, #ARGV do
	if redis.call("LREM", KEYS[1], 1, ARGV[i]) == 1 then
		redis.call("ZREM", KEYS[2], ARGV[i])
		redis.call("RPUSH", KEYS[3], ARGV[i])
		redis.call("HSET", ARGV[1] .. ARGV[i], "state", "pending")
		n = n + 1
	end
end
return n`)

// PutBack returns entries to the head of their queues, in the order in which
// they were taken, and rings.
func (q *Queue) PutBack(ctx context.Context, p tasks.Pair, es []Entry) error {
	var (
		errs []error
		rung []tasks.Priority
	)
	for lane, pr := range tasks.Priorities {
		name := Name(p, pr)
		args := []any{key(name, "t:")}
		for _, e := range slices.Backward(es) { // the oldest last, so that it is next again
			if e.Lane == lane {
				args = append(args, e.ID)
			}
		}
		if len(args) == 1 {
			continue
		}
		keys := []string{key(name, "active"), key(name, "lease"), key(name, "pending")}
		errs = append(errs, putBackScript.Run(ctx, q.client, keys, args...).Err())
		rung = append(rung, pr)
	}
	if len(rung) > 0 {
		errs = append(errs, q.Ring(ctx, p, rung...))
	}
	return errors.Join(errs...)
}

// Handled is an entry that left its queue and was handled.
type Handled struct {
	Queue string // its name
	ID    string
}

// Finish forgets entries that were handled, in one round trip. Asynq's own
// script takes one for each, counts them, and complains about those that are
// gone; nobody needs any of it.
func (q *Queue) Finish(ctx context.Context, done ...Handled) error {
	_, err := q.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, d := range done {
			p.LRem(ctx, key(d.Queue, "active"), 1, d.ID)
			p.ZRem(ctx, key(d.Queue, "lease"), d.ID)
			p.Del(ctx, key(d.Queue, "t:"+d.ID))
		}
		return nil
	})
	return err
}
