package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/hibiken/asynq"
)

// errAgain brings an entry back after retryDelay. It counts as no failure, so
// asynq never gives an entry up.
var errAgain = errors.New("dispatch: again in a second")

const retryDelay = time.Second

// handle is asynq's handler: claim for the slot that was reserved before the
// entry left Redis, send `assign`, done. Running is ours to track, not asynq's.
func (c *consumer) handle(ctx context.Context, t *asynq.Task) error {
	id, _ := asynq.GetTaskID(ctx)
	name, _ := asynq.GetQueueName(ctx)
	slot, ok := c.gate.slotOf(id)
	if !ok {
		return errAgain // it did not come through the gate
	}
	lane := c.laneOf(name)
	tk, err := queue.Decode(c.pair, tasks.Priorities[lane], t.Payload())
	if err != nil {
		slot.Release()
		c.log.ErrorContext(ctx, "entry dropped", "error", err)
		return nil
	}
	c.stamps.out(lane, tk.Stamp)
	slot.Claiming(tk.Task, tk.Attempt+1)
	claimed, ok, err := c.tasks.Claim(ctx, tk, slot.Owner())
	if err != nil || !ok {
		slot.Release()
		if err != nil {
			c.log.WarnContext(ctx, "claim", "task_id", tk.Task, "error", err)
			return errAgain
		}
		return nil
	}
	if err := slot.Assign(claimed.Task, claimed.Input, claimed.Checkpoint); err != nil {
		// Should this fail too, failover finds a task that no session knows.
		if err := c.tasks.Unclaim(ctx, claimed.Task); err != nil {
			c.log.WarnContext(ctx, "claim not taken back", "task_id", tk.Task, "error", err)
		}
	}
	return nil
}

// laneOf tells which of the pair's queues has a name.
func (c *consumer) laneOf(name string) int {
	for i, pr := range tasks.Priorities {
		if queue.Name(c.pair, pr) == name {
			return i
		}
	}
	return 0
}
