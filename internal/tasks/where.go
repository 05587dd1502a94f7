package tasks

import "time"

// Column is a field of Task as stores know it: a SQL column, a document field.
type Column string

const (
	ColID              Column = "id"
	ColGroup           Column = "group_id"
	ColKind            Column = "kind"
	ColTitle           Column = "title"
	ColCreatedBy       Column = "created_by"
	ColPriority        Column = "priority"
	ColStatus          Column = "status"
	ColPhase           Column = "phase"
	ColCreatedAt       Column = "created_at"
	ColRunAt           Column = "run_at"
	ColEnqueuedAt      Column = "enqueued_at"
	ColStartedAt       Column = "started_at"
	ColDeadline        Column = "deadline"
	ColFinishedAt      Column = "finished_at"
	ColCancelRequested Column = "cancel_requested_at"
	ColAttempt         Column = "attempt"
	ColFailures        Column = "failures"
	ColReassignments   Column = "reassignments"
	ColServer          Column = "server"
	ColSession         Column = "session"
	ColEpoch           Column = "epoch"
	ColWorker          Column = "worker"
	ColWorkerName      Column = "worker_name"
	ColRunBy           Column = "run_by"
	ColAccepted        Column = "accepted"
	ColPercent         Column = "percent" // *float64
	ColMessage         Column = "message"
	ColError           Column = "error" // *protocol.TaskError
	ColInBytes         Column = "in_bytes"
	ColOutBytes        Column = "out_bytes"
	ColDropAt          Column = "drop_at"
	ColDroppedAt       Column = "dropped_at"
	ColParent          Column = "parent"
	ColIndex           Column = "idx"
	ColCount           Column = "cnt"
	ColTarget          Column = "target"
	ColFanOut          Column = "fan_out" // FanOut
	ColGen             Column = "gen"
	ColReduceBy        Column = "reduce_by"
	ColReduceUntil     Column = "reduce_until"
	ColReduceN         Column = "reduce_n"
)

// Op compares a column with a value.
type Op uint8

const (
	OpEq Op = iota
	OpNe
	OpLt
	OpLte
	OpGt
	OpGte
	OpIn    // Value is a slice: []Status, []string
	OpWords // Value is a string: each of its words begins a word of the title; or the whole is the id
)

// Cond is one comparison. Values are Go values of the field's type: Status,
// Phase, Priority, string, int, int64, time.Time (zero: not set), FanOut, pointers.
type Cond struct {
	Column Column
	Op     Op
	Value  any
}

// Where holds if every Cond holds.
type Where []Cond

// Eq, Ne, Lt, Lte, Gt and Gte read as the predicates of docs/state-machine.md.

// Eq holds when the column equals v.
func Eq(c Column, v any) Cond { return Cond{c, OpEq, v} }

// Ne holds when the column differs from v.
func Ne(c Column, v any) Cond { return Cond{c, OpNe, v} }

// Lt holds when the column is less than v.
func Lt(c Column, v any) Cond { return Cond{c, OpLt, v} }

// Lte holds when the column is at most v.
func Lte(c Column, v any) Cond { return Cond{c, OpLte, v} }

// Gt holds when the column is greater than v.
func Gt(c Column, v any) Cond { return Cond{c, OpGt, v} }

// Gte holds when the column is at least v.
func Gte(c Column, v any) Cond { return Cond{c, OpGte, v} }

// In holds when the column is one of the values.
func In[T any](c Column, values ...T) Cond { return Cond{c, OpIn, values} }

// Assign sets a column, or with Inc adds an integer to it.
type Assign struct {
	Column Column
	Value  any
	Inc    bool
}

// Set assigns v to c.
func Set(c Column, v any) Assign { return Assign{Column: c, Value: v} }

// Inc adds n to c.
func Inc(c Column, n int) Assign { return Assign{Column: c, Value: n, Inc: true} }

// Transition is one compare-and-set on one task: if every condition holds the
// task is changed, History is appended to its timeline and Output is kept, all
// as one; otherwise nothing changes, and that is no error: somebody else was
// first. A transition into a final status also counts in the statistics (Count).
type Transition struct {
	Name    string // for logs and metrics
	Task    string
	If      Where
	Set     []Assign
	History []Entry
	Output  []byte // JSON; nil: leave
	// From is the task as the caller knows it, or nil. Where it is given, Apply
	// returns it with Set applied instead of reading the row again: for callers
	// who know every column that counts, because none changes while If holds.
	From *Task
	// Failover is when a lost worker's or server's task was taken back, which the
	// installation counts; zero: it was not.
	Failover time.Time
	Cause    Cause // of the Failover
}

// Sort orders what Find returns.
type Sort struct {
	Column Column
	Desc   bool
}

// Query finds tasks. Limit is at most 10,000.
type Query struct {
	Where Where
	Sort  []Sort
	Limit int
}
