package tasks

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/protocol"
)

// QueueState is a queue as administrators see it: the work of one kind in one
// group, over all priorities and targets. It says what the store holds; Redis
// only hurries. Parents do not count, their parts do.
type QueueState struct {
	Group     string
	GroupName string // read only; empty where the group is gone
	Kind      string
	Waiting   int       // due, and not running
	Scheduled int       // their run_at lies ahead, be it by a retry
	Running   int       // on workers
	Oldest    time.Time // since when the first of those that wait is due; zero: none waits
	PausedAt  time.Time // zero: not paused
}

// QueueStore keeps the counts of queues, and which are paused. A queue is named
// by a Pair without target.
type QueueStore interface {
	// Queues lists those that have waiting or scheduled tasks, or are paused, by
	// group and kind, after one.
	Queues(ctx context.Context, after Pair, limit int, now time.Time) ([]QueueState, error)
	// LongestQueues lists those with the most tasks, waiting or scheduled.
	LongestQueues(ctx context.Context, limit int, now time.Time) ([]QueueState, error)
	// PauseQueue pauses a queue, be it unknown; one that is paused keeps its time.
	PauseQueue(ctx context.Context, p Pair, now time.Time) error
	// ResumeQueue ends the pause; one that is not paused stays so.
	ResumeQueue(ctx context.Context, p Pair) error
	// ResumeGroup ends every pause of a group.
	ResumeGroup(ctx context.Context, group string) error
	// PausedQueues lists all that are paused.
	PausedQueues(ctx context.Context) ([]Pair, error)
}

func queueOf(group, kind string) (Pair, error) {
	if !protocol.ValidKind(kind) {
		return Pair{}, fault.InvalidField("body.kind", "is not the name of a kind")
	}
	return Pair{Group: group, Kind: kind}, nil
}

// PauseQueue keeps tasks of a kind in a group from starting, on every server
// within a second. What runs goes on; submits are accepted and wait.
func (s *Service) PauseQueue(ctx context.Context, group, kind string) error {
	p, err := queueOf(group, kind)
	if err != nil {
		return err
	}
	return s.pausesChange(s.Queues.PauseQueue(ctx, p, now()))
}

// ResumeQueue lets them start again.
func (s *Service) ResumeQueue(ctx context.Context, group, kind string) error {
	p, err := queueOf(group, kind)
	if err != nil {
		return err
	}
	return s.pausesChange(s.Queues.ResumeQueue(ctx, p))
}

// ForgetPauses ends every pause of a group; who deletes a group calls it.
func (s *Service) ForgetPauses(ctx context.Context, group string) error {
	return s.pausesChange(s.Queues.ResumeGroup(ctx, group))
}

func (s *Service) pausesChange(err error) error {
	if err == nil && s.PausesChanged != nil {
		s.PausesChanged()
	}
	return err
}

// Paused returns the paused queues.
func (s *Service) Paused(ctx context.Context) ([]Pair, error) { return s.Queues.PausedQueues(ctx) }

// EmptyQueue cancels what waits in a queue now, with scheduled tasks, retries and
// parts; what runs goes on, and parents follow their parts. A dry run counts. If
// ctx ends first the rest stays.
func (s *Service) EmptyQueue(ctx context.Context, group, kind string, dryRun bool) (int, error) {
	if _, err := queueOf(group, kind); err != nil {
		return 0, err
	}
	began := now()
	where := Where{
		Eq(ColGroup, group), Eq(ColKind, kind), In(ColStatus, Queued, Scheduled), Eq(ColPhase, NoPhase),
		Lte(ColCreatedAt, began), // not what arrives meanwhile
	}
	if dryRun {
		return s.Store.Count(ctx, where, bulkLimit)
	}
	done := 0
	for done < bulkLimit {
		ts, err := s.Store.Find(ctx, Query{Where: where, Limit: bulkPortion})
		if err != nil || len(ts) == 0 {
			return done, err
		}
		var cancelled atomic.Int64
		err = inParallel(ts, func(t Task) error {
			ok, err := s.cancelWaiting(ctx, t)
			if ok {
				cancelled.Add(1)
			}
			return err
		})
		n := int(cancelled.Load())
		done += n
		if err != nil || n == 0 { // none: others are at them
			return done, err
		}
		s.Logger.InfoContext(ctx, "queue is being emptied", "group_id", group, "kind", kind, "cancelled", done)
	}
	return done, nil
}

// cancelWaiting cancels a task unless it has started, and reports whether it is
// cancelled now, be it by its parent.
func (s *Service) cancelWaiting(ctx context.Context, t Task) (bool, error) {
	after, _, err := s.decide(ctx, t, func(cur Task) (Transition, bool) {
		return CancelWaiting(cur, now()), cur.Status == Queued || cur.Status == Scheduled
	})
	return after.Status == Cancelled, ignoreNotFound(err)
}
