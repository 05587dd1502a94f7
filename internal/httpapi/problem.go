package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/firmlight/firmlight/internal/fault"
)

// Problem is every error answer: application/problem+json (RFC 9457).
type Problem struct {
	Type      string        `json:"type" doc:"Always about:blank: code says what happened"`
	Title     string        `json:"title" doc:"The status in words"`
	Status    int           `json:"status" doc:"HTTP status"`
	Detail    string        `json:"detail,omitempty" doc:"What happened, for a person"`
	Code      string        `json:"code" doc:"What happened, for a program: stable snake_case"`
	Errors    []fault.Field `json:"errors,omitempty" doc:"The fields that are wrong"`
	RequestID string        `json:"request_id" doc:"Name this when you ask for help"`

	retryAfter time.Duration
}

// Error makes a Problem what huma writes as the answer.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus is the answer's HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is application/problem+json whatever was asked for.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// statuses is the one table from a fault's kind to the HTTP status.
var statuses = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Malformed:       http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Gone:            http.StatusGone,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.TooMany:         http.StatusTooManyRequests,
	fault.UnsupportedType: http.StatusUnsupportedMediaType,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// humaCodes names what huma itself finds wrong with a request.
var humaCodes = map[int]string{
	http.StatusBadRequest:            "malformed",
	http.StatusRequestTimeout:        "request_timeout",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "unsupported_media_type",
	http.StatusUnprocessableEntity:   "invalid",
}

// huma asks these package variables for every error it answers with, and whether
// "Login" is "login"; they are set once, before anything is served.
func init() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return humaProblem(status, msg, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		var p *Problem
		if status == http.StatusInternalServerError && len(errs) == 1 {
			p = problemOf(ctx.Context(), errs[0]) // what a handler returned
		} else {
			p = humaProblem(status, msg, errs)
		}
		p.RequestID = requestFrom(ctx.Context()).id
		p.setHeaders(ctx.SetHeader)
		return p
	}
}

// problemOf maps an error to the answer. One that is no fault, or an internal
// one, is logged whole and told as "internal error".
func problemOf(ctx context.Context, err error) *Problem {
	rq := requestFrom(ctx)
	var bodyLimit *http.MaxBytesError
	if errors.As(err, &bodyLimit) {
		err = fault.New(fault.TooLarge, "too_large", "The body is larger than %d bytes.", bodyLimit.Limit)
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Internal {
		if ctx.Err() == nil { // else the client went away, and nobody reads the answer
			rq.log().ErrorContext(ctx, "request failed", "error", err)
		}
		f = fault.New(fault.Internal, "internal", "internal error")
	} else if f.Kind == fault.Unavailable && ctx.Err() == nil && !rq.warned {
		rq.warned = true
		rq.log().WarnContext(ctx, "request refused", "error", err)
	}
	status := statuses[f.Kind]
	return &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: f.Detail, Code: f.Code, Errors: f.Fields, RequestID: rq.id, retryAfter: f.RetryAfter,
	}
}

// maxProblems is how many wrong fields one answer names: a body may have more of
// them than anybody reads.
const maxProblems = 64

// humaProblem gives huma's own findings the shape of ours. The values it quotes
// are left out: a password may be among them.
func humaProblem(status int, msg string, errs []error) *Problem {
	p := &Problem{Type: "about:blank", Status: status, Detail: msg}
	for _, err := range errs {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			continue
		}
		field := d.ErrorDetail()
		switch {
		case field.Message == errNesting.Error():
			p.Status = http.StatusUnprocessableEntity // a limit other than size
		case strings.HasPrefix(field.Message, huma.ErrUnknownContentType.Error()):
			p.Status = http.StatusUnsupportedMediaType // also where the handler validates
		}
		if len(p.Errors) < maxProblems {
			p.Errors = append(p.Errors, fault.Field{Field: field.Location, Message: field.Message})
		}
	}
	p.Title, p.Code = http.StatusText(p.Status), humaCodes[p.Status]
	switch {
	case p.Code == "":
		p.Code = "internal"
	case p.Code == "invalid":
		p.Detail = "Some fields are not valid."
	case p.Code == "malformed" && len(p.Errors) > 0:
		p.Detail = "The body is not valid JSON."
	}
	return p
}

// setHeaders sets the headers that go with the problem.
func (p *Problem) setHeaders(set func(name, value string)) {
	if p.Status == http.StatusUnauthorized {
		set("WWW-Authenticate", "Bearer")
	}
	if p.retryAfter > 0 {
		set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
}

// writeProblem answers with err where no typed handler does: routers, sockets.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	problemOf(r.Context(), err).write(w)
}

func (p *Problem) write(w http.ResponseWriter) {
	p.setHeaders(w.Header().Set)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	// The peer may have gone: nothing is left to tell it.
	_ = json.NewEncoder(w).Encode(p)
}
