package protocol

import (
	"fmt"
	"regexp"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// FieldError says that a message was understood but one of its fields cannot
// be used. It is answered with an `error` message, a bad hello with
// CloseMalformed.
type FieldError struct {
	Code    string // CodeBadField or CodeTooLarge
	Message string // names the field; safe to show to the peer
}

func (e *FieldError) Error() string { return e.Code + ": " + e.Message }

// Reply is the message that tells the worker.
func (e *FieldError) Reply() Error {
	return Error{Type: TypeError, Code: e.Code, Message: e.Message}
}

func badField(format string, args ...any) *FieldError {
	return &FieldError{CodeBadField, fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) *FieldError {
	return &FieldError{CodeTooLarge, fmt.Sprintf(format, args...)}
}

// FromWorker says whether workers send this type in version 1.
func (t Type) FromWorker() bool {
	switch t {
	case TypeHello, TypePong, TypeProgress, TypeLog, TypeCheckpoint, TypeResult, TypeSlots, TypeDrain:
		return true
	}
	return false
}

// FromServer says whether servers send this type in version 1.
func (t Type) FromServer() bool {
	switch t {
	case TypeWelcome, TypePing, TypeAssign, TypeAck, TypeCancel, TypeGroups, TypeError, TypeDrain:
		return true
	}
	return false
}

var kindPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ValidKind says whether name can be the name of a kind.
func ValidKind(name string) bool { return kindPattern.MatchString(name) }

// Validate checks every field against section 2; errors are *FieldError. It
// brings the name to Unicode NFC first, so that two spellings are one worker.
func (h *Hello) Validate() error {
	h.Name = norm.NFC.String(h.Name)
	if err := checkText("name", h.Name, 1, MaxNameChars); err != nil {
		return err
	}
	if len(h.Kinds) == 0 || len(h.Kinds) > MaxKinds {
		return badField("kinds: %d of them, 1 to %d allowed", len(h.Kinds), MaxKinds)
	}
	for _, k := range h.Kinds {
		if !ValidKind(k) {
			return badField("kinds: %.80q is not the name of a kind", k)
		}
	}
	if err := checkSlots(h.Slots); err != nil {
		return err
	}
	if len(h.Groups) > MaxGroups {
		return badField("groups: %d of them, at most %d allowed", len(h.Groups), MaxGroups)
	}
	if err := h.checkLabels(); err != nil {
		return err
	}
	if (h.Session == "") != (h.Resume == "") {
		return badField("session and resume go together")
	}
	if len(h.Running) > 0 && h.Session == "" {
		return badField("running: only together with session")
	}
	if len(h.Running) > MaxRunning {
		return tooLarge("running: more than %d attempts", MaxRunning)
	}
	for _, r := range h.Running {
		if err := checkRef(r.Task, r.Attempt); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hello) checkLabels() error {
	if len(h.Labels) > MaxLabels {
		return badField("labels: more than %d", MaxLabels)
	}
	for k, v := range h.Labels {
		if err := checkText("labels: a name", k, 1, MaxNameChars); err != nil {
			return err
		}
		if err := checkText("labels."+k, v, 0, MaxLabelChars); err != nil {
			return err
		}
	}
	return checkText("sdk", h.SDK, 0, MaxLabelChars)
}

// Validate checks a progress message; errors are *FieldError.
func (p *Progress) Validate() error {
	if err := checkRef(p.Task, p.Attempt); err != nil {
		return err
	}
	if p.Percent != nil && !(*p.Percent >= 0 && *p.Percent <= 100) {
		return badField("percent: 0 to 100 allowed")
	}
	if utf8.RuneCountInString(p.Message) > MaxProgressChars {
		return tooLarge("message: more than %d characters", MaxProgressChars)
	}
	return checkText("message", p.Message, 0, MaxProgressChars)
}

// Validate checks log lines; errors are *FieldError. An empty stream becomes
// StreamLog.
func (l *Log) Validate() error {
	if err := checkRef(l.Task, l.Attempt); err != nil {
		return err
	}
	switch l.Stream {
	case "":
		l.Stream = StreamLog
	case StreamLog, StreamStdout, StreamStderr:
	default:
		return badField("stream: stdout, stderr or log")
	}
	for i, line := range l.Lines {
		if len(line) > MaxLogLine {
			return tooLarge("lines[%d]: more than %d bytes", i, MaxLogLine)
		}
	}
	return nil
}

// Validate checks a checkpoint; errors are *FieldError.
func (c *Checkpoint) Validate() error {
	if err := checkRef(c.Task, c.Attempt); err != nil {
		return err
	}
	if len(c.Data) == 0 {
		return badField("data: missing")
	}
	if len(c.Data) > MaxCheckpoint {
		return tooLarge("data: more than %d bytes", MaxCheckpoint)
	}
	return nil
}

// Validate checks a result; errors are *FieldError.
func (r *Result) Validate() error {
	if err := checkRef(r.Task, r.Attempt); err != nil {
		return err
	}
	switch r.Status {
	case Succeeded:
		if len(r.Output) == 0 {
			return badField("output: missing")
		}
	case Failed:
		if r.Error == nil || r.Error.Code == "" {
			return badField("error: a failed result needs one, with a code")
		}
	case Cancelled, Rejected:
	default:
		return badField("status: succeeded, failed, cancelled or rejected")
	}
	if len(r.Output) > MaxPayloadBytes {
		return tooLarge("output: more than %d bytes", MaxPayloadBytes)
	}
	return nil
}

// Validate checks a change of capacity; errors are *FieldError.
func (s *Slots) Validate() error { return checkSlots(s.Slots) }

// clip shortens what is too long. A result is not refused for it: the worker
// would send it again for ever.
func (e *TaskError) clip() {
	e.Code = Clip(e.Code, MaxNameChars)
	e.Message = Clip(e.Message, MaxErrorChars)
}

// Clip cuts s to at most chars characters; the last one of a cut text is "…".
func Clip(s string, chars int) string {
	if len(s) <= chars || utf8.RuneCountInString(s) <= chars {
		return s
	}
	n := 0
	for i := range s {
		if n++; n == chars {
			return s[:i] + "…"
		}
	}
	return s
}

func checkSlots(n int) error {
	if n < 0 || n > MaxSlots {
		return badField("slots: %d, 0 to %d allowed", n, MaxSlots)
	}
	return nil
}

func checkRef(task string, attempt int) error {
	if task == "" || len(task) > MaxIDBytes {
		return badField("task: 1 to %d characters", MaxIDBytes)
	}
	if attempt < 1 {
		return badField("attempt: 1 or more")
	}
	return nil
}

func checkText(field, s string, least, most int) error {
	if n := utf8.RuneCountInString(s); n < least || n > most {
		return badField("%s: %d to %d characters", field, least, most)
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return badField("%s: control characters are not allowed", field)
		}
	}
	return nil
}
