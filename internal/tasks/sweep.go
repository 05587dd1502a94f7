package tasks

import (
	"context"
	"slices"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// The sweeps put right what a crash, a lost message or a full queue left behind.
// internal/failover runs them by cron; each may run anywhere at any time.

// sweepPortion is how many tasks one sweep takes at a time.
const sweepPortion = 500

// TimeOutOverdue ends attempts whose deadline passed and tells their workers.
func (s *Service) TimeOutOverdue(ctx context.Context) error {
	at := now()
	return s.sweep(ctx, Where{
		Eq(ColStatus, Running), Gt(ColDeadline, time.Time{}), Lt(ColDeadline, at),
	}, func(t Task) error {
		_, ok, err := s.decide(ctx, t, func(cur Task) (Transition, bool) {
			return TimeOut(cur, at), cur.Status == Running && cur.Attempt == t.Attempt
		})
		if ok {
			s.Workers.Cancel(t, protocol.CancelTimeout)
		}
		return err
	})
}

// EndUnansweredCancels ends tasks whose workers left a cancel unanswered.
func (s *Service) EndUnansweredCancels(ctx context.Context) error {
	at := now()
	return s.sweep(ctx, Where{
		Eq(ColStatus, Running), Gt(ColCancelRequested, time.Time{}), Lt(ColCancelRequested, at.Add(-CancelPatience)),
	}, func(t Task) error {
		_, _, err := s.decide(ctx, t, func(cur Task) (Transition, bool) {
			return CancelUnanswered(cur, at), cur.Status == Running && cur.Attempt == t.Attempt
		})
		return err
	})
}

// ExpireUnstarted fails parts of broadcasts whose workers stayed away: from the
// beginning, or since they left an attempt unfinished. Those in paused queues wait.
func (s *Service) ExpireUnstarted(ctx context.Context) error {
	at := now()
	paused, err := s.Queues.PausedQueues(ctx)
	if err != nil {
		return err
	}
	return s.sweep(ctx, Where{In(ColStatus, Queued, Scheduled), Ne(ColTarget, "")}, func(t Task) error {
		if t.RunAt.Add(t.FanOut.StartWithin).After(at) || slices.Contains(paused, Pair{Group: t.Group, Kind: t.Kind}) {
			return nil
		}
		_, _, err := s.decide(ctx, t, func(cur Task) (Transition, bool) {
			return Expire(cur, at), cur.Attempt == t.Attempt && cur.RunAt.Equal(t.RunAt) &&
				(cur.Status == Queued || cur.Status == Scheduled)
		})
		return err
	})
}

// MoveParents kicks every parent that is not at its end.
func (s *Service) MoveParents(ctx context.Context) error {
	return s.sweep(ctx, Where{Ne(ColPhase, NoPhase)}, func(t Task) error {
		s.parents.kick(t.ID)
		return nil
	})
}

// DropExpired drops the payloads whose time is up.
func (s *Service) DropExpired(ctx context.Context) error {
	at := now()
	return s.sweep(ctx, Where{
		Gt(ColDropAt, time.Time{}), Lte(ColDropAt, at), Eq(ColDroppedAt, time.Time{}),
	}, func(t Task) error { return s.Payloads.Drop(ctx, t.ID, at) })
}

// DeleteOld deletes the metadata of tasks that ended before a time, with their
// children; statistics stay.
func (s *Service) DeleteOld(ctx context.Context, before time.Time) error {
	return s.sweep(ctx, Where{
		Eq(ColParent, ""), Gt(ColFinishedAt, time.Time{}), Lt(ColFinishedAt, before), Eq(ColPhase, NoPhase),
	}, func(t Task) error {
		ids := []string{t.ID}
		if t.IsParent() {
			children, err := s.Store.Find(ctx, Query{Where: Where{Eq(ColParent, t.ID)}, Limit: MaxChildren + 1})
			if err != nil {
				return err
			}
			for _, c := range children {
				ids = append(ids, c.ID)
			}
		}
		return s.Store.Delete(ctx, ids...)
	})
}

// sweep does something to each task that matches, in order of id.
func (s *Service) sweep(ctx context.Context, w Where, do func(Task) error) error {
	for last := ""; ; {
		ts, err := s.Store.Find(ctx, Query{
			Where: slices.Concat(w, Where{Gt(ColID, last)}), Sort: []Sort{{Column: ColID}}, Limit: sweepPortion,
		})
		if err != nil {
			return err
		}
		if err := inParallel(ts, func(t Task) error { return ignoreNotFound(do(t)) }); err != nil {
			return err
		}
		if len(ts) < sweepPortion {
			return nil
		}
		last = ts[len(ts)-1].ID
	}
}

// Owned lists which sessions own running tasks, at which epochs.
func (s *Service) Owned(ctx context.Context) ([]Owned, error) { return s.Store.Running(ctx) }

// LostEpochs takes back the tasks of a session that are of an older epoch: their
// `assign` died with an earlier connection.
func (s *Service) LostEpochs(ctx context.Context, session string, epoch int64) error {
	return s.lostWhere(ctx, session, func(t Task) bool { return t.Epoch < epoch }, "its connection was replaced by a newer one")
}

// LostUnknown takes back the tasks of a session that its hub does not know;
// settled leaves out claims too young to be told from one under way.
func (s *Service) LostUnknown(ctx context.Context, session string, known map[protocol.AttemptRef]bool, settled time.Duration) error {
	at := now()
	return s.lostWhere(ctx, session, func(t Task) bool {
		return !known[protocol.AttemptRef{Task: t.ID, Attempt: t.Attempt}] && t.StartedAt.Add(settled).Before(at)
	}, "its worker was never given it")
}

func (s *Service) lostWhere(ctx context.Context, session string, gone func(Task) bool, reason string) error {
	owned, err := s.ownedBy(ctx, session)
	if err != nil {
		return err
	}
	return inParallel(owned, func(t Task) error {
		if !gone(t) {
			return nil
		}
		return s.lose(ctx, t, Loss{ByServer: true, Cause: CauseUndelivered, Reason: reason})
	})
}

// Refill puts waiting tasks of one queue back into it, oldest first: those that
// overflow kept out (never stamped), and with stampedBefore also due ones
// stamped earlier. Each is stamped anew by compare-and-set before it is pushed.
func (s *Service) Refill(ctx context.Context, p Pair, pr Priority, stampedBefore time.Time, limit int) (int, error) {
	return s.refill(ctx, p, pr, Where{Lte(ColEnqueuedAt, stampedBefore)}, limit) // zero: only the never stamped
}

// Restamp is Refill without those never stamped: what an overflowing queue has
// lost, but nothing that overflow keeps out.
func (s *Service) Restamp(ctx context.Context, p Pair, pr Priority, stampedBefore time.Time, limit int) (int, error) {
	return s.refill(ctx, p, pr, Where{Gt(ColEnqueuedAt, time.Time{}), Lte(ColEnqueuedAt, stampedBefore)}, limit)
}

func (s *Service) refill(ctx context.Context, p Pair, pr Priority, stamps Where, limit int) (int, error) {
	at := now()
	waiting := append(Where{
		Eq(ColGroup, p.Group), Eq(ColKind, p.Kind), Eq(ColTarget, p.Target), Eq(ColPriority, pr),
		In(ColStatus, Queued, Scheduled), Eq(ColPhase, NoPhase), Lte(ColRunAt, at),
	}, stamps...)
	ts, err := s.Store.Find(ctx, Query{
		Where: waiting, Sort: []Sort{{Column: ColEnqueuedAt}, {Column: ColID}}, Limit: limit,
	})
	if err != nil || len(ts) == 0 {
		return 0, err
	}
	stamped, err := s.Store.Stamp(ctx, at, ts...)
	s.push(ctx, stamped...) // also after an error: these are stamped
	return len(stamped), err
}

// DuePairs returns the pairs with waiting tasks among groups × kinds.
func (s *Service) DuePairs(ctx context.Context, groups, kinds []string) ([]DuePair, error) {
	return s.Store.Pairs(ctx, groups, kinds, 10_000)
}
