package tasks

import (
	"math/rand/v2"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// This file is the table "Task" of docs/state-machine.md: one function for each
// row. They only describe; Store.Apply decides.

// Owner is who runs an attempt.
type Owner struct {
	Server     string
	Session    string
	Epoch      int64
	Worker     string
	WorkerName string
	User       string // owner of the worker
}

// DefaultRetention is how long payloads stay after a task ended: failed ones
// longer, so that they can be retried.
func DefaultRetention(s Status) time.Duration {
	if s == Failed {
		return 7 * 24 * time.Hour
	}
	return 24 * time.Hour
}

// RejectedWait is when a rejected task is due again.
const RejectedWait = time.Second

// CancelPatience is how long a worker may leave a cancel unanswered before the
// task counts as cancelled without it.
const CancelPatience = 5 * time.Second

// CodeWorkerLost and its sisters are the error codes the server gives itself.
const (
	CodeWorkerLost   = "worker_lost"
	CodeTimeout      = "timeout"
	CodeExpired      = "not_started" // a part of a broadcast whose worker stayed away
	CodeChildFailed  = "child_failed"
	CodeReduceFailed = "reduce_failed"
	CodePanic        = "panic"
)

// Claim makes attempt n+1 of a due task o's.
func Claim(id string, attempt int, o Owner, timeout time.Duration, now time.Time) Transition {
	return Transition{
		Name: "claim",
		Task: id,
		If: Where{
			In(ColStatus, Queued, Scheduled), Eq(ColPhase, NoPhase), Eq(ColAttempt, attempt),
			Lte(ColRunAt, now), Eq(ColCancelRequested, time.Time{}), In(ColTarget, "", o.Worker),
		},
		Set: []Assign{
			Set(ColStatus, Running), Set(ColAttempt, attempt+1),
			Set(ColServer, o.Server), Set(ColSession, o.Session), Set(ColEpoch, o.Epoch),
			Set(ColWorker, o.Worker), Set(ColWorkerName, o.WorkerName), Set(ColRunBy, o.User),
			Set(ColStartedAt, now), Set(ColDeadline, now.Add(timeout)),
			Set(ColPercent, (*float64)(nil)), Set(ColMessage, ""),
		},
	}
}

// runs reports whether t, as it was read, is an attempt of session under way.
func runs(t Task, session string, attempt int) bool {
	return t.Status == Running && (t.Session == session && t.Attempt == attempt || !fenced)
}

// owned holds while attempt n of t's session runs.
func owned(t Task) Where {
	if !fenced {
		return Where{Eq(ColStatus, Running)}
	}
	return Where{Eq(ColStatus, Running), Eq(ColAttempt, t.Attempt), Eq(ColSession, t.Session)}
}

// end assigns a final status.
func end(t Task, s Status, err *protocol.TaskError, now time.Time) []Assign {
	set := []Assign{
		Set(ColStatus, s), Set(ColFinishedAt, now), Set(ColError, err), Set(ColPhase, NoPhase),
	}
	if t.Parent == "" {
		keep := DefaultRetention(s)
		if t.ResultRetention != nil {
			keep = *t.ResultRetention
		}
		set = append(set, Set(ColDropAt, now.Add(keep)))
	}
	return set
}

// requeue assigns the way back from running to queued. The task is pushed right
// after, so it is stamped for its run_at.
func requeue(runAt time.Time) []Assign {
	return []Assign{Set(ColStatus, Queued), Set(ColRunAt, runAt), Set(ColEnqueuedAt, runAt)}
}

// left is the history of an attempt that the row is about to forget.
func left(t Task, rest ...Entry) []Entry {
	return append([]Entry{{
		At: t.StartedAt, Event: EvAssigned, Attempt: t.Attempt, Worker: t.WorkerName, Session: t.Session,
	}}, rest...)
}

func entry(t Task, e Event, now time.Time, detail string) Entry {
	return Entry{At: now, Event: e, Attempt: t.Attempt, Worker: t.WorkerName, Session: t.Session, Detail: detail}
}

// Succeed ends a running task with its output.
func Succeed(t Task, output []byte, now time.Time) Transition {
	return Transition{
		Name: "succeed", Task: t.ID, If: owned(t),
		Set: append(end(t, Succeeded, nil, now),
			Set(ColAccepted, t.Attempt), Set(ColOutBytes, int64(len(output)))),
		Output: output,
	}
}

// FailAttempt ends an attempt that failed: the task waits for its next one, or
// has used them up and fails; a task whose cancel was requested is cancelled.
func FailAttempt(t Task, err protocol.TaskError, now time.Time) Transition {
	return setback(t, "fail", EvRetried, err, now, Set(ColAccepted, t.Attempt))
}

// TimeOut ends an attempt whose deadline passed, as a failure.
func TimeOut(t Task, now time.Time) Transition {
	tr := setback(t, "time_out", EvTimedOut, timeoutError(t), now)
	tr.If = append(tr.If, Lt(ColDeadline, now))
	return tr
}

func timeoutError(t Task) protocol.TaskError {
	return protocol.TaskError{
		Code: CodeTimeout, Message: "The worker did not finish within " + t.Timeout.String() + ".", Retryable: true,
	}
}

// setback is a counted failure of the newest attempt.
func setback(t Task, name string, ev Event, err protocol.TaskError, now time.Time, also ...Assign) Transition {
	if !t.CancelRequestedAt.IsZero() {
		return cancelled(t, name, now, also...)
	}
	tr := Transition{Name: name, Task: t.ID, If: append(owned(t), Eq(ColCancelRequested, time.Time{}))}
	if !err.Retryable || t.Failures+1 >= t.MaxAttempts {
		tr.Set = append(end(t, Failed, &err, now), Inc(ColFailures, 1))
	} else {
		runAt := now.Add(Backoff(t.Failures + 1))
		tr.Set = append(requeue(runAt), Inc(ColFailures, 1), Set(ColError, &err))
		tr.History = left(t, entry(t, ev, now, err.Code+": "+err.Message))
	}
	tr.Set = append(tr.Set, also...)
	return tr
}

// cancelled ends a running task whose cancel was requested.
func cancelled(t Task, name string, now time.Time, also ...Assign) Transition {
	return Transition{
		Name: name, Task: t.ID,
		If:  append(owned(t), Ne(ColCancelRequested, time.Time{})),
		Set: append(end(t, Cancelled, nil, now), also...),
	}
}

// RejectAttempt puts a task back that its worker would not take; no failure counts.
func RejectAttempt(t Task, now time.Time) Transition {
	if !t.CancelRequestedAt.IsZero() {
		return cancelled(t, "reject", now, Set(ColAccepted, t.Attempt))
	}
	return Transition{
		Name: "reject", Task: t.ID, If: append(owned(t), Eq(ColCancelRequested, time.Time{})),
		Set:     append(requeue(now.Add(RejectedWait)), Set(ColAccepted, t.Attempt)),
		History: left(t, entry(t, EvRejected, now, "")),
	}
}

// AcceptCancel ends a task whose worker answered a requested cancel. Without a
// request the answer counts as a failure that may be retried: a worker stops by
// itself when the deadline passes, perhaps before cron looks.
func AcceptCancel(t Task, now time.Time) Transition {
	if !t.CancelRequestedAt.IsZero() {
		return cancelled(t, "result_cancelled", now, Set(ColAccepted, t.Attempt))
	}
	if !now.Before(t.Deadline) {
		return setback(t, "time_out", EvRetried, timeoutError(t), now, Set(ColAccepted, t.Attempt))
	}
	return FailAttempt(t, protocol.TaskError{
		Code: "cancelled_by_worker", Message: "The worker stopped the task by itself.", Retryable: true,
	}, now)
}

// Cause is why an attempt was taken back, for the metrics.
type Cause string

const (
	CauseWorkerLost  Cause = "worker_lost" // silent, cut off, or refused for what it did; also where nothing is said
	CauseWorkerLeft  Cause = "worker_left" // closed its connection by itself
	CauseServerLost  Cause = "server_lost" // its server died, stalled or was stopped
	CauseDisconnect  Cause = "disconnect"  // by an administrator
	CauseGroupLost   Cause = "group_lost"  // the worker does not work for the group any more
	CauseUndelivered Cause = "undelivered" // claimed, but never handed over
)

// Causes are all of them.
var Causes = []Cause{
	CauseWorkerLost, CauseWorkerLeft, CauseServerLost, CauseDisconnect, CauseGroupLost, CauseUndelivered,
}

// Loss says why a session's tasks are taken back.
type Loss struct {
	LastHeard time.Time // zero: unknown
	ByServer  bool      // its death, stall or drain: not counted
	Cause     Cause     // empty: CauseServerLost where ByServer, else CauseWorkerLost
	Reason    string    // in plain words, for the timeline
}

func (l Loss) cause() Cause {
	switch {
	case l.Cause != "":
		return l.Cause
	case l.ByServer:
		return CauseServerLost
	}
	return CauseWorkerLost
}

// Lose takes a task back from the session that owned it.
func Lose(t Task, l Loss, now time.Time) Transition {
	if !t.CancelRequestedAt.IsZero() {
		tr := cancelled(t, "lose", now)
		tr.If = append(tr.If, Eq(ColEpoch, t.Epoch))
		return tr
	}
	tr := Transition{
		Name: "lose", Task: t.ID, If: append(owned(t), Eq(ColEpoch, t.Epoch), Eq(ColCancelRequested, time.Time{})),
		Failover: now, Cause: l.cause(),
	}
	lost := []Entry{entry(t, EvLost, now, l.Reason)}
	if !l.LastHeard.IsZero() && !l.ByServer { // a dead server kept no time of it
		lost = append([]Entry{entry(t, EvHeartbeat, l.LastHeard, "")}, lost...)
	}
	if !l.ByServer && t.Reassignments+1 > t.MaxReassignments {
		tr.Set = append(end(t, Failed, &protocol.TaskError{
			Code: CodeWorkerLost, Message: "The workers that ran the task were lost too often.",
		}, now), Inc(ColReassignments, 1))
		tr.History = lost
		return tr
	}
	// The stamp stays: the ticket goes to the head of the queue (TicketOf).
	tr.Set = []Assign{Set(ColStatus, Queued), Set(ColRunAt, now)}
	if !l.ByServer {
		tr.Set = append(tr.Set, Inc(ColReassignments, 1))
	}
	tr.History = left(t, append(lost, entry(t, EvReassigned, now, "queued again"))...)
	return tr
}

// Adopt gives a running attempt the epoch of its resumed session.
func Adopt(t Task, server string, epoch int64) Transition {
	return Transition{
		Name: "adopt", Task: t.ID,
		If:  append(owned(t), Lt(ColEpoch, epoch)),
		Set: []Assign{Set(ColEpoch, epoch), Set(ColServer, server)},
	}
}

// CancelWaiting ends a task that does not run.
func CancelWaiting(t Task, now time.Time) Transition {
	return Transition{
		Name: "cancel", Task: t.ID,
		If:  Where{In(ColStatus, Queued, Scheduled)},
		Set: append(end(t, Cancelled, nil, now), Set(ColCancelRequested, now)),
	}
}

// CancelRunning asks for the end of a running task; the first result wins.
func CancelRunning(t Task, now time.Time) Transition {
	return Transition{
		Name: "cancel_running", Task: t.ID,
		If:      Where{Eq(ColStatus, Running), Eq(ColPhase, NoPhase), Eq(ColCancelRequested, time.Time{})},
		Set:     []Assign{Set(ColCancelRequested, now)},
		History: []Entry{entry(t, EvCancelRequested, now, "")},
	}
}

// CancelUnanswered ends a task whose worker left a cancel unanswered.
func CancelUnanswered(t Task, now time.Time) Transition {
	return Transition{
		Name: "cancel_unanswered", Task: t.ID,
		If: Where{
			Eq(ColStatus, Running), Ne(ColCancelRequested, time.Time{}),
			Lt(ColCancelRequested, now.Add(-CancelPatience)),
		},
		Set: end(t, Cancelled, nil, now),
	}
}

// Expire fails a part of a broadcast that its worker never started.
func Expire(t Task, now time.Time) Transition {
	return Transition{
		Name: "expire", Task: t.ID,
		If: Where{In(ColStatus, Queued, Scheduled), Eq(ColAttempt, t.Attempt)},
		Set: end(t, Failed, &protocol.TaskError{
			Code: CodeExpired, Message: "Its worker did not come to start it in time.",
		}, now),
	}
}

// RetryByHand queues a failed or cancelled task again; attempts go on counting.
func RetryByHand(t Task, now time.Time) Transition {
	tr := Transition{
		Name: "retry", Task: t.ID,
		If: Where{In(ColStatus, Failed, Cancelled), Eq(ColAttempt, t.Attempt), Eq(ColDroppedAt, time.Time{})},
		Set: append(requeue(now),
			Set(ColCancelRequested, time.Time{}), Set(ColError, (*protocol.TaskError)(nil)),
			Set(ColFailures, 0), Set(ColReassignments, 0),
			Set(ColFinishedAt, time.Time{}), Set(ColDropAt, time.Time{}),
			Set(ColPercent, (*float64)(nil)), Set(ColMessage, "")),
	}
	ended := entry(t, Event(t.Status), t.FinishedAt, "")
	if t.Error != nil {
		ended.Detail = t.Error.Code + ": " + t.Error.Message
	}
	if t.Accepted != t.Attempt {
		ended.Session = "" // no result ended it, so none is acknowledged again (attemptOf)
	}
	tr.History = []Entry{ended, {At: now, Event: EvRetriedByHand}}
	if t.Attempt > 0 {
		tr.History = left(t, tr.History...)
	}
	if t.IsParent() {
		tr.Set = append(tr.Set, Set(ColPhase, Splitting), Inc(ColGen, 1))
	}
	return tr
}

// Stamp marks a waiting task as pushed at now; before is the stamp it had.
func Stamp(t Task, now time.Time) Transition {
	return Transition{
		Name: "stamp", Task: t.ID,
		If: Where{
			In(ColStatus, Queued, Scheduled), Eq(ColAttempt, t.Attempt), Eq(ColEnqueuedAt, t.EnqueuedAt),
		},
		Set: []Assign{Set(ColEnqueuedAt, now)},
	}
}

// Stamped returns those of ts that Stamp was applied to, after it.
func Stamped(ts []Task, applied []bool, at time.Time) []Task {
	stamped := make([]Task, 0, len(ts))
	for i, t := range ts {
		if applied[i] {
			t.EnqueuedAt = at
			stamped = append(stamped, t)
		}
	}
	return stamped
}

// Backoff is how long a task waits after its n-th failure: 1 s doubling to
// 10 min, of which a random half, so that failures do not come back together.
func Backoff(n int) time.Duration {
	d := 10 * time.Minute
	if n < 11 {
		d = min(d, time.Second<<(n-1))
	}
	return (d/2 + rand.N(d/2)).Truncate(time.Millisecond)
}
