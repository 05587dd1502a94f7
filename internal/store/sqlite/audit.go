package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
)

var _ audit.Store = (*DB)(nil)

const auditColumns = `id, actor, actor_name, token_kind, action, target_type, target, group_id, address, outcome,
	status, request_id, left_out`

// InsertEntry implements audit.Store.
func (db *DB) InsertEntry(ctx context.Context, e audit.Entry) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1("INSERT INTO audit ("+auditColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			e.ID, e.Actor, e.ActorName, string(e.TokenKind), e.Action, e.TargetType, e.Target, e.Group, e.Address, e.Outcome,
			e.Status, e.RequestID, e.LeftOut)
	})
}

// Entries implements audit.Store.
func (db *DB) Entries(ctx context.Context, f audit.Filter, before string, limit int) ([]audit.Entry, error) {
	c := auditQuery(f, before, limit)
	var found []audit.Entry
	err := db.read(ctx, func(rows *sql.Rows) error {
		var e audit.Entry
		err := rows.Scan(&e.ID, &e.Actor, &e.ActorName, &e.TokenKind, &e.Action, &e.TargetType, &e.Target, &e.Group,
			&e.Address, &e.Outcome, &e.Status, &e.RequestID, &e.LeftOut)
		found = append(found, e)
		return err
	}, c.String(), c.args...)
	return found, err
}

func auditQuery(f audit.Filter, before string, limit int) *clause {
	c := &clause{}
	c.add("SELECT " + auditColumns + " FROM audit WHERE 1")
	equal := func(column, value string) {
		if value != "" {
			c.add(" AND "+column+" = ?", value)
		}
	}
	if len(f.Actor) > auth.MaxUsername {
		equal("actor", f.Actor)
	} else {
		equal("actor_name", f.Actor)
	}
	equal("action", f.Action)
	equal("target", f.Target)
	equal("group_id", f.Group)
	switch f.Outcome {
	case "":
	case audit.OK:
		c.add(" AND outcome = 'ok'")
	case audit.Refused:
		c.add(" AND outcome <> 'ok'")
	default:
		c.add(" AND outcome = ? AND outcome <> 'ok'", f.Outcome) // the latter is what the index says
	}
	if !f.From.IsZero() {
		c.add(" AND id >= ?", audit.Since(f.From))
	}
	if !f.To.IsZero() {
		c.add(" AND id < ?", audit.Since(f.To))
	}
	if before != "" {
		c.add(" AND id < ?", before)
	}
	c.add(" ORDER BY id DESC LIMIT ?", limit)
	return c
}

const deleteAudit = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < ? ORDER BY id LIMIT ?)"

// DeleteEntries implements audit.Store.
func (db *DB) DeleteEntries(ctx context.Context, t time.Time, limit int) (int, error) {
	var n int64
	err := db.submit(ctx, limit, bySQLite, func(tx *writeTx) (err error) {
		n, err = tx.exec(deleteAudit, audit.Since(t), limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
