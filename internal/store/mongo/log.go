package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/tasks"
)

// logDoc is a task's log: its limits keep it small enough to be written as a
// whole.
type logDoc struct {
	Task    string    `bson:"_id"`
	LastSeq int64     `bson:"last_seq"` // compared when it is written
	Dropped int64     `bson:"dropped"`
	Lines   []lineDoc `bson:"lines"`
}

// lineDoc is a tasks.LogLine as it is stored.
type lineDoc struct {
	Seq     int64     `bson:"seq"`
	At      time.Time `bson:"at"`
	Attempt int       `bson:"attempt"`
	Stream  string    `bson:"stream"`
	Line    string    `bson:"line"`
}

// AppendLog implements tasks.Payloads. Lines are numbered from 1 for each task,
// over all its attempts; the numbers are written into lines when it returns true.
// The attempt is looked for first: a line of it may come just behind one of the
// next, and says whose it is.
func (db *DB) AppendLog(ctx context.Context, id string, attempt int, session string, lines []tasks.LogLine) (bool, error) {
	for {
		ok, err := db.owned(ctx, id, attempt, session)
		if err != nil || !ok || len(lines) == 0 {
			return ok, err
		}
		l, err := findOne[logDoc](ctx, db.in("logs"), nil, D{is("_id", id)})
		if err != nil {
			return false, err
		}
		before := l.LastSeq
		l.Task = id
		l.add(lines)
		_, err = db.in("logs").ReplaceOne(ctx, D{is("_id", id), is("last_seq", before)}, l, options.Replace().SetUpsert(true))
		if err == nil {
			for i := range lines {
				lines[i].Seq = before + 1 + int64(i)
			}
			return true, nil
		}
		if !mongo.IsDuplicateKeyError(err) { // else somebody else was first
			return false, fail(err)
		}
	}
}

// add appends lines, then drops the oldest until the limits hold.
func (l *logDoc) add(lines []tasks.LogLine) {
	for _, line := range lines {
		l.LastSeq++
		line.Seq = l.LastSeq
		l.Lines = append(l.Lines, lineDoc(line))
	}
	keep, bytes := 0, 0
	for i := len(l.Lines) - 1; i >= 0 && keep < tasks.MaxLogLines; i-- {
		if bytes += len(l.Lines[i].Line); bytes > tasks.MaxLogBytes {
			break
		}
		keep++
	}
	l.Dropped += int64(len(l.Lines) - keep)
	l.Lines = l.Lines[len(l.Lines)-keep:]
}

// Log implements tasks.Payloads: nothing for unknown and dropped tasks. A limit
// of zero or less is MaxLogLines.
func (db *DB) Log(ctx context.Context, id string, after int64, limit int) ([]tasks.LogLine, int64, error) {
	if limit <= 0 || limit > tasks.MaxLogLines {
		limit = tasks.MaxLogLines
	}
	l, err := findOne[logDoc](ctx, db.in("logs"), nil, D{is("_id", id)})
	var lines []tasks.LogLine
	for _, line := range l.Lines {
		if line.Seq > after && len(lines) < limit {
			lines = append(lines, tasks.LogLine(line))
		}
	}
	return lines, l.Dropped, err
}
