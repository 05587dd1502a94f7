package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/firmlight/firmlight/internal/tasks"
)

// logState is a row of task_logs: what a task's log holds.
type logState struct {
	task, lastSeq, lines, bytes, dropped int64
}

// AppendLog implements tasks.Payloads. Lines are numbered from 1 for each task,
// over all its attempts; the numbers are written into lines when it returns true.
func (db *DB) AppendLog(ctx context.Context, id string, attempt int, session string, lines []tasks.LogLine) (bool, error) {
	var first int64
	err := db.submit(ctx, 1+len(lines)/2, bySavepoint, func(tx *writeTx) error {
		var l logState
		if err := tx.row("SELECT seq "+ownedRow, []any{id, attempt, session}, (*int64Col)(&l.task)); err != nil {
			return err
		}
		err := tx.row("SELECT last_seq, lines, bytes, dropped FROM task_logs WHERE task = ?", []any{l.task},
			(*int64Col)(&l.lastSeq), (*int64Col)(&l.lines), (*int64Col)(&l.bytes), (*int64Col)(&l.dropped))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		first = l.lastSeq + 1
		return tx.appendLog(l, lines)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for i := range lines {
		lines[i].Seq = first + int64(i)
	}
	return true, nil
}

// appendLog adds lines, then drops the oldest until the limits hold.
func (tx *writeTx) appendLog(l logState, lines []tasks.LogLine) error {
	skip := excess(lines)
	if skip > 0 { // so all that was there goes first
		if err := tx.exec1("DELETE FROM task_log_lines WHERE task = ?", l.task); err != nil {
			return err
		}
		l.lastSeq += int64(skip)
		l.dropped += int64(skip) + l.lines
		l.lines, l.bytes = 0, 0
	}
	for _, line := range lines[skip:] {
		l.lastSeq++
		l.lines++
		l.bytes += int64(len(line.Line))
		err := tx.exec1("INSERT INTO task_log_lines (task, seq, at, attempt, stream, line) VALUES (?, ?, ?, ?, ?, ?)",
			l.task, l.lastSeq, ms(line.At), line.Attempt, line.Stream, line.Line)
		if err != nil {
			return err
		}
	}
	if l.lines > tasks.MaxLogLines || l.bytes > tasks.MaxLogBytes {
		if err := tx.trimLog(&l); err != nil {
			return err
		}
	}
	return tx.exec1("INSERT OR REPLACE INTO task_logs (task, last_seq, lines, bytes, dropped) VALUES (?, ?, ?, ?, ?)",
		l.task, l.lastSeq, l.lines, l.bytes, l.dropped)
}

// excess returns how many of lines could not stay even alone.
func excess(lines []tasks.LogLine) int {
	bytes := 0
	for i := len(lines) - 1; i >= 0; i-- {
		bytes += len(lines[i].Line)
		if bytes > tasks.MaxLogBytes || len(lines)-i > tasks.MaxLogLines {
			return i + 1
		}
	}
	return 0
}

func (tx *writeTx) trimLog(l *logState) error {
	rows, err := tx.query("SELECT seq, length(CAST(line AS BLOB)) FROM task_log_lines WHERE task = ? ORDER BY seq", l.task)
	if err != nil {
		return err
	}
	var last int64
	for l.lines > tasks.MaxLogLines || l.bytes > tasks.MaxLogBytes {
		if !rows.Next() {
			break
		}
		var bytes int64
		if err := rows.Scan((*int64Col)(&last), (*int64Col)(&bytes)); err != nil {
			rows.Close()
			return err
		}
		l.lines--
		l.bytes -= bytes
		l.dropped++
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	return tx.exec1("DELETE FROM task_log_lines WHERE task = ? AND seq <= ?", l.task, last)
}

// Log implements tasks.Payloads: nothing for unknown and dropped tasks. A limit
// of zero or less is MaxLogLines.
func (db *DB) Log(ctx context.Context, id string, after int64, limit int) ([]tasks.LogLine, int64, error) {
	var task, dropped int64
	err := db.readRow(ctx, "SELECT l.task, l.dropped FROM tasks t JOIN task_logs l ON l.task = t.seq WHERE t.id = ?",
		[]any{id}, (*int64Col)(&task), (*int64Col)(&dropped))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if limit <= 0 || limit > tasks.MaxLogLines {
		limit = tasks.MaxLogLines
	}
	var lines []tasks.LogLine
	err = db.read(ctx, func(rows *sql.Rows) error {
		var l tasks.LogLine
		err := rows.Scan((*int64Col)(&l.Seq), (*timeCol)(&l.At), (*intCol)(&l.Attempt), &l.Stream, &l.Line)
		lines = append(lines, l)
		return err
	}, "SELECT seq, at, attempt, stream, line FROM task_log_lines WHERE task = ? AND seq > ? ORDER BY seq LIMIT ?", task, after, limit)
	return lines, dropped, err
}
