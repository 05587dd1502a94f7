package tasks

import (
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// View is a task as JSON shows it, over HTTP and over live (docs/http-api.md).
// What is not set, or not yet, is absent.
type View struct {
	ID        string   `json:"id" doc:"UUIDv7"`
	GroupID   string   `json:"group_id"`
	Kind      string   `json:"kind"`
	Title     string   `json:"title,omitempty"`
	CreatedBy string   `json:"created_by" doc:"User id of who submitted it"`
	Priority  Priority `json:"priority" enum:"high,normal,low"`
	Status    Status   `json:"status" enum:"scheduled,queued,running,succeeded,failed,cancelled"`
	Phase     Phase    `json:"phase,omitempty" enum:"splitting,open,reducing" doc:"Of an unfinished parent: how far its fan-out is"`

	CreatedAt         protocol.Time `json:"created_at" format:"date-time"`
	RunAt             protocol.Time `json:"run_at" format:"date-time" doc:"Not started before; moved by a retry's backoff"`
	StartedAt         protocol.Time `json:"started_at,omitzero" format:"date-time" doc:"Of the newest attempt"`
	Deadline          protocol.Time `json:"deadline,omitzero" format:"date-time" doc:"Of the running attempt"`
	FinishedAt        protocol.Time `json:"finished_at,omitzero" format:"date-time"`
	CancelRequestedAt protocol.Time `json:"cancel_requested_at,omitzero" format:"date-time"`
	QueueMS           *int64        `json:"queue_ms,omitempty" doc:"From due to started; still waiting: absent"`
	RunMS             *int64        `json:"run_ms,omitempty" doc:"Of the last attempt, once the task has ended"`

	Attempt       int             `json:"attempt" doc:"Number of the newest attempt; 0 before the first"`
	MaxAttempts   int             `json:"max_attempts"`
	Failures      int             `json:"failures" doc:"Failed and timed-out attempts; these count against max_attempts"`
	Reassignments int             `json:"reassignments" doc:"Attempts lost with their worker"`
	TimeoutS      int64           `json:"timeout_s" doc:"Of one attempt"`
	Worker        *WorkerRef      `json:"worker,omitempty" doc:"Of the newest attempt"`
	Progress      *ProgressView   `json:"progress,omitempty" doc:"Of the newest attempt"`
	Error         *TaskErrorView  `json:"error,omitempty" doc:"Of the last attempt that failed"`
	Target        string          `json:"target,omitempty" doc:"Worker id: of a part of a broadcast, the one that may take it"`
	Parent        string          `json:"parent,omitempty" doc:"Task id"`
	Index         *int            `json:"index,omitempty" doc:"Of a part: its place, from 0; absent for the part that reduces"`
	Count         int             `json:"count,omitempty" doc:"Of a part: how many there are"`
	FanOut        *FanOutView     `json:"fan_out,omitempty" doc:"Of a parent"`
	Children      *ChildCountView `json:"children,omitempty" doc:"Of a parent, where it is read alone"`

	InputBytes       int64         `json:"input_bytes"`
	OutputBytes      int64         `json:"output_bytes,omitempty"`
	ResultRetentionS *int64        `json:"result_retention_s,omitempty" doc:"Asked for, or the group's; absent: by status"`
	DropAt           protocol.Time `json:"drop_at,omitzero" format:"date-time" doc:"When input, output, checkpoint and log go"`
	DroppedAt        protocol.Time `json:"dropped_at,omitzero" format:"date-time"`
}

// WorkerRef names a worker.
type WorkerRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// ProgressView is how far the newest attempt says it is.
type ProgressView struct {
	Percent *float64 `json:"percent,omitempty" minimum:"0" maximum:"100" doc:"Absent when unknown"`
	Message string   `json:"message,omitempty"`
}

// TaskErrorView is why an attempt failed.
type TaskErrorView struct {
	Code      string `json:"code" doc:"Stable snake_case, or the worker's own"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
}

// FanOutView is how a parent's parts come about and become one result.
type FanOutView struct {
	Mode          FanOutMode `json:"mode" enum:"split,inputs,broadcast"`
	Parts         int        `json:"parts,omitempty" doc:"Asked for, of a split"`
	Workers       int        `json:"workers,omitempty" doc:"How many a broadcast goes to"`
	Reduce        string     `json:"reduce,omitempty" doc:"own: the kind's own"`
	ReduceKind    string     `json:"reduce_kind,omitempty" doc:"Reduced on a worker by this kind"`
	AllowFailures int        `json:"allow_failures,omitempty"`
}

// ChildCountView counts a parent's parts by status; scheduled ones count as queued.
type ChildCountView struct {
	Total     int `json:"total"`
	Queued    int `json:"queued"`
	Running   int `json:"running"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
}

// View returns the task as JSON shows it, without Children.
func (t Task) View() View {
	v := View{
		ID: t.ID, GroupID: t.Group, Kind: t.Kind, Title: t.Title, CreatedBy: t.CreatedBy,
		Priority: t.Priority, Status: t.Status,
		CreatedAt: protocol.Time{Time: t.CreatedAt}, RunAt: protocol.Time{Time: t.RunAt},
		StartedAt:         protocol.Time{Time: t.StartedAt},
		CancelRequestedAt: protocol.Time{Time: t.CancelRequestedAt},
		Attempt:           t.Attempt, MaxAttempts: t.MaxAttempts, Failures: t.Failures,
		Reassignments: t.Reassignments, TimeoutS: int64(t.Timeout / time.Second),
		Target: t.Target, Parent: t.Parent, Count: t.Count,
		InputBytes: t.InBytes, OutputBytes: t.OutBytes,
		DropAt: protocol.Time{Time: t.DropAt}, DroppedAt: protocol.Time{Time: t.DroppedAt},
	}
	if !t.Status.Ended() {
		v.Phase = t.Phase // Closing is ours alone
	}
	if t.Status == Running {
		v.Deadline = protocol.Time{Time: t.Deadline}
	}
	if t.Status.Ended() {
		v.FinishedAt = protocol.Time{Time: t.FinishedAt}
	}
	if t.Worker != "" {
		v.Worker = &WorkerRef{ID: t.Worker, Name: t.WorkerName}
	}
	if t.Percent != nil || t.Message != "" {
		v.Progress = &ProgressView{Percent: t.Percent, Message: t.Message}
	}
	if t.Error != nil {
		v.Error = &TaskErrorView{Code: t.Error.Code, Message: t.Error.Message, Retryable: t.Error.Retryable}
	}
	if t.Parent != "" && t.Key != ReduceKey {
		index := t.Index // a pointer into t would keep all of it
		v.Index = &index
	}
	if t.IsParent() {
		f := t.FanOut
		v.FanOut = &FanOutView{
			Mode: f.Mode, Parts: f.Parts, Workers: len(f.Workers),
			Reduce: f.Reduce, ReduceKind: f.ReduceKind, AllowFailures: f.AllowFailures,
		}
	}
	if t.ResultRetention != nil {
		s := int64(*t.ResultRetention / time.Second)
		v.ResultRetentionS = &s
	}
	v.QueueMS, v.RunMS = t.waited(), t.ran()
	return v
}

// startedSinceDue reports whether the newest attempt began after the task was
// last due: a task that waits for its retry still carries the attempt before.
func (t Task) startedSinceDue() bool {
	return !t.StartedAt.IsZero() && !t.StartedAt.Before(t.RunAt)
}

// waited is the time from due to started, or to the end of a task that was
// never started; nil while it waits.
func (t Task) waited() *int64 {
	switch {
	case t.startedSinceDue():
		return millis(t.StartedAt.Sub(t.RunAt))
	case t.Status.Ended() && !t.IsParent():
		return millis(max(0, t.FinishedAt.Sub(t.RunAt)))
	}
	return nil
}

// ran is how long the last attempt ran, of a parent the whole of it; nil before
// the end.
func (t Task) ran() *int64 {
	switch {
	case !t.Status.Ended():
		return nil
	case t.IsParent():
		return millis(t.FinishedAt.Sub(t.CreatedAt))
	case t.startedSinceDue():
		return millis(t.FinishedAt.Sub(t.StartedAt))
	}
	return nil
}

func millis(d time.Duration) *int64 {
	ms := d.Milliseconds()
	return &ms
}

// ChildCounts folds Store.CountByStatus into what a parent shows.
func ChildCounts(by map[Status]int) *ChildCountView {
	c := &ChildCountView{
		Queued: by[Queued] + by[Scheduled], Running: by[Running],
		Succeeded: by[Succeeded], Failed: by[Failed], Cancelled: by[Cancelled],
	}
	for _, n := range by {
		c.Total += n
	}
	return c
}

// LogView is one line of a task's log.
type LogView struct {
	Seq     int64         `json:"seq" doc:"Rises by one a line; ask for the rest with after"`
	At      protocol.Time `json:"at" format:"date-time"`
	Attempt int           `json:"attempt"`
	Stream  string        `json:"stream" enum:"stdout,stderr,log"`
	Line    string        `json:"line"`
}

// LogViews returns lines as JSON shows them.
func LogViews(lines []LogLine) []LogView {
	vs := make([]LogView, len(lines))
	for i, l := range lines {
		vs[i] = LogView{Seq: l.Seq, At: protocol.Time{Time: l.At}, Attempt: l.Attempt, Stream: l.Stream, Line: l.Line}
	}
	return vs
}

// EntryView is one line of a task's timeline.
type EntryView struct {
	At      protocol.Time `json:"at" format:"date-time"`
	Event   Event         `json:"event" doc:"What happened: submitted, assigned, retrying, worker_lost, …"`
	Attempt int           `json:"attempt,omitempty"`
	Worker  string        `json:"worker,omitempty" doc:"Name of the worker"`
	Session string        `json:"session,omitempty"`
	Detail  string        `json:"detail,omitempty"`
}

// EntryViews returns a timeline as JSON shows it.
func EntryViews(entries []Entry) []EntryView {
	vs := make([]EntryView, len(entries))
	for i, e := range entries {
		vs[i] = EntryView{
			At: protocol.Time{Time: e.At}, Event: e.Event, Attempt: e.Attempt,
			Worker: e.Worker, Session: e.Session, Detail: e.Detail,
		}
	}
	return vs
}
