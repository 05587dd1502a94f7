package tasks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/firmlight/firmlight/internal/background"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/workload"
)

// Deps are what a Service stands on.
type Deps struct {
	Store    Store
	Payloads Payloads
	Counts   StatsStore
	Queues   QueueStore
	Queue    Queue
	Events   Events
	Workers  Workers
	Kinds    map[string]workload.Kind // built-in kinds, for split and reduce
	Server   string                   // id of this process
	Logger   *slog.Logger
	// GroupExists returns a fault of kind NotFound for a group that is gone.
	GroupExists func(ctx context.Context, group string) error
	// PausesChanged is told after queues were paused or resumed here; it does not
	// block. Nil: nobody waits for it.
	PausesChanged func()
}

// Service carries tasks through their life. Every decision is a compare-and-set
// in the store; what follows from one (events, queue, parent) is hurried here
// and healed by the sweeps.
type Service struct {
	Deps
	parents  *parents
	progress *progressBook
	submits  *semaphore.Weighted // counts tasks, see submitPortion
	turns    lag                 // of submits: until they had their turn
	pushes   lag                 // from insert to queue
	loops    background.Loops
}

// NewService returns a Service that must be started before use.
func NewService(d Deps) *Service {
	s := &Service{Deps: d, progress: newProgressBook(), submits: semaphore.NewWeighted(submitPortion)}
	s.parents = newParents(s)
	return s
}

// Start runs the background parts: parents and the progress book.
func (s *Service) Start(ctx context.Context) error {
	s.loops.Start(ctx, s.parents.run, background.Every(progressEvery, s.keepProgress))
	return nil
}

// Stop ends the background parts; what they left undone the sweeps of another
// server, or of the next start, take up.
func (s *Service) Stop(context.Context) error {
	s.loops.Stop()
	return nil
}

// now is the clock of transitions: UTC, whole milliseconds, as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// retries of a decision that others keep overtaking.
const maxOvertaken = 5

// decide applies the transition that choose picks for t. Where somebody was
// faster it reads the task again and lets choose look anew; choose says false
// when there is nothing left to do.
func (s *Service) decide(ctx context.Context, t Task, choose func(Task) (Transition, bool)) (Task, bool, error) {
	if err := ctx.Err(); err != nil {
		return t, false, err
	}
	ctx = context.WithoutCancel(ctx) // what is done is told, and pushed, also if the caller leaves meanwhile
	for range maxOvertaken {
		tr, want := choose(t)
		if !want {
			return t, false, nil
		}
		if !t.IsParent() {
			tr.From = &t
		}
		after, ok, err := s.Store.Apply(ctx, tr)
		if err != nil || ok {
			if ok {
				s.settle(ctx, after)
			}
			return after, ok, err
		}
		if t, err = s.Store.Get(ctx, t.ID); err != nil {
			return t, false, err
		}
	}
	return t, false, nil
}

// settle does what follows from a transition: people hear of it, a queued task
// goes to its queue, an ended part moves its parent.
func (s *Service) settle(ctx context.Context, t Task) {
	s.Events.TaskChanged(t)
	switch {
	case t.IsParent():
		if t.Phase != NoPhase {
			s.parents.kick(t.ID)
		}
	case t.Status == Queued || t.Status == Scheduled:
		ticket := TicketOf(t)
		// Only a loss leaves the run_at later than the stamp: others stamp anew.
		ticket.First = t.EnqueuedAt.Before(t.RunAt)
		s.pushTickets(ctx, ticket)
	}
	if t.Status.Ended() {
		s.progress.forget(t.ID)
		if t.Parent != "" {
			s.parents.kick(t.Parent)
		}
	}
}

// push hurries tasks; where Redis is away, refill brings them later.
func (s *Service) push(ctx context.Context, ts ...Task) {
	tickets := make([]Ticket, len(ts))
	for i, t := range ts {
		tickets[i] = TicketOf(t)
	}
	s.pushTickets(ctx, tickets...)
}

func (s *Service) pushTickets(ctx context.Context, ts ...Ticket) {
	if len(ts) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx) // a caller that leaves does not hold up its tasks
	began := time.Now()
	err := s.Queue.Push(ctx, ts...)
	if err == nil {
		s.pushes.note(began) // an absent Redis is no reason to refuse what the store can keep
		return
	}
	s.Logger.WarnContext(ctx, "tasks wait for refill: queue not reachable", "tasks", len(ts), "error", err)
}

// stampFor returns the stamp of a task that is to be pushed: its run_at if that
// lies ahead, else now; zero where the queue's window is full.
func (s *Service) stampFor(ctx context.Context, t Task, now time.Time) time.Time {
	if t.RunAt.After(now) {
		return t.RunAt
	}
	if !s.Queue.Admits(ctx, t.Pair(), t.Priority) {
		return time.Time{}
	}
	return now
}

// ignoreNotFound is for sweeps that race a deletion.
func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// isStoreFault reports whether an error is the store's, not the task's.
func isStoreFault(err error) bool {
	return fault.KindOf(err) == fault.Unavailable || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// lag remembers how long something took the last time.
type lag struct {
	mu    sync.Mutex
	took  time.Duration
	ended time.Time
}

func (l *lag) note(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = time.Now()
	l.took = l.ended.Sub(began)
}

// now is what was noted within the last second, else zero.
func (l *lag) now() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.ended) > time.Second {
		return 0
	}
	return l.took
}

// SubmitLag is how long submits wait now, in line for their turn or from their
// insert until they are in their queue. While it is long they are refused
// (invariant 6).
func (s *Service) SubmitLag() time.Duration { return max(s.turns.now(), s.pushes.now()) }
