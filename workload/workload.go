// Package workload holds the built-in kinds of task: how one is split into
// parts, run, and reduced again (docs/workloads.md). The server uses split and
// reduce, the worker uses run; neither is imported here.
package workload

import (
	"context"
	"encoding/json"
)

// Job is what a running attempt may say and ask. worker.Task implements it.
type Job interface {
	// Progress reports percent done, 0 to 100, and a short message.
	Progress(percent float64, message string)
	// Log writes one line to the task's log.
	Log(line string)
	// SaveCheckpoint replaces the task's checkpoint (JSON, at most 256 KiB); the
	// next attempt starts from it, perhaps in another language.
	SaveCheckpoint(data any) error
	// LoadCheckpoint returns the checkpoint an earlier attempt left, or nil.
	LoadCheckpoint() json.RawMessage
}

// Run does one task. A cancelled ctx means stop at once and return ctx.Err().
type Run func(ctx context.Context, input json.RawMessage, job Job) (json.RawMessage, error)

// Split cuts an input into at most n parts, each an input of the same kind. It
// is a pure function of its arguments, so that an interrupted split can be done
// again. It may return fewer than n parts, never none.
type Split func(input json.RawMessage, n int) ([]json.RawMessage, error)

// Reducer combines the outputs of parts, given in order of index.
type Reducer interface {
	Add(output json.RawMessage) error
	Result() (json.RawMessage, error)
}

// Kind is one built-in kind. Split and Reduce are nil where the kind has none.
type Kind struct {
	Name string
	Run  Run
	// Split and Reduce serve a task with `split`; Reduce gets the parent's input.
	Split  Split
	Reduce func(parentInput json.RawMessage) (Reducer, error)
}

// Error is a failure with a stable code. The worker SDK copies Code, Message
// and Retryable into the result.
type Error struct {
	Code      string
	Message   string
	Retryable bool
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }
