package client

import "time"

// Task is what is read of a task; what is not set is zero.
type Task struct {
	ID            string `json:"id"`
	GroupID       string `json:"group_id"`
	Kind          string `json:"kind"`
	Title         string `json:"title"`
	Priority      string `json:"priority"`
	Status        string `json:"status"`
	Phase         string `json:"phase"`
	Attempt       int    `json:"attempt"`
	MaxAttempts   int    `json:"max_attempts"`
	Reassignments int    `json:"reassignments"`
	Parent        string `json:"parent"`
	Index         *int   `json:"index"`
	Worker        *struct{ ID, Name string }
	Progress      *Progress
	Error         *struct{ Code, Message string }
	FanOut        *struct{}  `json:"fan_out"` // of a parent
	Children      *Children  `json:"children"`
	CreatedAt     time.Time  `json:"created_at"`
	StartedAt     *time.Time `json:"started_at"`
	FinishedAt    *time.Time `json:"finished_at"`
	QueueMS       *int64     `json:"queue_ms"`
	RunMS         *int64     `json:"run_ms"`
}

// Progress is how far an attempt says it is.
type Progress struct {
	TaskID  string   `json:"task_id"` // in events only
	Attempt int      `json:"attempt"` // in events only
	Percent *float64 `json:"percent"` // nil: unknown
	Message string   `json:"message"`
}

// Children counts a parent's parts.
type Children struct{ Total, Queued, Running, Succeeded, Failed, Cancelled int }

// Ended reports whether the task is at its end.
func (t Task) Ended() bool {
	return t.Status == "succeeded" || t.Status == "failed" || t.Status == "cancelled"
}

// LogLine is one of a task's log.
type LogLine struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt"`
	Stream  string    `json:"stream"`
	Line    string    `json:"line"`
}
