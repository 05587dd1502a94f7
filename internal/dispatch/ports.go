// Package dispatch brings tasks from their queues to free slots of this
// server's workers: docs/state-machine.md, "From queued to a worker" and "The
// gate".
package dispatch

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// Tasks is what dispatch needs of the task service.
type Tasks interface {
	// Claim runs the durable claim. ok is false where the ticket is no longer
	// wanted, or came before its time and was pushed again. An error means that
	// the store is away.
	Claim(ctx context.Context, tk tasks.Ticket, o tasks.Owner) (c tasks.Claimed, ok bool, err error)
	// Unclaim takes back a claim whose session went before its `assign`, and
	// pushes the task again.
	Unclaim(ctx context.Context, t tasks.Task) error
	// Refill stamps and pushes up to limit waiting tasks of one queue: those that
	// overflow kept out (never stamped), and with stampedBefore also due ones
	// stamped before it. It returns how many.
	Refill(ctx context.Context, p tasks.Pair, pr tasks.Priority, stampedBefore time.Time, limit int) (int, error)
	// Restamp is Refill without those never stamped.
	Restamp(ctx context.Context, p tasks.Pair, pr tasks.Priority, stampedBefore time.Time, limit int) (int, error)
	// DuePairs returns the pairs with waiting tasks among groups × kinds.
	DuePairs(ctx context.Context, groups, kinds []string) ([]tasks.DuePair, error)
	// Paused returns the queues (pairs without target) that nothing may leave.
	Paused(ctx context.Context) ([]tasks.Pair, error)
}

// Slot is one reserved place of a session.
type Slot interface {
	// Owner is whom the claim is for.
	Owner() tasks.Owner
	// Claiming notes the attempt that the claim is about to make.
	Claiming(task string, attempt int)
	// Assign sends a claimed task to the worker; an error means that its session
	// has gone. Either way the slot is no longer ours.
	Assign(t tasks.Task, input, checkpoint []byte) error
	// Release gives an unused slot back.
	Release()
}

// Slots is the scheduler of this server's sessions. Its methods are called from
// many goroutines, and must not call the Dispatcher.
type Slots interface {
	// Reserve waits for a free slot for p and takes up to max. Without an error
	// there is at least one.
	Reserve(ctx context.Context, p tasks.Pair, max int) ([]Slot, error)
	// Serves reports whether a session takes p, be it busy.
	Serves(p tasks.Pair) bool
	// Kinds returns what is served now: group → kinds.
	Kinds() map[string][]string
}

// Hub is Slots with slots of a type of its own, as workers.Hub has them.
type Hub[S Slot] interface {
	Reserve(ctx context.Context, p tasks.Pair, max int) ([]S, error)
	Serves(p tasks.Pair) bool
	Kinds() map[string][]string
}

// SlotsOf makes a hub's slots ours.
func SlotsOf[S Slot](h Hub[S]) Slots { return hubSlots[S]{h} }

type hubSlots[S Slot] struct{ Hub[S] }

func (h hubSlots[S]) Reserve(ctx context.Context, p tasks.Pair, max int) ([]Slot, error) {
	got, err := h.Hub.Reserve(ctx, p, max)
	slots := make([]Slot, len(got))
	for i, s := range got {
		slots[i] = s
	}
	return slots, err
}
