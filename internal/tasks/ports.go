package tasks

import (
	"context"
	"time"
)

// Ticket is a task's place in a queue. A task may stand there twice, or no
// longer be wanted: the claim sorts it out.
type Ticket struct {
	Pair     Pair
	Priority Priority
	Task     string
	Attempt  int       // of the row when it was pushed; the claim asks for it
	Stamp    time.Time // equals the row's EnqueuedAt
	RunAt    time.Time // a future one is held back
	// First puts it at the head of its queue: its task has waited before, and
	// lost its worker. The stamp is the old one, so stamps still leave in order.
	First bool
	// Timeout is the task's, so that a claim need not read it first.
	Timeout time.Duration
}

// Queue hurries tasks to workers. Losing it costs time, never a task.
type Queue interface {
	// Admits reports whether tasks of this queue may be pushed at once; false
	// means that its window is full and refill will bring them.
	Admits(ctx context.Context, p Pair, pr Priority) bool
	// Push puts tickets into their queues and rings their doorbells.
	Push(ctx context.Context, ts ...Ticket) error
}

// Events tells people what happened; it never blocks and never fails.
type Events interface {
	TaskChanged(t Task)
	TaskProgress(t Task)
	TaskLogged(t Task, lines []LogLine)
}

// Workers reaches the sessions that run attempts, on whichever server they are.
type Workers interface {
	// Cancel asks the attempt's session to stop it; reason is one of
	// protocol's. A session that is gone is no error.
	Cancel(t Task, reason string)
	// Connected returns the ids of the workers connected for a group and kind.
	Connected(ctx context.Context, group, kind string) ([]string, error)
}

// TicketOf returns the ticket that stands for t as it is in the store.
func TicketOf(t Task) Ticket {
	return Ticket{
		Pair: t.Pair(), Priority: t.Priority, Task: t.ID, Attempt: t.Attempt,
		Stamp: t.EnqueuedAt, RunAt: t.RunAt, Timeout: t.Timeout,
	}
}

// Claimed is a task with what its worker needs.
type Claimed struct {
	Task       Task
	Input      []byte
	Checkpoint []byte // nil where no earlier attempt left one
}
