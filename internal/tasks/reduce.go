package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

// continueReduce looks after a reduce that is under way: on a worker, whether
// its child ended; on a server, whether its lease has run out.
func (s *Service) continueReduce(ctx context.Context, t Task) error {
	if t.FanOut.ReduceKind != "" {
		return s.reduceOnWorker(ctx, t)
	}
	if t.ReduceUntil.After(now()) {
		return nil
	}
	after, ok, err := s.Store.Apply(ctx, takeReduce(t, s.Server, now()))
	if err != nil || !ok {
		return err
	}
	return s.reduce(ctx, after)
}

// reduce combines the outputs of a parent's parts; t is in phase reducing, and
// the right to end it is t.ReduceN's.
func (s *Service) reduce(ctx context.Context, t Task) error {
	if t.FanOut.ReduceKind != "" {
		return s.reduceOnWorker(ctx, t)
	}
	output, err := s.reduced(ctx, t)
	if err == nil && len(output) > MaxParentBytes {
		err = &workload.Error{Code: "result_too_large", Message: "The reduced result has more than 8 MiB."}
	}
	if err != nil {
		if isStoreFault(err) {
			return err // the lease runs out and somebody tries again
		}
		return s.failParent(ctx, t, taskError(err, CodeReduceFailed))
	}
	after, ok, err := s.Store.Apply(ctx, finishParent(t, output, now()))
	if ok {
		s.settle(ctx, after)
	}
	return err
}

// reduced streams the outputs through the reducer, renewing the lease.
func (s *Service) reduced(ctx context.Context, t Task) (json.RawMessage, error) {
	reducer, err := s.reducerOf(ctx, t)
	if err != nil {
		return nil, err
	}
	renewed := now()
	err = s.Payloads.Outputs(ctx, t.ID, func(_ int, output []byte) error {
		if at := now(); at.Sub(renewed) > ReduceLease/3 {
			if _, ok, err := s.Store.Apply(ctx, renewReduce(t, at)); err != nil || !ok {
				return fmt.Errorf("the lease of this reduce is lost: %w", err)
			}
			renewed = at
		}
		if output == nil { // a part that allow_failures forgives
			output = []byte("null")
		}
		return reducer.Add(output)
	})
	if err != nil {
		return nil, err
	}
	return reducer.Result()
}

func (s *Service) reducerOf(ctx context.Context, t Task) (workload.Reducer, error) {
	if t.FanOut.Reduce != ReduceOwn {
		r, ok := workload.NewReducer(t.FanOut.Reduce)
		if !ok {
			return nil, fmt.Errorf("this server does not know the reduce %q", t.FanOut.Reduce)
		}
		return r, nil
	}
	kind, ok := s.Kinds[t.Kind]
	if !ok || kind.Reduce == nil {
		return nil, fmt.Errorf("this server does not know how to reduce %q", t.Kind)
	}
	input, err := s.Payloads.Input(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	return kind.Reduce(input)
}

// reduceOnWorker has one child of the reduce's kind take the array of outputs;
// its end is the parent's.
func (s *Service) reduceOnWorker(ctx context.Context, t Task) error {
	children, err := s.Store.Find(ctx, Query{
		Where: Where{Eq(ColParent, t.ID), Eq(ColIndex, reduceIndex)}, Limit: 1,
	})
	if err != nil {
		return err
	}
	if len(children) == 0 {
		return s.startReduceChild(ctx, t)
	}
	child := children[0]
	switch {
	case child.Status.Ended() && child.CreatedAt.Before(t.leaseStart()):
		// Left over from before the parent was retried: its input may be another by now.
		if err := s.Store.Delete(ctx, child.ID); err != nil {
			return err
		}
		return s.startReduceChild(ctx, t)
	case child.Status == Succeeded:
		output, err := s.Payloads.Output(ctx, child.ID)
		if err != nil {
			return err
		}
		after, ok, err := s.Store.Apply(ctx, finishParent(t, output, now()))
		if ok {
			s.settle(ctx, after)
		}
		return err
	case child.Status.Ended():
		e := protocol.TaskError{Code: CodeReduceFailed, Message: "The reduce was " + string(child.Status) + "."}
		if child.Error != nil {
			e.Message = "The reduce failed: " + child.Error.Code + ": " + child.Error.Message
		}
		return s.failParent(ctx, t, e)
	default:
		return nil
	}
}

// reduceIndex keeps the reduce child apart from the parts.
const reduceIndex = -1

var (
	errTooMuchToReduce = &workload.Error{
		Code: "input_too_large", Message: "The outputs have more than 1 MiB together: too much for a reduce on a worker.",
	}
	errTooDeepToReduce = &workload.Error{
		Code: "input_too_deep", Message: "The array of the outputs is nested too deeply for a reduce on a worker.",
	}
)

func (s *Service) startReduceChild(ctx context.Context, t Task) error {
	collect, _ := workload.NewReducer("collect")
	total := 0
	err := s.Payloads.Outputs(ctx, t.ID, func(_ int, output []byte) error {
		if total += len(output); total > MaxInputBytes {
			return errTooMuchToReduce
		}
		return collect.Add(output)
	})
	var input json.RawMessage
	if err == nil {
		input, err = collect.Result()
	}
	if err == nil && len(input) > MaxInputBytes {
		err = errTooMuchToReduce
	}
	if err == nil && protocol.CheckValue(input, protocol.MaxNesting-1) != nil { // it goes into an `assign`
		err = errTooDeepToReduce
	}
	if err != nil {
		if isStoreFault(err) {
			return err // cron tries again
		}
		return s.failParent(ctx, t, taskError(err, CodeReduceFailed))
	}
	at := now()
	c := childOf(t, ReduceKey, reduceIndex, at)
	c.Kind, c.RunAt, c.Status = t.FanOut.ReduceKind, at, Queued
	c.InBytes, c.EnqueuedAt = int64(len(input)), s.stampFor(ctx, c, at)
	inserted, err := s.Store.Insert(ctx, New{Task: c, Input: input})
	if err != nil {
		return err
	}
	s.launch(ctx, inserted)
	return nil
}

// leaseStart is when the present holder began to reduce.
func (t Task) leaseStart() time.Time { return t.ReduceUntil.Add(-ReduceLease) }
