package queue

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/redis/go-redis/v9"
)

const (
	lookEvery   = 100 * time.Millisecond // at Redis, per queue
	lookTimeout = time.Second            // then the queue counts as full
	manyWindows = 4096                   // above it, those unused for windowIdle are forgotten
	windowIdle  = time.Minute
)

// window is what this server last knew of one queue's fill.
type window struct {
	mu     sync.Mutex // held while Redis is asked, so that one asks for all
	looked time.Time
	full   bool // marked overflowing, or Redis did not answer
	owed   bool // refused while Redis was away: the mark is still to be set
	length int  // pending at the last look, and what was pushed here since
}

func (w *window) pushed(n int) {
	w.mu.Lock()
	w.length += n
	w.mu.Unlock()
}

// forget makes the next Admits look.
func (w *window) forget() {
	w.mu.Lock()
	w.looked = time.Time{}
	w.mu.Unlock()
}

func (q *Queue) window(name string) *window {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[name]
	if w == nil {
		if len(q.windows) >= manyWindows {
			q.dropIdle()
		}
		w = &window{}
		q.windows[name] = w
	}
	return w
}

// dropIdle forgets windows that nobody looked at lately. One in use is skipped:
// waiting for it would hold up everybody.
func (q *Queue) dropIdle() {
	for name, w := range q.windows {
		if !w.mu.TryLock() {
			continue
		}
		if time.Since(w.looked) > windowIdle && !w.owed {
			delete(q.windows, name)
		}
		w.mu.Unlock()
	}
}

// Admits reports whether a task may be pushed; see tasks.Queue. A queue that
// has reached its limit is marked overflowing, for all servers, until a refill
// has found nothing left (MarkClear). While Redis is away nothing is admitted:
// the tasks wait in the store, and the mark is set when it is back.
func (q *Queue) Admits(ctx context.Context, p tasks.Pair, pr tasks.Priority) bool {
	name := Name(p, pr)
	w := q.window(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.looked) >= lookEvery || !w.full && w.length >= q.Window {
		q.look(ctx, name, w)
	}
	return !w.full
}

func (q *Queue) look(ctx context.Context, name string, w *window) {
	// One asks for all: that its own caller has left must not look like an outage.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	pipe := q.client.Pipeline()
	marked := pipe.Exists(ctx, ownKey(name, "overflow"))
	pending := pipe.LLen(ctx, key(name, "pending"))
	_, err := pipe.Exec(ctx)
	w.looked = time.Now()
	if err != nil {
		w.full, w.owed = true, true
		q.log.DebugContext(ctx, "queue does not answer", "error", err)
		return
	}
	w.length = int(pending.Val()) // what is scheduled must not close the queue to what is due
	w.full = marked.Val() == 1
	if !w.full && (w.owed || w.length >= q.Window) {
		w.full = true
		err = q.client.Set(ctx, ownKey(name, "overflow"), 1, 0).Err()
	}
	w.owed = err != nil
}

// MarkClear takes the overflow mark away: pushes go to the queue again.
func (q *Queue) MarkClear(ctx context.Context, p tasks.Pair, pr tasks.Priority) error {
	name := Name(p, pr)
	err := q.client.Del(ctx, ownKey(name, "overflow")).Err()
	q.window(name).forget()
	return err
}

// State is what Redis knows of one queue.
type State struct {
	Len      int  // entries that could be taken now
	Overflow bool // marked: submits only insert
	Paused   bool
}

// Low reports whether a refill may add to an overflowing queue.
func (q *Queue) Low(s State) bool { return s.Len < q.Window/2 }

// States asks for all queues of a pair in one round trip.
func (q *Queue) States(ctx context.Context, p tasks.Pair) ([Lanes]State, error) {
	var (
		out           [Lanes]State
		marks, pauses [Lanes]*redis.IntCmd
		lens          [Lanes]*redis.IntCmd
		pipe          = q.client.Pipeline()
	)
	for i, pr := range tasks.Priorities {
		name := Name(p, pr)
		lens[i] = pipe.LLen(ctx, key(name, "pending"))
		marks[i] = pipe.Exists(ctx, ownKey(name, "overflow"))
		pauses[i] = pipe.Exists(ctx, key(name, "paused"))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return out, err
	}
	for i := range out {
		out[i] = State{Len: int(lens[i].Val()), Overflow: marks[i].Val() == 1, Paused: pauses[i].Val() == 1}
	}
	return out, nil
}

// Pause holds a queue's entries back, on all servers.
func (q *Queue) Pause(ctx context.Context, p tasks.Pair, pr tasks.Priority) error {
	return q.client.SetNX(ctx, key(Name(p, pr), "paused"), time.Now().Unix(), 0).Err()
}

// Resume ends Pause and rings.
func (q *Queue) Resume(ctx context.Context, p tasks.Pair, pr tasks.Priority) error {
	if err := q.client.Del(ctx, key(Name(p, pr), "paused")).Err(); err != nil {
		return err
	}
	return q.Ring(ctx, p, pr)
}

// Refills of one queue, over all servers: one at a time, at most one a second.
const (
	refillLock  = 2 * time.Second // the holder must be done by then
	refillEvery = time.Second
)

// releaseRefill ends the lock KEYS[1] after ARGV[2] ms, unless it is another's by
// now: its value is not ARGV[1].
var releaseRefill = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
if tonumber(ARGV[2]) <= 0 then
	return redis.call('DEL', KEYS[1])
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`)

// RefillLock takes the right to refill a queue; ok is false where another has
// it, or took it less than a second ago. The holder calls release when done.
func (q *Queue) RefillLock(ctx context.Context, p tasks.Pair, pr tasks.Priority) (release func(), ok bool, err error) {
	lock, ours, began := ownKey(Name(p, pr), "refill"), rand.Text(), time.Now()
	ok, err = q.client.SetNX(ctx, lock, ours, refillLock).Result()
	return func() {
		rest := refillEvery - time.Since(began)
		if err := releaseRefill.Run(context.WithoutCancel(ctx), q.client, []string{lock}, ours, rest.Milliseconds()).Err(); err != nil {
			q.log.DebugContext(ctx, "refill lock not released, it expires", "error", err)
		}
	}, ok, err
}

// NextDelayed returns when the earliest delayed entry of a pair is due, zero
// for none.
func (q *Queue) NextDelayed(ctx context.Context, p tasks.Pair) (time.Time, error) {
	var firsts []*redis.ZSliceCmd
	pipe := q.client.Pipeline()
	for _, pr := range tasks.Priorities {
		for _, set := range []string{"scheduled", "retry"} {
			firsts = append(firsts, pipe.ZRangeWithScores(ctx, key(Name(p, pr), set), 0, 0))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return time.Time{}, err
	}
	var next time.Time
	for _, f := range firsts {
		for _, z := range f.Val() {
			if at := time.Unix(int64(z.Score), 0); next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	return next, nil
}
