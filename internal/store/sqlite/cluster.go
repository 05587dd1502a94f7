package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/workers"
)

// Beat implements workers.Cluster.
func (db *DB) Beat(ctx context.Context, s workers.Server) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1(`INSERT INTO servers (id, address, beat, started, beat_at) VALUES (?, ?, 1, ?, ?)
			ON CONFLICT (id) DO UPDATE SET beat = beat + 1, address = excluded.address, beat_at = excluded.beat_at`,
			s.ID, s.Address, ms(s.Started), ms(s.BeatAt))
	})
}

// Servers implements workers.Cluster, in order of id.
func (db *DB) Servers(ctx context.Context) ([]workers.Server, error) {
	var out []workers.Server
	err := db.read(ctx, func(rows *sql.Rows) error {
		var s workers.Server
		err := rows.Scan(&s.ID, &s.Address, (*int64Col)(&s.Beat), (*timeCol)(&s.Started), (*timeCol)(&s.BeatAt))
		out = append(out, s)
		return err
	}, "SELECT id, address, beat, started, beat_at FROM servers ORDER BY id")
	return out, err
}

// RemoveServer implements workers.Cluster.
func (db *DB) RemoveServer(ctx context.Context, id string) error {
	return db.writeOne(ctx, func(tx *writeTx) error { return tx.exec1("DELETE FROM servers WHERE id = ?", id) })
}

const lease = `INSERT INTO leases (job, server, until, fence) VALUES (?1, ?2, ?4, 1)
ON CONFLICT (job) DO UPDATE SET fence = fence + (server <> ?2), server = ?2, until = ?4
WHERE server = ?2 OR until <= ?3 RETURNING fence`

// Lease implements workers.Cluster. A lease ends at its `until`; a holder that
// takes it again keeps its fencing number.
func (db *DB) Lease(ctx context.Context, job, server string, now, until time.Time) (int64, bool, error) {
	var fence int64
	err := db.writeOne(ctx, func(tx *writeTx) error {
		return tx.row(lease, []any{job, server, ms(now), ms(until)}, (*int64Col)(&fence))
	})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return fence, true, nil
}
