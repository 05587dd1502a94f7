package tasks

import (
	"context"
	"errors"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// Claim makes the task behind a ticket o's, durably. ok is false where the
// ticket is no longer wanted, or came before its time and was pushed again.
func (s *Service) Claim(ctx context.Context, tk Ticket, o Owner) (Claimed, bool, error) {
	at := now()
	after, input, ok, err := s.Store.Claim(ctx, Claim(tk.Task, tk.Attempt, o, tk.Timeout, at))
	if err != nil {
		return Claimed{}, false, err
	}
	if !ok {
		return Claimed{}, false, s.early(ctx, tk, at)
	}
	c := Claimed{Task: after, Input: input}
	if after.Attempt > 1 {
		if c.Checkpoint, err = s.Payloads.Checkpoint(ctx, tk.Task); err != nil {
			return Claimed{}, false, errors.Join(err, s.Unclaim(ctx, after))
		}
	}
	s.Events.TaskChanged(after)
	if after.Parent != "" {
		s.parents.started(ctx, after)
	}
	return c, true, nil
}

// early pushes a ticket again that was refused only because its time had not
// come at that time: asynq keeps whole seconds, and servers' clocks differ.
func (s *Service) early(ctx context.Context, tk Ticket, at time.Time) error {
	t, err := s.Store.Get(ctx, tk.Task)
	if err != nil {
		return ignoreNotFound(err)
	}
	if t.Attempt == tk.Attempt && (t.Status == Queued || t.Status == Scheduled) && t.RunAt.After(at) {
		s.push(ctx, t)
	}
	return nil
}

// Unclaim takes back a claim whose session went before its `assign`.
func (s *Service) Unclaim(ctx context.Context, t Task) error {
	return s.lose(ctx, t, Loss{ByServer: true, Cause: CauseUndelivered, Reason: "the worker left before it was handed over"})
}

// lose takes back one attempt, unless it is no longer the one that was lost.
func (s *Service) lose(ctx context.Context, lost Task, l Loss) error {
	_, _, err := s.decide(ctx, lost, func(t Task) (Transition, bool) {
		return Lose(t, l, now()), t.Status == Running && t.Attempt == lost.Attempt && t.Session == lost.Session && t.Epoch == lost.Epoch
	})
	return ignoreNotFound(err)
}

// TakeBack queues one attempt again that its worker is not to go on with, unless
// it has ended or somebody else owns it.
func (s *Service) TakeBack(ctx context.Context, t Task, l Loss) error { return s.lose(ctx, t, l) }

// Result ends an attempt as its worker says. An error means that the store is
// away: the worker gets no ack and sends the result again.
func (s *Service) Result(ctx context.Context, own Task, r protocol.Result) (protocol.Ack, error) {
	at := now()
	_, ok, err := s.decide(ctx, own, func(t Task) (Transition, bool) {
		if !runs(t, own.Session, own.Attempt) {
			return Transition{}, false
		}
		switch r.Status {
		case protocol.Succeeded:
			return Succeed(t, r.Output, at), true
		case protocol.Cancelled:
			return AcceptCancel(t, at), true
		case protocol.Rejected:
			return RejectAttempt(t, at), true
		default:
			return FailAttempt(t, *r.Error, at), true
		}
	})
	if errors.Is(err, ErrNotFound) {
		return ack(r, protocol.UnknownTask), nil
	}
	if err != nil {
		return protocol.Ack{}, err
	}
	if ok {
		return ack(r, ""), nil
	}
	return s.StrayResult(ctx, own.Session, r)
}

// StrayResult answers a result of an attempt that the session does not run: one
// it ended before, one that was taken from it, or somebody else's.
func (s *Service) StrayResult(ctx context.Context, session string, r protocol.Result) (protocol.Ack, error) {
	t, err := s.Store.Get(ctx, r.Task)
	if errors.Is(err, ErrNotFound) {
		return ack(r, protocol.UnknownTask), nil
	}
	if err != nil {
		return protocol.Ack{}, err
	}
	if runs(t, session, r.Attempt) {
		return s.Result(ctx, t, r)
	}
	history, err := s.Payloads.History(ctx, t.ID)
	if err != nil {
		return protocol.Ack{}, err
	}
	mine, accepted := attemptOf(t, history, session, r.Attempt)
	switch waits := !t.Status.Ended() && t.Status != Running; {
	case accepted:
		s.Events.TaskChanged(t) // whoever took it may have died before it told anybody
		return ack(r, ""), nil
	case r.Attempt < t.Attempt, r.Attempt == t.Attempt && waits:
		return ack(r, protocol.StaleAttempt), s.noteLate(ctx, t, history, session, r.Attempt)
	case !mine:
		return ack(r, protocol.NotOwner), nil
	default:
		return ack(r, protocol.AlreadyFinished), s.noteLate(ctx, t, history, session, r.Attempt)
	}
}

// attemptOf tells from row and history whether the attempt was the session's,
// and whether a result of it was accepted.
func attemptOf(t Task, history []Entry, session string, attempt int) (mine, accepted bool) {
	if t.Attempt == attempt && t.Session == session {
		mine, accepted = true, t.Accepted == attempt
	}
	for _, e := range history {
		if e.Attempt != attempt || e.Session != session {
			continue
		}
		switch e.Event {
		case EvAssigned:
			mine = true
		case EvRetried, EvRejected, EvFailed, EvCancelled:
			accepted = true
		}
	}
	return mine, accepted && mine
}

// noteLate writes a refused result on the timeline, once for each attempt.
func (s *Service) noteLate(ctx context.Context, t Task, history []Entry, session string, attempt int) error {
	for _, e := range history {
		if e.Event == EvLateRefused && e.Attempt == attempt {
			return nil
		}
	}
	return s.Payloads.AddHistory(ctx, t.ID, Entry{
		At: now(), Event: EvLateRefused, Attempt: attempt, Session: session,
		Detail: "a result of an attempt that had been taken away changed nothing",
	})
}

func ack(r protocol.Result, reason string) protocol.Ack {
	return protocol.Ack{
		Type: protocol.TypeAck, Task: r.Task, Attempt: r.Attempt, Accepted: reason == "", Reason: reason,
	}
}

// Progress notes how far an attempt is; people hear at once, the store within a second.
func (s *Service) Progress(t Task, percent *float64, message string) {
	t.Percent, t.Message = percent, message
	s.progress.note(t)
	s.Events.TaskProgress(t)
}

// Log keeps lines of a running attempt.
func (s *Service) Log(ctx context.Context, t Task, stream string, lines []string) error {
	at := now()
	kept := make([]LogLine, len(lines))
	for i, l := range lines {
		kept[i] = LogLine{At: at, Attempt: t.Attempt, Stream: stream, Line: l}
	}
	ok, err := s.Payloads.AppendLog(ctx, t.ID, t.Attempt, t.Session, kept)
	if ok {
		s.Events.TaskLogged(t, kept)
	}
	return err
}

// Checkpoint keeps what the next attempt starts from.
func (s *Service) Checkpoint(ctx context.Context, t Task, data []byte) error {
	_, err := s.Payloads.SaveCheckpoint(ctx, t.ID, t.Attempt, t.Session, data)
	return err
}

// Resume gives the attempts that a resumed session lists and still owns its new
// epoch and takes the session's other tasks back; it returns what goes on and
// what the worker must drop.
func (s *Service) Resume(ctx context.Context, session, server string, epoch int64, running []protocol.AttemptRef) ([]Task, []protocol.AttemptRef, error) {
	owned, err := s.ownedBy(ctx, session)
	if err != nil {
		return nil, nil, err
	}
	listed := make(map[protocol.AttemptRef]bool, len(running))
	for _, r := range running {
		listed[r] = true
	}
	var resumed []Task
	for _, t := range owned {
		ref := protocol.AttemptRef{Task: t.ID, Attempt: t.Attempt}
		if !listed[ref] {
			if err := s.lose(ctx, t, Loss{ByServer: true, Cause: CauseUndelivered, Reason: "it was not handed over before the connection broke"}); err != nil {
				return nil, nil, err
			}
			continue
		}
		after, ok, err := s.Store.Apply(ctx, Adopt(t, server, epoch))
		if err != nil {
			return nil, nil, err
		}
		if ok {
			resumed = append(resumed, after)
			delete(listed, ref)
		}
	}
	var dropped []protocol.AttemptRef
	for _, r := range running {
		if listed[r] {
			dropped = append(dropped, r)
		}
	}
	return resumed, dropped, nil
}

// ownedBy returns the running tasks of a session: at most its slots, so few.
func (s *Service) ownedBy(ctx context.Context, session string) ([]Task, error) {
	return s.Store.Find(ctx, Query{
		Where: Where{Eq(ColSession, session), Eq(ColStatus, Running)}, Limit: 10 * protocol.MaxSlots,
	})
}

// Lost takes back every task of a session that is lost in the store.
func (s *Service) Lost(ctx context.Context, session string, l Loss) error {
	owned, err := s.ownedBy(ctx, session)
	if err != nil {
		return err
	}
	return inParallel(owned, func(t Task) error { return s.lose(ctx, t, l) })
}
