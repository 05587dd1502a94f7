package tasks

import (
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// After returns From with Set applied: the task as it is once the transition has
// been applied.
func (tr Transition) After() Task {
	t := *tr.From
	for _, a := range tr.Set {
		t.assign(a)
	}
	return t
}

// assign sets one column. It knows those that transitions of single attempts
// set; one that it does not know is a mistake of the programmer.
func (t *Task) assign(a Assign) {
	switch a.Column {
	case ColStatus:
		t.Status = a.Value.(Status)
	case ColPhase:
		t.Phase = a.Value.(Phase)
	case ColError:
		t.Error = a.Value.(*protocol.TaskError)
	case ColPercent:
		t.Percent = a.Value.(*float64)
	case ColEpoch:
		t.Epoch = a.Value.(int64)
	case ColOutBytes:
		t.OutBytes = a.Value.(int64)
	default:
		if f := t.timeColumn(a.Column); f != nil {
			*f = a.Value.(time.Time)
			return
		}
		if f := t.textColumn(a.Column); f != nil {
			*f = a.Value.(string)
			return
		}
		if f := t.numberColumn(a.Column); f != nil {
			if n := a.Value.(int); a.Inc {
				*f += n
			} else {
				*f = n
			}
			return
		}
		panic("tasks: a transition with From sets " + string(a.Column))
	}
}

func (t *Task) timeColumn(c Column) *time.Time {
	switch c {
	case ColRunAt:
		return &t.RunAt
	case ColEnqueuedAt:
		return &t.EnqueuedAt
	case ColStartedAt:
		return &t.StartedAt
	case ColDeadline:
		return &t.Deadline
	case ColFinishedAt:
		return &t.FinishedAt
	case ColCancelRequested:
		return &t.CancelRequestedAt
	case ColDropAt:
		return &t.DropAt
	default:
		return nil
	}
}

func (t *Task) textColumn(c Column) *string {
	switch c {
	case ColMessage:
		return &t.Message
	case ColServer:
		return &t.Server
	case ColSession:
		return &t.Session
	case ColWorker:
		return &t.Worker
	case ColWorkerName:
		return &t.WorkerName
	case ColRunBy:
		return &t.RunBy
	default:
		return nil
	}
}

func (t *Task) numberColumn(c Column) *int {
	switch c {
	case ColAttempt:
		return &t.Attempt
	case ColFailures:
		return &t.Failures
	case ColReassignments:
		return &t.Reassignments
	case ColAccepted:
		return &t.Accepted
	default:
		return nil
	}
}
