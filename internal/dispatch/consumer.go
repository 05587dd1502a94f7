package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/hibiken/asynq"
)

// consumer is one asynq server for the queues of one pair, with what belongs to
// it: its gate, refill and age audit.
type consumer struct {
	pair  tasks.Pair
	queue *queue.Queue
	tasks Tasks
	times times
	log   *slog.Logger

	gate   *gate
	server *asynq.Server
	stamps stamps
	asked  [queue.Lanes]time.Time // when refill last looked at a queue

	ctx  context.Context // of its goroutines
	end  context.CancelFunc
	wg   sync.WaitGroup
	once sync.Once
	gone chan struct{} // closed when all is stopped
}

// Of asynq: handlers end within a claim and a send, so a stop needs no patience.
const (
	handlers        = 256 // at once, per pair
	checkInterval   = time.Millisecond
	delayedInterval = 500 * time.Millisecond
	shutdownTimeout = 2 * time.Second
	never           = 24 * time.Hour // for asynq's parts without use here
)

func newConsumer(d *Dispatcher, p tasks.Pair) *consumer {
	c := &consumer{
		pair: p, queue: d.queue, tasks: d.tasks, times: d.times,
		log:  d.log.With("group_id", p.Group, "kind", p.Kind),
		gone: make(chan struct{}),
	}
	c.gate = newGate(d.queue, d.slots, p, d.times, c.log)
	c.ctx, c.end = context.WithCancel(context.Background())
	weighted := make(map[string]int, queue.Lanes)
	for i, pr := range tasks.Priorities {
		weighted[queue.Name(p, pr)] = weights[i]
	}
	c.server = asynq.NewServerFromRedisClient(c.gate, asynq.Config{
		Concurrency: handlers, Queues: weighted,
		TaskCheckInterval: checkInterval, DelayedTaskCheckInterval: delayedInterval,
		ShutdownTimeout: shutdownTimeout, JanitorInterval: never,
		IsFailure:      func(error) bool { return false },
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return retryDelay },
		// Asynq fails a message without its handler if that was due long ago.
		ErrorHandler: asynq.ErrorHandlerFunc(func(ctx context.Context, _ *asynq.Task, _ error) {
			id, _ := asynq.GetTaskID(ctx)
			if slot, ok := c.gate.slotOf(id); ok {
				slot.Release()
			}
		}),
		Logger: quietLogger{c.log},
	})
	return c
}

// start runs until stop; retire is asked every tick whether to stop, and then
// has forgotten the consumer.
func (c *consumer) start(retire func(*consumer) bool) error {
	if err := c.server.Start(asynq.HandlerFunc(c.handle)); err != nil {
		return err
	}
	c.wg.Go(func() { c.watch(retire) })
	c.wg.Go(c.keepFilled)
	c.wg.Go(func() { c.gate.finisher.run(c.ctx) })
	return nil
}

// watch looks after the gate's buffer and the consumer's end.
func (c *consumer) watch(retire func(*consumer) bool) {
	tick := time.NewTicker(c.times.tick)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		c.gate.returnStale()
		if retire(c) {
			return
		}
	}
}

// keepFilled runs refill and age audit.
func (c *consumer) keepFilled() {
	tick := time.NewTicker(c.times.tick)
	defer tick.Stop()
	audit := time.NewTicker(c.times.audit)
	defer audit.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.gate.dry:
			c.refill(c.ctx)
		case <-tick.C:
			c.refill(c.ctx)
		case <-audit.C:
			c.auditAge(c.ctx)
		}
	}
}

// stop returns when nothing of the consumer runs any more. The order matters:
// asynq cannot be interrupted inside a dequeue, so the gate is closed first.
func (c *consumer) stop() {
	c.once.Do(func() {
		c.end()
		c.gate.close()
		c.server.Shutdown()
		c.gate.leftover()
		c.wg.Wait()
		c.gate.finisher.flush(context.Background())
		close(c.gone)
	})
	<-c.gone
}
