package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

// closingPatience is how long a parent stays in closing at least, so that an
// insert of children that was under way elsewhere is seen.
const closingPatience = 30 * time.Second

// insertPortion is how many children one insert carries.
const insertPortion = 500

// moveParent takes a parent one step on from wherever it stands; it is safe to
// call at any time, by any number of servers.
func (s *Service) moveParent(ctx context.Context, id string) error {
	t, err := s.Store.Get(ctx, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	switch t.Phase {
	case Splitting:
		return s.split(ctx, t)
	case Open:
		return s.decideOpen(ctx, t)
	case Reducing:
		return s.continueReduce(ctx, t)
	case Closing:
		return s.close(ctx, t)
	default:
		return nil
	}
}

// split inserts the children that are missing and queues those of an earlier
// run that did not succeed, then opens the parent.
func (s *Service) split(ctx context.Context, t Task) error {
	input, err := s.Payloads.Input(ctx, t.ID)
	if err != nil {
		return err
	}
	inputs, err := s.partsOf(t, input)
	if err != nil {
		return s.failParent(ctx, t, taskError(err, "split_failed"))
	}
	fixed, ok, err := s.Store.Apply(ctx, fixCount(t, len(inputs)))
	if err != nil || !ok {
		return err
	}
	for from := 0; from < len(inputs); from += insertPortion {
		to := min(from+insertPortion, len(inputs))
		if settled, err := s.insertChildren(ctx, fixed, inputs[from:to], from); err != nil || !settled {
			return err
		}
		if cur, err := s.Store.Get(ctx, t.ID); err != nil || cur.Phase != Splitting || cur.Gen != t.Gen {
			s.parents.kick(t.ID) // cancelled meanwhile: the closing takes care of the children
			return err
		}
	}
	_, _, err = s.decide(ctx, fixed, func(t Task) (Transition, bool) {
		return open(t, now()), t.Phase == Splitting && t.Gen == fixed.Gen
	})
	return err
}

// partsOf returns the inputs of a parent's children, always the same ones.
func (s *Service) partsOf(t Task, input []byte) ([]json.RawMessage, error) {
	switch t.FanOut.Mode {
	case ModeInputs:
		var inputs []json.RawMessage
		err := json.Unmarshal(input, &inputs)
		return inputs, err
	case ModeBroadcast:
		inputs := make([]json.RawMessage, len(t.FanOut.Workers))
		for i := range inputs {
			inputs[i] = input
		}
		return inputs, nil
	}
	kind, ok := s.Kinds[t.Kind]
	if !ok || kind.Split == nil {
		return nil, fmt.Errorf("this server does not know how to split %q", t.Kind)
	}
	parts, err := kind.Split(input, t.FanOut.Parts)
	for _, p := range parts {
		if len(p) > MaxInputBytes {
			return nil, &workload.Error{Code: "part_too_large", Message: "A part has more than 1 MiB; ask for more parts."}
		}
	}
	return parts, err
}

// insertChildren reports settled: false where a child of an earlier run is still
// being cancelled. Its end kicks the parent, and then it can be queued again.
func (s *Service) insertChildren(ctx context.Context, t Task, inputs []json.RawMessage, from int) (settled bool, err error) {
	at := now()
	news := make([]New, len(inputs))
	for i, in := range inputs {
		c := childOf(t, strconv.Itoa(from+i), from+i, at)
		if t.FanOut.Mode == ModeBroadcast {
			c.Target, c.FanOut.StartWithin = t.FanOut.Workers[from+i], t.FanOut.StartWithin
		}
		c.InBytes = int64(len(in))
		c.EnqueuedAt = s.stampFor(ctx, c, at)
		news[i] = New{Task: c, Input: in}
	}
	inserted, err := s.Store.Insert(ctx, news...)
	if err != nil {
		return false, err
	}
	s.launch(ctx, inserted)
	if t.Gen == 0 {
		return true, nil // the first split: what has ended of it by now has ended for good
	}
	settled = true
	for _, ins := range inserted {
		switch c := ins.Task; {
		case !ins.Existed || c.Status == Succeeded:
		case c.Status.Ended():
			if err := s.retryChild(ctx, c); err != nil {
				return false, err
			}
		case !c.CancelRequestedAt.IsZero():
			settled = false
		}
	}
	return settled, nil
}

// childOf is a child with all that it has from its parent.
func childOf(t Task, key string, index int, at time.Time) Task {
	c := Task{
		ID: newID(), Group: t.Group, Kind: t.Kind, CreatedBy: t.CreatedBy, Priority: t.Priority,
		Status: Queued, CreatedAt: at, RunAt: at, MaxAttempts: t.MaxAttempts,
		MaxReassignments: t.MaxReassignments, Timeout: t.Timeout,
		Parent: t.ID, Key: key, Index: index, Count: t.Count, Trace: t.Trace,
	}
	if t.RunAt.After(at) {
		c.RunAt, c.Status = t.RunAt, Scheduled
	}
	return c
}

func (s *Service) retryChild(ctx context.Context, child Task) error {
	_, _, err := s.decide(ctx, child, func(c Task) (Transition, bool) {
		return RetryByHand(c, now()), c.Status == Failed || c.Status == Cancelled
	})
	return err
}

// decideOpen looks whether a parent whose children all exist is to end: failed
// with too many failed children, or reduced when none is unfinished. Its gen was
// read before anything is counted.
func (s *Service) decideOpen(ctx context.Context, t Task) error {
	parts := func(c ...Status) Where {
		return Where{Eq(ColParent, t.ID), In(ColStatus, c...), Gte(ColIndex, 0)}
	}
	lost, err := s.Store.Count(ctx, parts(Failed, Cancelled), t.FanOut.AllowFailures+1)
	if err != nil {
		return err
	}
	if lost > t.FanOut.AllowFailures {
		return s.failParent(ctx, t, s.childFailure(ctx, t))
	}
	left, err := s.Store.Count(ctx, parts(Unfinished...), 0)
	if err != nil {
		return err
	}
	if left > 0 {
		s.showProgress(t, left)
		return nil
	}
	after, ok, err := s.Store.Apply(ctx, startReduce(t, s.Server, now()))
	if err != nil || !ok {
		return err
	}
	return s.reduce(ctx, after)
}

// showProgress tells how many parts are done.
func (s *Service) showProgress(t Task, left int) {
	percent := 100 * float64(t.Count-left) / float64(max(t.Count, 1))
	if t.Percent == nil || *t.Percent != percent {
		s.Progress(t, &percent, fmt.Sprintf("%d of %s done", t.Count-left, plural(t.Count, "part")))
	}
}

// childFailure says in the parent's error which child failed and why.
func (s *Service) childFailure(ctx context.Context, t Task) protocol.TaskError {
	e := protocol.TaskError{Code: CodeChildFailed, Message: "Too many parts failed."}
	failed, err := s.Store.Find(ctx, Query{
		Where: Where{Eq(ColParent, t.ID), In(ColStatus, Failed, Cancelled)}, Sort: []Sort{{Column: ColIndex}}, Limit: 1,
	})
	if err != nil || len(failed) == 0 {
		return e
	}
	c := failed[0]
	e.Message = fmt.Sprintf("Part %d was cancelled.", c.Index)
	if c.Error != nil {
		e.Message = fmt.Sprintf("Part %d failed: %s: %s", c.Index, c.Error.Code, c.Error.Message)
		if c.Error.Code == "bad_input" { // the user's to mend, so it is named as it is
			e.Code = c.Error.Code
		}
	}
	return e
}

func (s *Service) failParent(ctx context.Context, t Task, e protocol.TaskError) error {
	_, _, err := s.decide(ctx, t, func(cur Task) (Transition, bool) {
		return failParent(t, e, now()), cur.Phase == t.Phase && cur.Gen == t.Gen && cur.ReduceN == t.ReduceN
	})
	return err
}

// close cancels what a cancelled or failed parent left unfinished.
func (s *Service) close(ctx context.Context, t Task) error {
	left, err := s.Store.Find(ctx, Query{
		Where: Where{Eq(ColParent, t.ID), In(ColStatus, Unfinished...)}, Limit: 10_000,
	})
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return inParallel(left, func(c Task) error {
			_, err := s.Cancel(ctx, c)
			return err
		})
	}
	if now().Sub(t.FinishedAt) < closingPatience {
		return nil
	}
	_, _, err = s.Store.Apply(ctx, closed(t))
	return err
}

// taskError gives an error its code; those of kinds bring their own.
func taskError(err error, code string) protocol.TaskError {
	var w *workload.Error
	if errors.As(err, &w) {
		return protocol.TaskError{Code: w.Code, Message: w.Message}
	}
	return protocol.TaskError{Code: code, Message: err.Error()}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
