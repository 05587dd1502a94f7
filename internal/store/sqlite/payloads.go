package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// payload reads a task's row of one payload table: nil where there is none,
// ErrNotFound for an unknown task, ErrDropped when payloads were dropped.
func (db *DB) payload(ctx context.Context, table, id string) ([]byte, error) {
	var dropped int64
	var data []byte
	err := db.readRow(ctx, "SELECT t.dropped_at, p.data FROM tasks t LEFT JOIN "+table+
		" p ON p.task = t.seq WHERE t.id = ?", []any{id}, (*int64Col)(&dropped), &data)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, tasks.ErrNotFound
	case err != nil:
		return nil, err
	case dropped != 0:
		return nil, tasks.ErrDropped
	}
	return data, nil
}

// Input implements tasks.Payloads. ErrNotFound for an unknown id.
func (db *DB) Input(ctx context.Context, id string) ([]byte, error) {
	return db.payload(ctx, "task_inputs", id)
}

// Output implements tasks.Payloads. ErrNotFound for an unknown id.
func (db *DB) Output(ctx context.Context, id string) ([]byte, error) {
	out, err := db.payload(ctx, "task_outputs", id)
	if err == nil && out == nil {
		return nil, tasks.ErrNoResult
	}
	return out, err
}

// outputsPortion is how many outputs are read at a time: no read stays open
// while the caller works on them.
const outputsPortion = 16

// Outputs implements tasks.Payloads.
func (db *DB) Outputs(ctx context.Context, parent string, f func(index int, output []byte) error) error {
	type part struct {
		index int
		data  []byte
	}
	for after, more := -1, true; more; {
		var parts []part
		err := db.read(ctx, func(rows *sql.Rows) error {
			var p part
			err := rows.Scan((*intCol)(&p.index), &p.data)
			parts = append(parts, p)
			return err
		}, `SELECT t.idx, p.data FROM tasks t LEFT JOIN task_outputs p ON p.task = t.seq
			WHERE t.parent = ? AND t.parent <> '' AND t.key <> 'reduce' AND t.idx > ?
			ORDER BY t.idx LIMIT ?`, parent, after, outputsPortion)
		if err != nil {
			return err
		}
		for _, p := range parts {
			if err := f(p.index, p.data); err != nil {
				return err
			}
			after = p.index
		}
		more = len(parts) == outputsPortion
	}
	return nil
}

// Checkpoint implements tasks.Payloads: nil also for unknown and dropped tasks.
func (db *DB) Checkpoint(ctx context.Context, id string) ([]byte, error) {
	data, err := db.payload(ctx, "task_checkpoints", id)
	if errors.Is(err, tasks.ErrNotFound) || errors.Is(err, tasks.ErrDropped) {
		return nil, nil
	}
	return data, err
}

// ownedRow finds the running attempt that (attempt, session) owns.
const ownedRow = "FROM tasks WHERE id = ? AND status = 'running' AND attempt = ? AND session = ? AND dropped_at = 0"

// SaveCheckpoint implements tasks.Payloads.
func (db *DB) SaveCheckpoint(ctx context.Context, id string, attempt int, session string, data []byte) (bool, error) {
	var n int64
	err := db.writeOne(ctx, func(tx *writeTx) (err error) {
		n, err = tx.exec("INSERT OR REPLACE INTO task_checkpoints (task, data) SELECT seq, ? "+ownedRow,
			data, id, attempt, session)
		return err
	})
	return err == nil && n > 0, err
}

// payloadTables hold what Drop removes.
var payloadTables = []string{"task_inputs", "task_outputs", "task_checkpoints", "task_logs", "task_log_lines"}

func (tx *writeTx) clearPayloads(seq int64) error {
	for _, table := range payloadTables {
		if err := tx.exec1("DELETE FROM "+table+" WHERE task = ?", seq); err != nil {
			return err
		}
	}
	return nil
}

// Drop implements tasks.Payloads. A task that has not ended, or was queued again
// by a retry meanwhile, keeps everything. First all rows are marked as one, so
// that no retry comes between; then the payloads go portion by portion.
func (db *DB) Drop(ctx context.Context, id string, now time.Time) error {
	var seqs []int64
	err := db.write(ctx, func(tx *writeTx) error {
		seqs = seqs[:0]
		var task int64
		if err := tx.row("SELECT seq FROM tasks WHERE id = ? AND "+ended, []any{id}, (*int64Col)(&task)); err != nil {
			return err
		}
		err := tx.exec1("UPDATE tasks SET dropped_at = ? WHERE seq = ? AND dropped_at = 0", ms(now), task)
		if err == nil {
			err = tx.exec1("UPDATE tasks SET dropped_at = ? WHERE parent = ? AND parent <> '' AND dropped_at = 0", ms(now), id)
		}
		if err != nil {
			return err
		}
		rows, err := tx.query("SELECT seq FROM tasks WHERE parent = ? AND parent <> ''", id)
		if err != nil {
			return err
		}
		seqs = append(seqs, task)
		return each(rows, func(rows *sql.Rows) error {
			var seq int64
			err := rows.Scan((*int64Col)(&seq))
			seqs = append(seqs, seq)
			return err
		})
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	for err == nil && len(seqs) > 0 {
		portion := seqs[:min(len(seqs), deletePortion)]
		seqs = seqs[len(portion):]
		err = db.submit(ctx, len(portion), bySavepoint, func(tx *writeTx) error {
			for _, seq := range portion {
				if err := tx.clearPayloads(seq); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}
