package dispatch

import (
	"context"
	"log/slog"
	"sync"

	"github.com/firmlight/firmlight/internal/queue"
)

// finisher forgets handled entries in Redis, many in one round trip: whatever
// has come while the last round trip was under way. Asynq's handlers do not wait
// for it. An entry that a crash leaves behind comes again when its lease has run
// out, and its claim is refused.
type finisher struct {
	queue *queue.Queue
	log   *slog.Logger
	more  chan struct{} // has one when waiting may hold something

	mu      sync.Mutex // guards waiting
	waiting []queue.Handled
}

// maxFinish is how many entries one round trip forgets.
const maxFinish = 256

func newFinisher(q *queue.Queue, log *slog.Logger) *finisher {
	return &finisher{queue: q, log: log, more: make(chan struct{}, 1)}
}

func (f *finisher) add(h queue.Handled) {
	f.mu.Lock()
	f.waiting = append(f.waiting, h)
	f.mu.Unlock()
	signal(f.more)
}

// run works until ctx ends; flush does what is left then.
func (f *finisher) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.more:
			f.flush(ctx)
		}
	}
}

func (f *finisher) flush(ctx context.Context) {
	for {
		f.mu.Lock()
		n := min(len(f.waiting), maxFinish)
		now := f.waiting[:n:n]
		f.waiting = f.waiting[n:]
		f.mu.Unlock()
		if n == 0 {
			return
		}
		if err := f.queue.Finish(context.WithoutCancel(ctx), now...); err != nil {
			f.log.DebugContext(ctx, "handled entries stay until their leases end", "entries", n, "error", err)
			return
		}
	}
}
