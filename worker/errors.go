package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

// ErrStopped is what Run returns after Stop if work or results were left
// behind; the server gives the tasks to other workers.
var ErrStopped = errors.New("worker stopped before its work was done")

// ErrTimeout is the cause (context.Cause) when a task's time was used up.
var ErrTimeout = errors.New("the task's time is used up")

// CancelError is the cause (context.Cause) when the server took a task back.
type CancelError struct {
	Reason string // protocol.CancelRequested, CancelTimeout or CancelReassigned
}

func (e *CancelError) Error() string { return "task cancelled: " + e.Reason }

// ClosedError is what Run returns when the server closed the connection with a
// code after which a worker may not come back (section 6).
type ClosedError struct {
	Code   int
	Reason string
}

func (e *ClosedError) Error() string {
	text := map[int]string{
		protocol.CloseMalformed:    "the server could not read what this worker sent",
		protocol.CloseUnauthorized: "the token has expired or was revoked",
		protocol.CloseGroup:        "the token does not allow one of the groups",
		protocol.CloseResumed:      "another process has taken over this session",
	}[e.Code]
	if text == "" {
		text = "the server does not want this worker back"
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return fmt.Sprintf("%s (close code %d)", text, e.Code)
}

// HandshakeError says that the server answered, but not with a WebSocket. Run
// returns it for 401 and 403; everything else is tried again.
type HandshakeError struct {
	Status int    // HTTP status
	Detail string // of the answer's problem+json, if it had one
}

func (e *HandshakeError) Error() string {
	text := "the server refused the connection"
	switch e.Status {
	case 401:
		text = "the server does not accept the token"
	case 403:
		text = "the token is not a worker token"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return fmt.Sprintf("%s (HTTP %d)", text, e.Status)
}

type failure struct{ protocol.TaskError }

func (f *failure) Error() string { return f.Code + ": " + f.Message }

// Fail is an error for a handler to return: the attempt fails with this code
// (1–64 characters) and message. With retryable the task gets another attempt,
// as long as it has some left. Any other error fails with code "error",
// retryable.
func Fail(code, message string, retryable bool) error {
	return &failure{protocol.TaskError{Code: code, Message: message, Retryable: retryable}}
}

type rejection struct{ why string }

func (r *rejection) Error() string { return "rejected: " + r.why }

// Reject is an error for a handler to return: this worker cannot take the task
// now. It goes to another without counting as a failure, and this worker is
// offered none of the kind for some seconds. The reason is only logged here.
func Reject(why string) error { return &rejection{why} }

// Codes of failures that the SDK itself reports.
const (
	codeError    = "error"
	codePanic    = "panic"
	codeOutput   = "bad_output"
	codeTooLarge = "message_too_large"
)

// resultOf turns what a handler returned into the attempt's result.
func resultOf(ctx context.Context, ref protocol.AttemptRef, output any, err error) protocol.Result {
	r := protocol.Result{Type: protocol.TypeResult, Task: ref.Task, Attempt: ref.Attempt}
	var rejected *rejection
	switch {
	case err == nil:
		return withOutput(r, output)
	case errors.As(err, &rejected):
		r.Status = protocol.Rejected
	case ctx.Err() != nil && isContextError(ctx, err):
		r.Status = protocol.Cancelled
	default:
		r.Status = protocol.Failed
		r.Error = taskError(err)
	}
	return r
}

func isContextError(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Cause(ctx))
}

func taskError(err error) *protocol.TaskError {
	told := protocol.TaskError{Code: codeError, Message: err.Error(), Retryable: true}
	var own *failure
	var builtin *workload.Error
	switch {
	case errors.As(err, &own):
		told = own.TaskError
	case errors.As(err, &builtin):
		told = protocol.TaskError{Code: builtin.Code, Message: builtin.Message, Retryable: builtin.Retryable}
	}
	if told.Code == "" {
		told.Code = codeError
	}
	told.Code = protocol.Clip(told.Code, protocol.MaxNameChars)
	told.Message = protocol.Clip(told.Message, protocol.MaxErrorChars)
	return &told
}

func withOutput(r protocol.Result, output any) protocol.Result {
	// The object around the output takes one level of nesting.
	text, err := encodeJSON(output, protocol.MaxNesting-1)
	switch {
	case err != nil:
		r.Status = protocol.Failed
		r.Error = taskError(Fail(codeOutput, err.Error(), false))
	case len(text) > protocol.MaxPayloadBytes:
		return tooLarge(r, fmt.Sprintf("the output has %d bytes, %d are allowed", len(text), protocol.MaxPayloadBytes))
	default:
		r.Status = protocol.Succeeded
		r.Output = text
	}
	return r
}

func tooLarge(r protocol.Result, message string) protocol.Result {
	r.Status = protocol.Failed
	r.Output = nil
	r.Error = taskError(Fail(codeTooLarge, message, false))
	return r
}

// encodeJSON writes v as JSON, at most depth levels deep. Raw JSON is checked,
// not written anew.
func encodeJSON(v any, depth int) (json.RawMessage, error) {
	text, ok := v.(json.RawMessage)
	if !ok {
		var err error
		if text, err = json.Marshal(v); err != nil {
			return nil, err
		}
	}
	if len(text) == 0 {
		text = json.RawMessage("null")
	}
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	if err := protocol.CheckValue(text, depth); err != nil {
		return nil, err
	}
	return text, nil
}
