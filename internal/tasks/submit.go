package tasks

import (
	"context"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// Outcome is what became of one Spec: a task, or a *fault.Error.
type Outcome struct {
	Task    Task
	Existed bool // an idempotency key answered with its first task
	Err     error
}

var (
	errNoWorkers   = fault.New(fault.Conflict, "no_workers", "No worker that takes this kind is connected to the group.")
	errOtherBody   = fault.New(fault.Conflict, "idempotency_conflict", "This idempotency key was used with another body.")
	errUnreachable = fault.New(fault.Unavailable, "store_unavailable", "The store does not answer; the task was not accepted.")
)

// submitPortion is how many tasks are submitted at a time, by all callers
// together: so many are validated, inserted and enqueued before the next in line,
// and the tasks that run find the processor and the store's writer free again soon
// (invariant 6).
const submitPortion = 160

// Submitter is who submits, to which group.
type Submitter struct {
	User, Group string
	Retention   *time.Duration // of the group's payloads; nil: the default
}

// Submit accepts specs for a group, each on its own; accepted tasks are durable
// when it returns. Large submissions take turns with others.
func (s *Service) Submit(ctx context.Context, by Submitter, specs []Spec) []Outcome {
	out := make([]Outcome, len(specs))
	for first := 0; first < len(specs); first += submitPortion {
		end := min(first+submitPortion, len(specs))
		s.submitPortion(ctx, by, specs[first:end], out[first:end])
	}
	return out
}

// submitPortion is Submit for what goes through at once; out has a place for each.
func (s *Service) submitPortion(ctx context.Context, by Submitter, specs []Spec, out []Outcome) {
	began := time.Now()
	if err := s.submits.Acquire(ctx, int64(len(specs))); err != nil {
		for i := range out {
			out[i].Err = err
		}
		return
	}
	defer s.submits.Release(int64(len(specs)))
	s.turns.note(began)
	at := now()
	news := make([]New, 0, len(specs))
	place := make([]int, 0, len(specs)) // of each New among the specs
	for i := range specs {
		n, err := s.prepare(ctx, &specs[i], by, at)
		if err != nil {
			out[i].Err = err
			continue
		}
		news, place = append(news, n), append(place, i)
	}
	if len(news) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx) // a caller that leaves now leaves tasks behind; they start as others do
	inserted, err := s.Store.Insert(ctx, news...)
	if err != nil {
		var f *fault.Error
		if !errors.As(err, &f) {
			err = fault.Wrap(err, fault.Unavailable, errUnreachable.Code, errUnreachable.Detail)
		}
		for _, i := range place[len(inserted):] {
			out[i].Err = err
		}
	}
	for j, ins := range inserted {
		o := &out[place[j]]
		o.Task, o.Existed = ins.Task, ins.Existed
		if ins.Existed && !ins.SameBody {
			*o = Outcome{Err: errOtherBody}
		}
	}
	s.launch(ctx, inserted)
	s.recall(ctx, by.Group, out)
}

// recall cancels what was submitted while its group was being deleted: the
// deletion may have looked for tasks before these were there.
func (s *Service) recall(ctx context.Context, group string, out []Outcome) {
	gone := s.GroupExists(ctx, group)
	if fault.KindOf(gone) != fault.NotFound {
		return
	}
	for i := range out {
		if out[i].Err != nil {
			continue
		}
		if _, err := s.Cancel(ctx, out[i].Task); err != nil && !errors.Is(err, errEnded) {
			s.Logger.WarnContext(ctx, "task of a deleted group is left to its sweep", "task_id", out[i].Task.ID, "error", err)
		}
		out[i] = Outcome{Err: gone}
	}
}

// prepare validates one spec and fixes its fan-out.
func (s *Service) prepare(ctx context.Context, sp *Spec, by Submitter, at time.Time) (New, error) {
	if err := sp.validate(s.Kinds, at); err != nil {
		return New{}, err
	}
	n := sp.build(by, at)
	f, err := s.fanOut(ctx, sp, by.Group)
	if err != nil {
		return New{}, err
	}
	if f.Mode != "" {
		n.FanOut, n.Phase = f, Splitting
	} else {
		n.EnqueuedAt = s.stampFor(ctx, n.Task, at)
	}
	return n, nil
}

// fanOut fixes how many parts there are, or which workers, before the first exists.
func (s *Service) fanOut(ctx context.Context, sp *Spec, group string) (FanOut, error) {
	f := FanOut{Reduce: sp.Reduce, ReduceKind: sp.ReduceKind, AllowFailures: sp.AllowFailures}
	switch {
	case sp.Split != nil:
		f.Mode, f.Parts = ModeSplit, sp.Split.Parts
	case sp.Inputs != nil:
		f.Mode = ModeInputs
	case sp.Broadcast:
		f.Mode, f.StartWithin = ModeBroadcast, time.Duration(sp.StartWithinS)*time.Second
	default:
		return FanOut{}, nil
	}
	if f.Reduce == "" && f.ReduceKind == "" {
		f.Reduce = "collect"
		if f.Mode == ModeSplit {
			f.Reduce = ReduceOwn
		}
	}
	if f.Mode != ModeBroadcast && (sp.Split == nil || !sp.Split.Workers) {
		return f, nil
	}
	ids, err := s.Workers.Connected(ctx, group, sp.Kind)
	if err != nil {
		return f, err
	}
	if len(ids) == 0 {
		return f, errNoWorkers
	}
	ids = ids[:min(len(ids), MaxChildren)]
	if f.Mode == ModeBroadcast {
		f.Workers = ids
	} else {
		f.Parts = len(ids)
	}
	return f, nil
}

// launch hurries what was just inserted.
func (s *Service) launch(ctx context.Context, inserted []Inserted) {
	waiting := make([]Ticket, 0, len(inserted))
	for _, ins := range inserted {
		if ins.Existed {
			continue
		}
		s.Events.TaskChanged(ins.Task)
		switch {
		case ins.Task.IsParent():
			s.parents.kick(ins.Task.ID)
		case !ins.Task.EnqueuedAt.IsZero():
			waiting = append(waiting, TicketOf(ins.Task))
		}
	}
	s.pushTickets(ctx, waiting...)
}
