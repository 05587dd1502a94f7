// Package fault is the one error type of the domain: what went wrong, as a
// stable code for programs and a sentence for people. It knows nothing of HTTP
// or WebSocket; httpapi and workers each hold one table from Kind to status.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of thing went wrong; it decides the HTTP status.
type Kind uint8

const (
	Internal        Kind = iota // unexpected: logged whole, shown as "internal error" (500)
	Malformed                   // not JSON, or not the right shape at all (400)
	Unauthenticated             // no token, or a bad one (401)
	Forbidden                   // the caller may see the thing but not do that (403)
	NotFound                    // not there, or not the caller's to see (404)
	Conflict                    // wrong state, or already taken (409)
	Gone                        // was there, dropped after its retention (410)
	TooLarge                    // over a size limit (413)
	Invalid                     // fields are wrong; Fields says which (422)
	TooMany                     // over a rate; RetryAfter says when (429)
	UnsupportedType             // a body of another media type than can be read (415)
	Unavailable                 // store or Redis away; RetryAfter says when (503)
)

// Field names one wrong field of a request, as a JSON path, and what is wrong.
type Field struct {
	Field   string `json:"field" doc:"JSON path of the field, such as body.input.n"`
	Message string `json:"message" doc:"What is wrong with it"`
}

// Error is a domain error. Code is stable snake_case (http-api.md).
type Error struct {
	Kind       Kind
	Code       string
	Detail     string
	Fields     []Field
	RetryAfter time.Duration
	cause      error
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Detail, e.cause)
	}
	return e.Code + ": " + e.Detail
}

func (e *Error) Unwrap() error { return e.cause }

// Is reports two faults equal by Kind and Code, so that a package can export
// sentinel faults and callers ask with errors.Is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Code == e.Code
}

// New makes a fault; detail is a full sentence for a person.
func New(kind Kind, code, detail string, args ...any) *Error {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Error{Kind: kind, Code: code, Detail: detail}
}

// Wrap is New with the error that caused it; the cause is logged, never shown.
func Wrap(cause error, kind Kind, code, detail string, args ...any) *Error {
	e := New(kind, code, detail, args...)
	e.cause = cause
	return e
}

// Away is an Unavailable of what may be back in a second.
func Away(cause error, code, detail string, args ...any) *Error {
	e := Wrap(cause, Unavailable, code, detail, args...)
	e.RetryAfter = time.Second
	return e
}

// InvalidField is the fault for one wrong field.
func InvalidField(field, message string, args ...any) *Error {
	if len(args) > 0 {
		message = fmt.Sprintf(message, args...)
	}
	return &Error{Kind: Invalid, Code: "invalid", Detail: "Some fields are not valid.", Fields: []Field{{field, message}}}
}

// KindOf returns the Kind of the first fault in err's chain, else Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
