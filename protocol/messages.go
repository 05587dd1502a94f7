// Package protocol is version 1 of the worker protocol (docs/worker-protocol.md):
// its messages, their limits, the decoder and the close codes. Server and
// workers share it; it depends on nothing else of this project.
package protocol

import (
	"encoding/json"
	"time"
)

// Subprotocol is what a worker MUST offer in the WebSocket handshake.
const Subprotocol = "firmlight.worker.v1"

// Path is where a worker connects.
const Path = "/api/v1/worker"

// Type names a message; every object on the wire carries one.
type Type string

// Messages from worker to server.
const (
	TypeHello      Type = "hello"
	TypePong       Type = "pong"
	TypeProgress   Type = "progress"
	TypeLog        Type = "log"
	TypeCheckpoint Type = "checkpoint"
	TypeResult     Type = "result"
	TypeSlots      Type = "slots"
	TypeDrain      Type = "drain" // both directions
)

// Messages from server to worker.
const (
	TypeWelcome Type = "welcome"
	TypePing    Type = "ping"
	TypeAssign  Type = "assign"
	TypeAck     Type = "ack"
	TypeCancel  Type = "cancel"
	TypeGroups  Type = "groups"
	TypeError   Type = "error"
)

// AttemptRef names one attempt of one task: the fence of section 4.
type AttemptRef struct {
	Task    string `json:"task"`
	Attempt int    `json:"attempt"`
}

// Hello opens a connection. Session, Resume and Running only when resuming.
type Hello struct {
	Type    Type              `json:"type"`
	Name    string            `json:"name"`
	Kinds   []string          `json:"kinds"`
	Slots   int               `json:"slots"`
	Groups  []string          `json:"groups,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	SDK     string            `json:"sdk,omitempty"`
	Session string            `json:"session,omitempty"`
	Resume  string            `json:"resume,omitempty"`
	Running []AttemptRef      `json:"running,omitempty"`
}

// Welcome answers hello. Times are in milliseconds, MaxMessageBytes in bytes.
type Welcome struct {
	Type            Type         `json:"type"`
	Session         string       `json:"session"`
	Resume          string       `json:"resume"`
	Worker          string       `json:"worker"`
	Groups          []string     `json:"groups"`
	PingMS          int64        `json:"ping_ms"`
	TimeoutMS       int64        `json:"timeout_ms"`
	GraceMS         int64        `json:"grace_ms"`
	MaxMessageBytes int64        `json:"max_message_bytes"`
	Resumed         []AttemptRef `json:"resumed"`
	Dropped         []AttemptRef `json:"dropped"`
}

// Assign gives one attempt to a worker. Index and Count are set together with
// Parent; Index is a pointer because the first part has index 0.
type Assign struct {
	Type       Type            `json:"type"`
	Task       string          `json:"task"`
	Attempt    int             `json:"attempt"`
	Kind       string          `json:"kind"`
	Group      string          `json:"group"`
	Input      json.RawMessage `json:"input,omitempty"`
	TimeoutMS  int64           `json:"timeout_ms"`
	Deadline   Time            `json:"deadline"`
	Parent     string          `json:"parent,omitempty"`
	Index      *int            `json:"index,omitempty"`
	Count      int             `json:"count,omitempty"`
	Checkpoint json.RawMessage `json:"checkpoint,omitempty"`
	Trace      string          `json:"trace,omitempty"` // W3C traceparent of the attempt
}

// Progress reports how far an attempt is. Percent is nil when unknown.
type Progress struct {
	Type    Type     `json:"type"`
	Task    string   `json:"task"`
	Attempt int      `json:"attempt"`
	Percent *float64 `json:"percent,omitempty"`
	Message string   `json:"message,omitempty"`
}

// Streams of a log line.
const (
	StreamStdout = "stdout"
	StreamStderr = "stderr"
	StreamLog    = "log"
)

// Log carries lines of at most MaxLogLine bytes each.
type Log struct {
	Type    Type     `json:"type"`
	Task    string   `json:"task"`
	Attempt int      `json:"attempt"`
	Lines   []string `json:"lines"`
	Stream  string   `json:"stream,omitempty"` // default StreamLog
}

// Checkpoint is handed over with the next attempt; the newest replaces the older.
type Checkpoint struct {
	Type    Type            `json:"type"`
	Task    string          `json:"task"`
	Attempt int             `json:"attempt"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// ResultStatus is how an attempt ended at the worker.
type ResultStatus string

const (
	Succeeded ResultStatus = "succeeded"
	Failed    ResultStatus = "failed"
	Cancelled ResultStatus = "cancelled"
	Rejected  ResultStatus = "rejected"
)

// TaskError is why an attempt, and in the end a task, failed.
type TaskError struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
}

// Result ends an attempt; it is sent again until acknowledged.
type Result struct {
	Type    Type            `json:"type"`
	Task    string          `json:"task"`
	Attempt int             `json:"attempt"`
	Status  ResultStatus    `json:"status"`
	Output  json.RawMessage `json:"output,omitempty"`
	Error   *TaskError      `json:"error,omitempty"`
}

// Reasons of an Ack that was not accepted.
const (
	StaleAttempt    = "stale_attempt"
	AlreadyFinished = "already_finished"
	NotOwner        = "not_owner"
	UnknownTask     = "unknown_task"
)

// Ack answers a result once it is durable, or refuses it for good.
type Ack struct {
	Type     Type   `json:"type"`
	Task     string `json:"task"`
	Attempt  int    `json:"attempt"`
	Accepted bool   `json:"accepted"`
	Reason   string `json:"reason,omitempty"`
}

// Reasons of a Cancel.
const (
	CancelRequested  = "requested"
	CancelTimeout    = "timeout"
	CancelReassigned = "reassigned"
)

// Cancel asks the worker to stop an attempt; it MUST still answer with a result.
type Cancel struct {
	Type    Type   `json:"type"`
	Task    string `json:"task"`
	Attempt int    `json:"attempt"`
	Reason  string `json:"reason"`
}

// Slots changes a worker's capacity; 0 pauses.
type Slots struct {
	Type  Type `json:"type"`
	Slots int  `json:"slots"`
}

// Groups tells a worker which groups it now works for.
type Groups struct {
	Type   Type     `json:"type"`
	Groups []string `json:"groups"`
}

// Codes of an Error message; the connection stays open.
const (
	CodeUnknownType = "unknown_type"
	CodeBadField    = "bad_field"
	CodeTooLarge    = "too_large"
	CodeRate        = "rate"
)

// Error says that the last message was not used.
type Error struct {
	Type    Type   `json:"type"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Bare is a message without fields: ping, pong, drain.
type Bare struct {
	Type Type `json:"type"`
}

// Time is written as RFC 3339 UTC with milliseconds.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}
