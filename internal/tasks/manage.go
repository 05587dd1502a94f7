package tasks

import (
	"context"
	"slices"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/protocol"
)

var (
	errEnded      = fault.New(fault.Conflict, "already_finished", "The task has ended; there is nothing to cancel.")
	errNotEnded   = fault.New(fault.Conflict, "not_finished", "Only a failed or cancelled task can be retried.")
	errParentGone = fault.New(fault.Conflict, "parent_finished", "A part is retried alone only while its parent is open; retry the parent.")
	errNoInput    = fault.New(fault.Conflict, "input_dropped", "The task's input was dropped after its retention; submit it anew.")
)

// Cancel ends a task that waits, at once; a running one is asked to stop, and
// its first result wins. Cancelling twice is no error; an ended task is a
// Conflict.
func (s *Service) Cancel(ctx context.Context, t Task) (Task, error) {
	if t.Status.Ended() {
		return t, errEnded
	}
	at := now()
	after, ok, err := s.decide(ctx, t, func(cur Task) (Transition, bool) {
		switch {
		case cur.Status.Ended() || !cur.CancelRequestedAt.IsZero():
			return Transition{}, false
		case cur.IsParent():
			return cancelParent(cur, at), true
		case cur.Status == Running:
			return CancelRunning(cur, at), true
		default:
			return CancelWaiting(cur, at), true
		}
	})
	if ok && after.Status == Running {
		s.Workers.Cancel(after, protocol.CancelRequested)
	}
	return after, err
}

// Retry queues a failed or cancelled task again while its input is kept.
func (s *Service) Retry(ctx context.Context, t Task) (Task, error) {
	if t.Status != Failed && t.Status != Cancelled {
		return t, errNotEnded
	}
	if !t.DroppedAt.IsZero() {
		return t, errNoInput
	}
	if t.Parent != "" {
		// Raising gen first voids a decision that counted this child as ended.
		if _, ok, err := s.Store.Apply(ctx, touch(t.Parent)); err != nil || !ok {
			if err == nil {
				err = errParentGone
			}
			return t, err
		}
	}
	after, ok, err := s.decide(ctx, t, func(cur Task) (Transition, bool) {
		return RetryByHand(cur, now()), (cur.Status == Failed || cur.Status == Cancelled) && cur.DroppedAt.IsZero()
	})
	if err == nil && !ok {
		err = errNotEnded
	}
	return after, err
}

// DropPayloads drops an ended task's input, result, checkpoint and log at once.
func (s *Service) DropPayloads(ctx context.Context, t Task) error {
	if !t.Status.Ended() {
		return fault.New(fault.Conflict, "not_finished", "Input and result are needed until the task has ended.")
	}
	if t.Parent != "" {
		return fault.New(fault.Conflict, "part_of_parent", "A part's payloads live as long as its parent's; drop those.")
	}
	return s.Payloads.Drop(ctx, t.ID, now())
}

// bulkPortion is how many tasks one step of a bulk operation takes; a bulk
// operation takes at most bulkLimit.
const (
	bulkPortion = 1000
	bulkLimit   = 1_000_000
)

// CancelAll cancels a group's unfinished tasks that match; a dry run counts them.
func (s *Service) CancelAll(ctx context.Context, f ListFilter, dryRun bool) (int, error) {
	return s.bulk(ctx, f, Unfinished, dryRun, s.Cancel)
}

// RetryAll retries a group's failed and cancelled tasks that match.
func (s *Service) RetryAll(ctx context.Context, f ListFilter, dryRun bool) (int, error) {
	return s.bulk(ctx, f, []Status{Failed, Cancelled}, dryRun, s.Retry)
}

// bulk walks the matching tasks from newest to oldest, so that one which stays
// in the filter is met once.
func (s *Service) bulk(ctx context.Context, f ListFilter, among []Status, dryRun bool, do func(context.Context, Task) (Task, error)) (int, error) {
	where := append(f.where(), In(ColStatus, among...))
	if dryRun {
		return s.Store.Count(ctx, where, bulkLimit)
	}
	done := 0
	for last := ""; done < bulkLimit; {
		page := where
		if last != "" {
			page = slices.Concat(where, Where{Lt(ColID, last)})
		}
		ts, err := s.Store.Find(ctx, Query{Where: page, Sort: []Sort{{ColID, true}}, Limit: bulkPortion})
		if err != nil || len(ts) == 0 {
			return done, err
		}
		last = ts[len(ts)-1].ID
		counted := make(chan int, len(ts))
		err = inParallel(ts, func(t Task) error {
			_, err := do(ctx, t)
			if err == nil {
				counted <- 1
			}
			if fault.KindOf(err) == fault.Conflict || fault.KindOf(err) == fault.NotFound {
				return nil // somebody else was first
			}
			return err
		})
		done += len(counted)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
