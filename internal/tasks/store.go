package tasks

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// Faults every store returns.
var (
	ErrNotFound = fault.New(fault.NotFound, "not_found", "There is no such task.")
	ErrNoResult = fault.New(fault.NotFound, "no_result", "The task has no result yet.")
	ErrDropped  = fault.New(fault.Gone, "result_dropped", "The task's input and result were dropped after their retention.")
)

// New is a task to insert with its input.
type New struct {
	Task
	Input []byte // JSON; nil for none
	// IdempotencyKey is unique for IdempotencyWindow; BodyHash tells whether the
	// same key came with another body.
	IdempotencyKey string
	BodyHash       string
}

// IdempotencyWindow is how long a key answers with its first task.
const IdempotencyWindow = 24 * time.Hour

// Inserted is what became of one New.
type Inserted struct {
	Task     Task // the stored one: the first with this key where Existed
	Existed  bool // the idempotency key, or (parent, key) of a child, was there
	SameBody bool // BodyHash equalled the first one's
}

// Store keeps tasks. Every method is safe for concurrent use; a returned nil
// error of a write means it is durable. Unreachable stores answer with a
// fault of kind Unavailable.
type Store interface {
	// Insert adds tasks, each on its own: one that exists leaves the others be.
	// With an error it returns those it is sure to have inserted before, the first
	// of ts.
	Insert(ctx context.Context, ts ...New) ([]Inserted, error)
	// Apply runs one compare-and-set and returns the task after it, and whether
	// it applied. Where it did not, the task is zero.
	Apply(ctx context.Context, t Transition) (Task, bool, error)
	// Stamp is Apply of the transition Stamp for each of ts, as they were read, and
	// returns those it applied to, after it. It is bulk work: single operations do
	// not wait for all of it. With an error it returns those it is sure of.
	Stamp(ctx context.Context, at time.Time, ts ...Task) ([]Task, error)
	// Claim is Apply for a claim; it returns the input, too, which is nil where the
	// payloads were dropped.
	Claim(ctx context.Context, t Transition) (Task, []byte, bool, error)
	// Get returns ErrNotFound for an unknown id.
	Get(ctx context.Context, id string) (Task, error)
	Find(ctx context.Context, q Query) ([]Task, error)
	// Count counts at most limit (0: all).
	Count(ctx context.Context, w Where, limit int) (int, error)
	// CountByStatus counts a parent's parts (without the reduce child).
	CountByStatus(ctx context.Context, parent string) (map[Status]int, error)
	// Running lists the sessions that own running tasks.
	Running(ctx context.Context) ([]Owned, error)
	// Pairs lists the pairs among kinds × groups that have due unfinished tasks
	// not claimed yet, and for each the earliest run_at; at most limit.
	Pairs(ctx context.Context, groups, kinds []string, limit int) ([]DuePair, error)
	// Delete removes ended tasks with all that belongs to them.
	Delete(ctx context.Context, ids ...string) error
}

// Owned is a session and epoch with the number of tasks they run.
type Owned struct {
	Session string
	Epoch   int64
	Tasks   int
}

// DuePair is a pair with work waiting in the store.
type DuePair struct {
	Pair
	RunAt time.Time
}

// Payloads keeps what is transient: inputs, outputs, checkpoints and logs.
type Payloads interface {
	// Input returns ErrDropped once the payloads were dropped.
	Input(ctx context.Context, id string) ([]byte, error)
	// Output returns ErrNoResult or ErrDropped.
	Output(ctx context.Context, id string) ([]byte, error)
	// Outputs calls f with the outputs of a parent's parts by index, nil for a
	// part without one; f's error ends it.
	Outputs(ctx context.Context, parent string, f func(index int, output []byte) error) error
	// Checkpoint returns nil where there is none.
	Checkpoint(ctx context.Context, id string) ([]byte, error)
	// SaveCheckpoint keeps data if (attempt, session) owns the running task.
	SaveCheckpoint(ctx context.Context, id string, attempt int, session string, data []byte) (bool, error)
	// AppendLog keeps lines if (attempt, session) owns the running task, up to
	// MaxLogLines and MaxLogBytes: the oldest are dropped and counted.
	AppendLog(ctx context.Context, id string, attempt int, session string, lines []LogLine) (bool, error)
	// Log returns lines with Seq > after, and how many were dropped so far.
	Log(ctx context.Context, id string, after int64, limit int) (lines []LogLine, dropped int64, err error)
	// Drop removes input, output, checkpoint and log of the task and its children.
	Drop(ctx context.Context, id string, now time.Time) error
	// History returns what was appended to the task's timeline, oldest first.
	History(ctx context.Context, id string) ([]Entry, error)
	// AddHistory appends an entry on its own (a late result refused).
	AddHistory(ctx context.Context, id string, e Entry) error
}

// Limits of one task's log (docs/http-api.md, Limits).
const (
	MaxLogLines = 1000
	MaxLogBytes = 256 << 10
)

// StatsStore keeps counts by group, member and hour (docs: group statistics).
type StatsStore interface {
	// Stats sums a group's counts since a time, to the hour.
	Stats(ctx context.Context, group string, since time.Time) ([]MemberStats, Histograms, error)
	// Minutes and Hours list what ended in each of a group's since the one of a
	// time, oldest first, where something did. Minutes are kept for a day, hours
	// until they are pruned.
	Minutes(ctx context.Context, group string, since time.Time) ([]Period, error)
	Hours(ctx context.Context, group string, since time.Time) ([]Period, error)
	// Depth counts a group's tasks that are not finished, by status.
	Depth(ctx context.Context, group string) (map[Status]int, error)
	// WorkerDays lists what a worker did since the start of a day, the newest day
	// first, then by group and member; at most limit.
	WorkerDays(ctx context.Context, worker string, since time.Time, limit int) ([]WorkerDay, error)
}
