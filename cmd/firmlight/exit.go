package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/firmlight/firmlight/internal/client"
)

// Exit statuses; the program's help and docs/command-line.md say the same.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitForbidden   = 3
	exitNotFound    = 4
	exitAway        = 5
	exitRefused     = 6
	exitInterrupted = 130 // as shells have it for SIGINT
)

// failure is an error with the exit status that it means.
type failure struct {
	status int
	text   string
	hint   string // what to do about it; may be empty
}

func (f *failure) Error() string { return f.text }

func fail(status int, format string, args ...any) *failure {
	return &failure{status: status, text: fmt.Sprintf(format, args...)}
}

func usage(format string, args ...any) *failure { return fail(exitUsage, format, args...) }

func (f *failure) hinting(format string, args ...any) *failure {
	f.hint = fmt.Sprintf(format, args...)
	return f
}

// statusOf is the exit status of an error; of several, the first one's.
func statusOf(err error) int {
	var f *failure
	var p *client.Problem
	var away *client.Away
	var file *fs.PathError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &f):
		return f.status
	case errors.As(err, &p):
		return statusOfHTTP(p.Status)
	case errors.As(err, &away):
		return exitAway
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &file):
		return exitUsage
	}
	return exitRefused
}

func statusOfHTTP(status int) int {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return exitForbidden
	case status == http.StatusNotFound, status == http.StatusGone:
		return exitNotFound
	case status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return exitAway
	case status == http.StatusConflict:
		return exitRefused
	}
	return exitUsage
}

// tell prints an error as a person reads it.
func tell(w io.Writer, err error) {
	if err == nil {
		return
	}
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		for _, one := range several.Unwrap() {
			tell(w, one)
		}
		return
	}
	text, hint := err.Error(), ""
	var f *failure
	var p *client.Problem
	switch {
	case errors.As(err, &f):
		hint = f.hint
	case errors.As(err, &p):
		text, hint = strings.Replace(text, p.Error(), inWords(p), 1), hintFor(p)
	case errors.Is(err, context.Canceled):
		text = "interrupted"
	}
	if text != "" {
		fmt.Fprintln(w, "firmlight:", printable(text))
	}
	if hint != "" {
		fmt.Fprintln(w, "  "+hint)
	}
}

// inWords is a problem without its numbers and codes.
func inWords(p *client.Problem) string {
	text := p.Detail
	for _, f := range p.Errors {
		text += "\n  " + strings.TrimPrefix(f.Field, "body.") + ": " + f.Message
	}
	if p.Status >= http.StatusInternalServerError && p.RequestID != "" {
		text += "\n  Name this when you ask for help: request " + p.RequestID
	}
	return text
}

func hintFor(p *client.Problem) string {
	switch {
	case p.Status == http.StatusUnauthorized && p.Code != "bad_credentials":
		return "Log in with: firmlight login. Or set FIRMLIGHT_TOKEN to an API token."
	case p.Code == "wrong_token_kind":
		return "The token is of another kind; FIRMLIGHT_TOKEN and --token go before a login."
	}
	return ""
}
