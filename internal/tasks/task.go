// Package tasks is the life of a task: what may be submitted, every transition
// (docs/state-machine.md), fan-out and reduce, retry and cancel. It decides;
// the store keeps, the queue hurries, workers and live carry.
package tasks

import (
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// Status is where a task stands. The last three are final.
type Status string

const (
	Scheduled Status = "scheduled" // waits for run_at
	Queued    Status = "queued"
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Ended reports whether the status is final (until a retry by hand).
func (s Status) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Unfinished lists the statuses that are not final.
var Unfinished = []Status{Scheduled, Queued, Running}

// Phase is how far a fan-out parent is; ordinary tasks and ended parents have
// none. A task with a phase is never claimed.
type Phase string

const (
	NoPhase   Phase = ""
	Splitting Phase = "splitting" // children are being inserted
	Open      Phase = "open"      // children run
	Reducing  Phase = "reducing"  // one server (or one child on a worker) reduces
)

// Priority orders the queues of one (group, kind), served 6:3:1.
type Priority string

const (
	High   Priority = "high"
	Normal Priority = "normal"
	Low    Priority = "low"
)

// Priorities in serving order.
var Priorities = []Priority{High, Normal, Low}

// Pair names the work of one kind in one group. Target is empty, or the worker
// that alone may take it (a part of a broadcast). Consumers, queues and the
// doorbell go by pair.
type Pair struct {
	Group  string
	Kind   string
	Target string
}

// Task is the metadata of one task: everything but input, result, checkpoint
// and log. Zero times mean "not yet". Times have millisecond precision, UTC.
type Task struct {
	ID        string
	Group     string
	Kind      string
	Title     string
	CreatedBy string // user id
	Priority  Priority

	Status    Status
	Phase     Phase
	CreatedAt time.Time
	RunAt     time.Time // not before; the creation time where none was asked for
	// EnqueuedAt is when the task was last pushed to its queue; zero: only in
	// the store (overflow). For a future RunAt it is RunAt.
	EnqueuedAt        time.Time
	StartedAt         time.Time // of the newest attempt
	Deadline          time.Time // of the newest attempt
	FinishedAt        time.Time
	CancelRequestedAt time.Time

	Attempt          int // of the newest claim; 0 before the first
	Failures         int // failed and timed-out attempts, against MaxAttempts
	MaxAttempts      int
	Reassignments    int // attempts lost with their worker, against MaxReassignments
	MaxReassignments int
	Timeout          time.Duration

	// The owner of the newest attempt. They stay when the attempt has ended.
	Server     string
	Session    string
	Epoch      int64
	Worker     string // worker id
	WorkerName string
	RunBy      string // user who owns the worker
	// Accepted is the newest attempt whose result was accepted.
	Accepted int

	Percent  *float64 // progress of the newest attempt, nil when unknown
	Message  string
	Error    *protocol.TaskError
	Trace    string // traceparent of its submit (internal/tracing); empty: not traced
	InBytes  int64
	OutBytes int64

	// Payloads (input, output, checkpoint, log) are dropped at this time, set
	// when a task without parent ends; children follow their parent.
	DropAt          time.Time
	DroppedAt       time.Time
	ResultRetention *time.Duration // nil: by status, see Retention

	// Of a part: its parent, and its place among Count parts.
	Parent string
	Key    string // unique below Parent: the index in decimal, or ReduceKey
	Index  int
	Count  int
	Target string // the one worker that may take it

	// Of a parent.
	FanOut      FanOut
	Gen         int64  // raised by a child's retry, so that a decision on older counts fails
	ReduceBy    string // server that reduces
	ReduceUntil time.Time
	ReduceN     int64
}

// ReduceKey is the key of the child that reduces on a worker.
const ReduceKey = "reduce"

// Pair returns whose work the task is.
func (t Task) Pair() Pair { return Pair{Group: t.Group, Kind: t.Kind, Target: t.Target} }

// IsParent reports whether the task fans out; it is never claimed.
func (t Task) IsParent() bool { return t.FanOut.Mode != "" }

// FanOut is fixed when a parent is accepted, before its first child exists.
type FanOut struct {
	Mode          FanOutMode `json:"mode,omitempty"`
	Parts         int        `json:"parts,omitempty"`   // asked for, by `split`
	Workers       []string   `json:"workers,omitempty"` // of a broadcast
	Reduce        string     `json:"reduce,omitempty"`  // a reducer's name, ReduceOwn, or empty with ReduceKind
	ReduceKind    string     `json:"reduce_kind,omitempty"`
	AllowFailures int        `json:"allow_failures,omitempty"`
	// StartWithin is how long a part of a broadcast waits for its worker.
	StartWithin time.Duration `json:"start_within,omitempty"`
}

// FanOutMode is how a parent's children come about.
type FanOutMode string

const (
	ModeSplit     FanOutMode = "split"
	ModeInputs    FanOutMode = "inputs"
	ModeBroadcast FanOutMode = "broadcast"
)

// ReduceOwn stands for the kind's own reduce.
const ReduceOwn = "own"

// Entry is one line of a task's timeline. History holds what the task's row no
// longer says: attempts left behind, and notable events. The rest (created, the
// newest attempt, the end) is derived from the row by Timeline.
type Entry struct {
	At      time.Time
	Event   Event
	Attempt int
	Worker  string // worker name
	Session string
	Detail  string
}

// Event is what happened, in the words of the timeline.
type Event string

const (
	EvSubmitted       Event = "submitted"
	EvAssigned        Event = "assigned"
	EvSucceeded       Event = "succeeded"
	EvFailed          Event = "failed"     // for good
	EvRetried         Event = "retrying"   // an attempt failed; Detail says why and until when it waits
	EvTimedOut        Event = "timed_out"  // deadline passed
	EvRejected        Event = "rejected"   // the worker would not take it
	EvHeartbeat       Event = "last_heard" // when the lost worker was last heard
	EvLost            Event = "worker_lost"
	EvReassigned      Event = "reassigned" // queued again after a loss
	EvLateRefused     Event = "late_result_refused"
	EvCancelRequested Event = "cancel_requested"
	EvCancelled       Event = "cancelled"
	EvRetriedByHand   Event = "retried"
	EvDropped         Event = "payloads_dropped"
	EvSplit           Event = "split"
	EvReduced         Event = "reduced"
)

// LogLine is one line of a task's log.
type LogLine struct {
	Seq     int64
	At      time.Time
	Attempt int
	Stream  string
	Line    string
}
