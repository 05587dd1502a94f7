package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/firmlight/firmlight/internal/tasks"
)

const insertHistory = `INSERT INTO task_history (task, n, at, event, attempt, worker, session, detail)
SELECT ?1, coalesce(max(n), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7 FROM task_history WHERE task = ?1`

// addHistory appends to a task's timeline; sql.ErrNoRows where there is no such task.
func (tx *writeTx) addHistory(task string, entries []tasks.Entry) error {
	var seq int64
	if err := tx.row("SELECT seq FROM tasks WHERE id = ?", []any{task}, (*int64Col)(&seq)); err != nil {
		return err
	}
	for _, e := range entries {
		err := tx.exec1(insertHistory, seq, ms(e.At), string(e.Event), e.Attempt, e.Worker, e.Session, e.Detail)
		if err != nil {
			return err
		}
	}
	return nil
}

// AddHistory implements tasks.Payloads. ErrNotFound for an unknown id.
func (db *DB) AddHistory(ctx context.Context, id string, e tasks.Entry) error {
	err := db.submit(ctx, 1, withAll, func(tx *writeTx) error { return tx.addHistory(id, []tasks.Entry{e}) })
	if errors.Is(err, sql.ErrNoRows) {
		return tasks.ErrNotFound
	}
	return err
}

// History implements tasks.Payloads: nothing for an unknown id.
func (db *DB) History(ctx context.Context, id string) ([]tasks.Entry, error) {
	var out []tasks.Entry
	err := db.read(ctx, func(rows *sql.Rows) error {
		var e tasks.Entry
		err := rows.Scan((*timeCol)(&e.At), (*string)(&e.Event), (*intCol)(&e.Attempt), &e.Worker, &e.Session, &e.Detail)
		out = append(out, e)
		return err
	}, `SELECT h.at, h.event, h.attempt, h.worker, h.session, h.detail
		FROM tasks t JOIN task_history h ON h.task = t.seq WHERE t.id = ? ORDER BY h.n`, id)
	return out, err
}
