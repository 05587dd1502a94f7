package worker

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

var _ workload.Job = (*Task)(nil)

// Task is one attempt as a handler sees it. Its methods may be called from any
// goroutine, never wait for the network, and do nothing once the handler has
// returned.
type Task struct {
	ID      string
	Attempt int // from 1, higher with every hand-over
	Kind    string
	Group   string
	Input   json.RawMessage

	// Parent, Index and Count are set for one part of a fan-out: the Index-th
	// (from 0) of Count parts of the task Parent.
	Parent string
	Index  int
	Count  int

	// Trace is the W3C traceparent of the attempt, for spans of the handler's own and
	// as a header of what it calls over HTTP; empty where the server does not trace
	// the task.
	Trace string

	// Logger writes to the worker's own log, with the task's id. Log writes to
	// the task's log, which people see.
	Logger *slog.Logger

	worker     *Worker
	entry      *attempt
	checkpoint json.RawMessage
}

// Decode reads the input into v. Its error, returned by a handler, fails the
// task for good with code bad_input.
func (t *Task) Decode(v any) error {
	if err := json.Unmarshal(t.Input, v); err != nil {
		return Fail("bad_input", err.Error(), false)
	}
	return nil
}

// Progress reports percent done, 0 to 100, and a short message. A percentage
// below 0, or NaN, means that it is not known. At most five a second are sent,
// always the newest, and always the last.
func (t *Task) Progress(percent float64, message string) {
	p := &protocol.Progress{Task: t.ID, Attempt: t.Attempt, Message: cleanMessage(message)}
	if percent >= 0 {
		percent = min(percent, 100)
		p.Percent = &percent
	}
	t.update(func(u *updates) { u.progress = p })
}

// Log writes to the task's log, one line or several.
func (t *Task) Log(line string) { t.LogStream(protocol.StreamLog, line) }

// LogStream writes to one stream of the task's log: protocol.StreamLog,
// StreamStdout or StreamStderr. Lines above 4 KiB are cut into several.
func (t *Task) LogStream(stream, text string) {
	lines := splitLines(text)
	t.update(func(u *updates) {
		for _, line := range lines {
			u.addLine(stream, line)
		}
	})
}

// SaveCheckpoint replaces the task's checkpoint with data as JSON; the next
// attempt starts from it. An error means that data is no JSON, or larger than
// 256 KiB, and that the older checkpoint stays.
func (t *Task) SaveCheckpoint(data any) error {
	text, err := encodeJSON(data, protocol.MaxNesting-1)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if len(text) > protocol.MaxCheckpoint {
		return fmt.Errorf("checkpoint: %d bytes, %d are allowed", len(text), protocol.MaxCheckpoint)
	}
	text = append(json.RawMessage(nil), text...) // the caller's memory may change
	t.update(func(u *updates) { u.checkpoint, u.lastCheckpoint = text, text })
	return nil
}

// LoadCheckpoint returns the checkpoint an earlier attempt left, or nil.
func (t *Task) LoadCheckpoint() json.RawMessage { return t.checkpoint }

func (t *Task) update(change func(*updates)) {
	t.worker.ledger.update(t.entry, change)
	t.worker.wakeUp()
}

// cleanMessage makes one line of at most MaxProgressChars characters.
func cleanMessage(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	return protocol.Clip(s, protocol.MaxProgressChars)
}

// splitLines cuts text at newlines, and lines that are too long between
// characters.
func splitLines(text string) (lines []string) {
	text = strings.TrimSuffix(strings.ToValidUTF8(text, "\uFFFD"), "\n")
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		for len(line) > protocol.MaxLogLine {
			cut := protocol.MaxLogLine
			for !utf8.RuneStart(line[cut]) {
				cut--
			}
			lines = append(lines, line[:cut])
			line = line[cut:]
		}
		lines = append(lines, line)
	}
	return lines
}
