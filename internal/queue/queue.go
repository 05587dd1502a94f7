package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Windows of docs/state-machine.md: entries that one queue holds at most.
const (
	EmbeddedWindow = 10_000
	RedisWindow    = 100_000
)

// Queue implements tasks.Queue. It is safe for concurrent use.
type Queue struct {
	// Window is how many entries one queue holds at most. New sets it; change it
	// before use only.
	Window int

	client redis.UniversalClient
	log    *slog.Logger

	mu      sync.Mutex
	windows map[string]*window // by queue name
	next    *pushing           // what the next push to Redis takes along; nil: nothing yet

	turn chan struct{} // full while somebody pushes
}

// pushing is one push to Redis, of all who came while the one before was under way.
type pushing struct {
	tickets []tasks.Ticket
	done    chan struct{} // closed once err is known
	err     error
}

var _ tasks.Queue = (*Queue)(nil)

// New returns the queues on r.
func New(r *Redis, logger *slog.Logger) *Queue {
	q := &Queue{client: r.Client(), Window: RedisWindow, log: logger, windows: map[string]*window{}, turn: make(chan struct{}, 1)}
	if r.Embedded() {
		q.Window = EmbeddedWindow
	}
	return q
}

// Client is the connection that consumers share.
func (q *Queue) Client() redis.UniversalClient { return q.client }

// taskType is the asynq type of every entry.
const taskType = "task"

// entry is what stands in a queue; times in Unix milliseconds, for brevity.
type entry struct {
	Task    string `json:"task"`
	Attempt int    `json:"attempt"`
	Stamp   int64  `json:"enqueued_at"`
	RunAt   int64  `json:"run_at"`
	Timeout int64  `json:"timeout_ms"`
}

// Decode returns the ticket that an entry of (p, pr) stands for.
func Decode(p tasks.Pair, pr tasks.Priority, payload []byte) (tasks.Ticket, error) {
	var e entry
	if err := json.Unmarshal(payload, &e); err != nil {
		return tasks.Ticket{}, fmt.Errorf("queue entry: %w", err)
	}
	return tasks.Ticket{
		Pair: p, Priority: pr, Task: e.Task, Attempt: e.Attempt,
		Stamp: time.UnixMilli(e.Stamp).UTC(), RunAt: time.UnixMilli(e.RunAt).UTC(),
		Timeout: time.Duration(e.Timeout) * time.Millisecond,
	}, nil
}

// dueSecond rounds up to whole seconds: asynq cuts the fraction off, and would
// hand a task out up to a second before its time.
func dueSecond(t time.Time) time.Time {
	if s := t.Truncate(time.Second); !s.Equal(t) {
		return s.Add(time.Second)
	}
	return t
}

const (
	portion  = 500             // entries that go to Redis in one transaction
	pushTime = 2 * time.Second // then Redis counts as away: others wait behind who pushes
)

// Push puts tickets into their queues, each under a fresh asynq id, and rings
// the doorbell of every queue once. Callers at the same time share a round trip, and
// an error; after one some may be in.
func (q *Queue) Push(ctx context.Context, ts ...tasks.Ticket) error {
	p := q.join(ts)
	select {
	case <-p.done:
		return p.err
	case q.turn <- struct{}{}:
	}
	defer func() { <-q.turn }()
	select {
	case <-p.done: // by who had the turn before
	default:
		q.mu.Lock()
		q.next = nil // p: only who has the turn takes it away, and then p is done
		q.mu.Unlock()
		p.err = q.pushAll(ctx, p.tickets)
		close(p.done)
	}
	return p.err
}

// join adds tickets to the next push.
func (q *Queue) join(ts []tasks.Ticket) *pushing {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == nil {
		q.next = &pushing{done: make(chan struct{})}
	}
	q.next.tickets = append(q.next.tickets, ts...)
	return q.next
}

func (q *Queue) pushAll(ctx context.Context, ts []tasks.Ticket) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pushTime) // the tasks are accepted, whether or not somebody waits
	defer cancel()
	for portion := range slices.Chunk(ts, portion) {
		if err := q.pushPortion(ctx, portion); err != nil {
			return fault.Away(err, "queue_unavailable", "Redis does not answer.")
		}
	}
	return nil
}

func (q *Queue) pushPortion(ctx context.Context, ts []tasks.Ticket) error {
	b := newBatch(q.client)
	client := asynq.NewClientFromRedisClient(b)
	now := time.Now()
	bells := bells{}
	for _, t := range ts {
		payload, err := json.Marshal(entry{t.Task, t.Attempt, t.Stamp.UnixMilli(), t.RunAt.UnixMilli(), t.Timeout.Milliseconds()})
		if err != nil {
			return err
		}
		name, due := Name(t.Pair, t.Priority), dueSecond(t.RunAt)
		opts := []asynq.Option{asynq.Queue(name), asynq.MaxRetry(1)}
		var at time.Time
		if t.RunAt.After(now) {
			at = due
			opts = append(opts, asynq.ProcessAt(due))
		}
		b.first = t.First
		if _, err := client.EnqueueContext(ctx, asynq.NewTask(taskType, payload), opts...); err != nil {
			return err
		}
		if at.IsZero() {
			q.window(name).pushed(1)
		}
		bells.add(t.Pair, t.Priority, at)
	}
	wakes := bells.wakes()
	if b.cluster { // the channel has no node
		if err := b.flush(ctx); err != nil {
			return err
		}
		return q.ring(ctx, wakes...)
	}
	for _, w := range wakes {
		b.tx("").Publish(ctx, channel, w.String())
	}
	return b.flush(ctx)
}
