package mongo

import (
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// taskRow is a tasks.Task as it is stored: the names of tasks.Column, and _id.
// The compiler checks that the two agree.
type taskRow struct {
	ID                string              `bson:"_id"`
	Group             string              `bson:"group_id"`
	Kind              string              `bson:"kind"`
	Title             string              `bson:"title"`
	CreatedBy         string              `bson:"created_by"`
	Priority          tasks.Priority      `bson:"priority"`
	Status            tasks.Status        `bson:"status"`
	Phase             tasks.Phase         `bson:"phase"`
	CreatedAt         time.Time           `bson:"created_at"`
	RunAt             time.Time           `bson:"run_at"`
	EnqueuedAt        time.Time           `bson:"enqueued_at"`
	StartedAt         time.Time           `bson:"started_at"`
	Deadline          time.Time           `bson:"deadline"`
	FinishedAt        time.Time           `bson:"finished_at"`
	CancelRequestedAt time.Time           `bson:"cancel_requested_at"`
	Attempt           int                 `bson:"attempt"`
	Failures          int                 `bson:"failures"`
	MaxAttempts       int                 `bson:"max_attempts"`
	Reassignments     int                 `bson:"reassignments"`
	MaxReassignments  int                 `bson:"max_reassignments"`
	Timeout           time.Duration       `bson:"timeout"`
	Server            string              `bson:"server"`
	Session           string              `bson:"session"`
	Epoch             int64               `bson:"epoch"`
	Worker            string              `bson:"worker"`
	WorkerName        string              `bson:"worker_name"`
	RunBy             string              `bson:"run_by"`
	Accepted          int                 `bson:"accepted"`
	Percent           *float64            `bson:"percent"`
	Message           string              `bson:"message"`
	Error             *protocol.TaskError `bson:"error"`
	Trace             string              `bson:"trace"`
	InBytes           int64               `bson:"in_bytes"`
	OutBytes          int64               `bson:"out_bytes"`
	DropAt            time.Time           `bson:"drop_at"`
	DroppedAt         time.Time           `bson:"dropped_at"`
	ResultRetention   *time.Duration      `bson:"result_retention"`
	Parent            string              `bson:"parent"`
	Key               string              `bson:"key"`
	Index             int                 `bson:"idx"`
	Count             int                 `bson:"cnt"`
	Target            string              `bson:"target"`
	FanOut            tasks.FanOut        `bson:"fan_out"`
	Gen               int64               `bson:"gen"`
	ReduceBy          string              `bson:"reduce_by"`
	ReduceUntil       time.Time           `bson:"reduce_until"`
	ReduceN           int64               `bson:"reduce_n"`
}

// taskDoc is a task with what is one step with it.
type taskDoc struct {
	Task taskRow `bson:",inline"`
	// Slot is unique: of an idempotency key, of a child's key, else the id.
	Slot     string     `bson:"slot"`
	BodyHash string     `bson:"body_hash"`
	Words    []string   `bson:"words"` // of the title
	History  []entryDoc `bson:"history"`
	Output   string     `bson:"output"` // which payload it is; empty: none
}

// metadata leaves out what Task has not.
var metadata = D{is("words", 0), is("history", 0)}

func docOf(n *tasks.New) taskDoc {
	return taskDoc{
		Task: taskRow(n.Task), Slot: slotOf(n), BodyHash: n.BodyHash, Words: list(tasks.TitleWords(n.Title)), History: []entryDoc{},
	}
}

func slotOf(n *tasks.New) string {
	switch {
	case n.IdempotencyKey != "":
		return "key/" + n.IdempotencyKey
	case n.Parent != "":
		return "part/" + n.Parent + "/" + n.Key
	}
	return n.ID
}

// entryDoc is a tasks.Entry as it is stored.
type entryDoc struct {
	At      time.Time   `bson:"at"`
	Event   tasks.Event `bson:"event"`
	Attempt int         `bson:"attempt"`
	Worker  string      `bson:"worker"`
	Session string      `bson:"session"`
	Detail  string      `bson:"detail"`
}

func entryDocs(entries []tasks.Entry) []entryDoc {
	docs := make([]entryDoc, len(entries))
	for i, e := range entries {
		docs[i] = entryDoc(e)
	}
	return docs
}
