package sqlite

import (
	"context"
	"database/sql"
	"net/netip"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
)

const sessionColumns = "id, user_id, generation, rotated_at, expires_at, created_at, last_used_at, user_agent, address"

// InsertSession implements auth.SessionStore.
func (db *DB) InsertSession(ctx context.Context, s auth.Session) error {
	return db.write(ctx, func(tx *writeTx) error {
		if err := tx.exec1("UPDATE users SET last_login_at = ? WHERE id = ?", ms(s.CreatedAt), s.UserID); err != nil {
			return err
		}
		return tx.exec1("INSERT INTO login_sessions ("+sessionColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			s.ID, s.UserID, s.Generation, ms(s.RotatedAt), ms(s.ExpiresAt), ms(s.CreatedAt), ms(s.LastUsedAt),
			s.Client.UserAgent, addrText(s.Client.Address))
	})
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// SessionByID implements auth.SessionStore.
func (db *DB) SessionByID(ctx context.Context, id string) (auth.Session, error) {
	found, err := db.logins(ctx, "WHERE id = ?", id)
	if err == nil && len(found) == 0 {
		err = auth.ErrNoSession
	}
	if err != nil {
		return auth.Session{}, err
	}
	return found[0], nil
}

const loginsBefore = "WHERE user_id = ? AND expires_at > ? AND id < ? ORDER BY id DESC LIMIT ?"

// Logins implements auth.SessionStore.
func (db *DB) Logins(ctx context.Context, user string, now time.Time, before string, limit int) ([]auth.Session, error) {
	if before == "" {
		return db.logins(ctx, "WHERE user_id = ? AND expires_at > ? ORDER BY id DESC LIMIT ?", user, ms(now), limit)
	}
	return db.logins(ctx, loginsBefore, user, ms(now), before, limit)
}

func (db *DB) logins(ctx context.Context, where string, args ...any) ([]auth.Session, error) {
	var found []auth.Session
	err := db.read(ctx, func(rows *sql.Rows) error {
		var s auth.Session
		var addr string
		err := rows.Scan(&s.ID, &s.UserID, &s.Generation, (*timeCol)(&s.RotatedAt), (*timeCol)(&s.ExpiresAt),
			(*timeCol)(&s.CreatedAt), (*timeCol)(&s.LastUsedAt), &s.Client.UserAgent, &addr)
		s.Client.Address, _ = netip.ParseAddr(addr) // empty: not known
		found = append(found, s)
		return err
	}, "SELECT "+sessionColumns+" FROM login_sessions "+where, args...)
	return found, err
}

// RotateSession implements auth.SessionStore.
func (db *DB) RotateSession(
	ctx context.Context, id string, generation int, from auth.Client, now, expires time.Time,
) (bool, error) {
	var n int64
	err := db.writeOne(ctx, func(tx *writeTx) (err error) {
		n, err = tx.exec(`UPDATE login_sessions SET generation = generation + 1, rotated_at = ?, expires_at = ?,
			last_used_at = ?, user_agent = ?, address = ? WHERE id = ? AND generation = ?`,
			ms(now), ms(expires), ms(now), from.UserAgent, addrText(from.Address), id, generation)
		return err
	})
	return err == nil && n == 1, err
}

// DeleteSession implements auth.SessionStore.
func (db *DB) DeleteSession(ctx context.Context, id string, now time.Time) error {
	_, err := db.deleteSessions(ctx, now, "id = ?", id)
	return err
}

// DeleteSessions implements auth.SessionStore.
func (db *DB) DeleteSessions(ctx context.Context, user, except string, now time.Time) ([]string, error) {
	return db.deleteSessions(ctx, now, "user_id = ? AND id <> ?", user, except)
}

func (db *DB) deleteSessions(ctx context.Context, now time.Time, where string, args ...any) ([]string, error) {
	var ids []string
	err := db.write(ctx, func(tx *writeTx) error {
		rows, err := tx.query("DELETE FROM login_sessions WHERE "+where+" RETURNING id", args...)
		if err != nil {
			return err
		}
		err = each(rows, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
		if err != nil {
			return err
		}
		return tx.revoke(now, ids...)
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// revoke notes what ended, for Revoked.
func (tx *writeTx) revoke(now time.Time, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	return tx.exec1("INSERT OR IGNORE INTO revocations (at, id) SELECT ?, value FROM json_each(?)", ms(now), toJSON(ids))
}

const revokedSince = "SELECT id, at FROM revocations WHERE at >= ?"

// Revoked implements auth.SessionStore.
func (db *DB) Revoked(ctx context.Context, since time.Time) ([]auth.Revocation, error) {
	var found []auth.Revocation
	err := db.read(ctx, func(rows *sql.Rows) error {
		var r auth.Revocation
		err := rows.Scan(&r.ID, (*timeCol)(&r.At))
		found = append(found, r)
		return err
	}, revokedSince, ms(since))
	return found, err
}

// Touch implements auth.SessionStore.
func (db *DB) Touch(ctx context.Context, now time.Time, ids []string) error {
	return db.submit(ctx, len(ids), bySavepoint, func(tx *writeTx) error {
		for _, table := range []string{"login_sessions", "tokens"} {
			q := "UPDATE " + table + " SET last_used_at = ? WHERE id IN (SELECT value FROM json_each(?))"
			if err := tx.exec1(q, ms(now), toJSON(ids)); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteExpiredLogins implements auth.SessionStore.
func (db *DB) DeleteExpiredLogins(ctx context.Context, t time.Time) (int64, error) {
	var n int64
	err := db.write(ctx, func(tx *writeTx) error {
		sessions, err := tx.exec("DELETE FROM login_sessions WHERE expires_at < ?", ms(t))
		if err != nil {
			return err
		}
		tokens, err := tx.exec("DELETE FROM tokens WHERE expires_at > 0 AND expires_at < ?", ms(t))
		if err != nil {
			return err
		}
		n = sessions + tokens
		return tx.exec1("DELETE FROM revocations WHERE at < ?", ms(t.Add(-auth.KeepRevocations)))
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
