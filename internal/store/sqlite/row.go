package sqlite

import (
	"database/sql"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// taskColumns are the columns of tasks in the order of rowArgs and scanTask;
// seq comes before them, words after.
var taskColumns = []string{
	"id", "group_id", "kind", "title", "created_by", "priority", "status", "phase",
	"created_at", "run_at", "enqueued_at", "started_at", "deadline", "finished_at", "cancel_requested_at",
	"attempt", "failures", "max_attempts", "reassignments", "max_reassignments", "timeout",
	"server", "session", "epoch", "worker", "worker_name", "run_by", "accepted",
	"percent", "message", "error", "trace", "in_bytes", "out_bytes",
	"drop_at", "dropped_at", "result_retention", "parent", "key", "idx", "cnt", "target",
	"fan_out", "gen", "reduce_by", "reduce_until", "reduce_n",
}

var (
	selectCols = "seq, " + strings.Join(taskColumns, ", ")
	insertTask = "INSERT INTO tasks (" + strings.Join(taskColumns, ", ") + ", words) VALUES (" +
		strings.Repeat("?, ", len(taskColumns)) + "?) ON CONFLICT DO NOTHING"
)

// rowArgs returns t's values in the order of taskColumns, with room for words.
func rowArgs(t *tasks.Task) []any {
	return append(make([]any, 0, len(taskColumns)+1),
		t.ID, t.Group, t.Kind, t.Title, t.CreatedBy, string(t.Priority), string(t.Status), string(t.Phase),
		ms(t.CreatedAt), ms(t.RunAt), ms(t.EnqueuedAt), ms(t.StartedAt), ms(t.Deadline), ms(t.FinishedAt), ms(t.CancelRequestedAt),
		t.Attempt, t.Failures, t.MaxAttempts, t.Reassignments, t.MaxReassignments, t.Timeout.Milliseconds(),
		t.Server, t.Session, t.Epoch, t.Worker, t.WorkerName, t.RunBy, t.Accepted,
		nullable(t.Percent, func(p float64) float64 { return p }), t.Message, errorJSON(t.Error), t.Trace, t.InBytes, t.OutBytes,
		ms(t.DropAt), ms(t.DroppedAt), nullable(t.ResultRetention, time.Duration.Milliseconds), t.Parent, t.Key, t.Index, t.Count, t.Target,
		fanOutJSON(t.FanOut), t.Gen, t.ReduceBy, ms(t.ReduceUntil), t.ReduceN,
	)
}

// scanTask reads a row of selectCols.
func scanTask(rows *sql.Rows, more ...any) (seq int64, t tasks.Task, err error) {
	var retention sql.NullInt64
	err = rows.Scan(append([]any{
		(*int64Col)(&seq),
		&t.ID, &t.Group, &t.Kind, &t.Title, &t.CreatedBy, (*string)(&t.Priority), (*string)(&t.Status), (*string)(&t.Phase),
		(*timeCol)(&t.CreatedAt), (*timeCol)(&t.RunAt), (*timeCol)(&t.EnqueuedAt), (*timeCol)(&t.StartedAt),
		(*timeCol)(&t.Deadline), (*timeCol)(&t.FinishedAt), (*timeCol)(&t.CancelRequestedAt),
		(*intCol)(&t.Attempt), (*intCol)(&t.Failures), (*intCol)(&t.MaxAttempts), (*intCol)(&t.Reassignments),
		(*intCol)(&t.MaxReassignments), (*durationCol)(&t.Timeout),
		&t.Server, &t.Session, (*int64Col)(&t.Epoch), &t.Worker, &t.WorkerName, &t.RunBy, (*intCol)(&t.Accepted),
		&t.Percent, &t.Message, jsonCol{&t.Error}, &t.Trace, (*int64Col)(&t.InBytes), (*int64Col)(&t.OutBytes),
		(*timeCol)(&t.DropAt), (*timeCol)(&t.DroppedAt), &retention, &t.Parent, &t.Key, (*intCol)(&t.Index), (*intCol)(&t.Count), &t.Target,
		jsonCol{&t.FanOut}, (*int64Col)(&t.Gen), &t.ReduceBy, (*timeCol)(&t.ReduceUntil), (*int64Col)(&t.ReduceN),
	}, more...)...)
	if retention.Valid {
		d := time.Duration(retention.Int64) * time.Millisecond
		t.ResultRetention = &d
	}
	return seq, t, err
}
