package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
)

var _ auth.Store = (*DB)(nil)

const userColumns = "id, username, email, password_hash, admin, created_at"

// InsertUser implements auth.UserStore.
func (db *DB) InsertUser(ctx context.Context, u auth.User) error {
	return db.write(ctx, func(tx *writeTx) error {
		if err := tx.absent("SELECT 1 FROM users WHERE username = ?", []any{u.Username}, auth.ErrUsernameTaken); err != nil {
			return err
		}
		if err := tx.absent("SELECT 1 FROM users WHERE email = ?", []any{u.Email}, auth.ErrEmailTaken); err != nil {
			return err
		}
		return tx.exec1("INSERT INTO users ("+userColumns+") VALUES (?, ?, ?, ?, ?, ?)",
			u.ID, u.Username, u.Email, u.PasswordHash, u.Admin, ms(u.CreatedAt))
	})
}

// UserByID implements auth.UserStore.
func (db *DB) UserByID(ctx context.Context, id string) (auth.User, error) {
	return db.user(ctx, "id", id)
}

// UserByLogin implements auth.UserStore.
func (db *DB) UserByLogin(ctx context.Context, login string) (auth.User, error) {
	if strings.Contains(login, "@") {
		return db.user(ctx, "email", login)
	}
	return db.user(ctx, "username", login)
}

func (db *DB) user(ctx context.Context, column, value string) (auth.User, error) {
	var u auth.User
	var created int64
	err := db.readRow(ctx, "SELECT "+userColumns+" FROM users WHERE "+column+" = ?", []any{value},
		&u.ID, &u.Username, &u.Email, &u.PasswordHash, &u.Admin, &created)
	u.CreatedAt = at(created)
	return u, orElse(err, auth.ErrNoUser)
}

// SetEmail implements auth.UserStore.
func (db *DB) SetEmail(ctx context.Context, id, email string) error {
	return db.write(ctx, func(tx *writeTx) error {
		taken := "SELECT 1 FROM users WHERE email = ? AND id <> ?"
		if err := tx.absent(taken, []any{email, id}, auth.ErrEmailTaken); err != nil {
			return err
		}
		return tx.mustExec(auth.ErrNoUser, "UPDATE users SET email = ? WHERE id = ?", email, id)
	})
}

// SetPassword implements auth.UserStore.
func (db *DB) SetPassword(ctx context.Context, id, hash string) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.mustExec(auth.ErrNoUser, "UPDATE users SET password_hash = ? WHERE id = ?", hash, id)
	})
}

// HasAdmin implements auth.UserStore.
func (db *DB) HasAdmin(ctx context.Context) (bool, error) {
	var has bool
	err := db.readRow(ctx, "SELECT EXISTS (SELECT 1 FROM users WHERE admin = 1)", nil, &has)
	return has, err
}

const sessionColumns = "id, user_id, generation, rotated_at, expires_at, created_at"

// InsertSession implements auth.SessionStore.
func (db *DB) InsertSession(ctx context.Context, s auth.Session) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1("INSERT INTO login_sessions ("+sessionColumns+") VALUES (?, ?, ?, ?, ?, ?)",
			s.ID, s.UserID, s.Generation, ms(s.RotatedAt), ms(s.ExpiresAt), ms(s.CreatedAt))
	})
}

// SessionByID implements auth.SessionStore.
func (db *DB) SessionByID(ctx context.Context, id string) (auth.Session, error) {
	var s auth.Session
	var rotated, expires, created int64
	err := db.readRow(ctx, "SELECT "+sessionColumns+" FROM login_sessions WHERE id = ?", []any{id},
		&s.ID, &s.UserID, &s.Generation, &rotated, &expires, &created)
	s.RotatedAt, s.ExpiresAt, s.CreatedAt = at(rotated), at(expires), at(created)
	return s, orElse(err, auth.ErrNoSession)
}

// RotateSession implements auth.SessionStore.
func (db *DB) RotateSession(ctx context.Context, id string, generation int, now, expires time.Time) (bool, error) {
	var n int64
	err := db.writeOne(ctx, func(tx *writeTx) (err error) {
		n, err = tx.exec(`UPDATE login_sessions SET generation = generation + 1, rotated_at = ?, expires_at = ?
			WHERE id = ? AND generation = ?`, ms(now), ms(expires), id, generation)
		return err
	})
	return err == nil && n == 1, err
}

// DeleteSession implements auth.SessionStore.
func (db *DB) DeleteSession(ctx context.Context, id string) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1("DELETE FROM login_sessions WHERE id = ?", id)
	})
}

// DeleteSessions implements auth.SessionStore.
func (db *DB) DeleteSessions(ctx context.Context, user, except string) ([]string, error) {
	var ids []string
	err := db.write(ctx, func(tx *writeTx) error {
		rows, err := tx.query("DELETE FROM login_sessions WHERE user_id = ? AND id <> ? RETURNING id", user, except)
		if err != nil {
			return err
		}
		return each(rows, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
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
		n = sessions + tokens
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

const grantFields = "id, user_id, kind, name, hash, groups, scopes, device_id, created_at, expires_at, last_used_at"

// InsertToken implements auth.TokenStore.
func (db *DB) InsertToken(ctx context.Context, t auth.Token) error {
	groups, err := json.Marshal(t.Groups)
	if err != nil {
		return err
	}
	scopes, err := json.Marshal(t.Scopes)
	if err != nil {
		return err
	}
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1("INSERT INTO tokens ("+grantFields+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			t.ID, t.UserID, string(t.Kind), t.Name, t.Hash, string(groups), string(scopes), t.DeviceID,
			ms(t.CreatedAt), ms(t.ExpiresAt), ms(t.LastUsedAt))
	})
}

// TokenByHash implements auth.TokenStore.
func (db *DB) TokenByHash(ctx context.Context, hash string) (auth.Token, error) {
	found, err := db.tokens(ctx, "WHERE hash = ?", hash)
	if err != nil {
		return auth.Token{}, err
	}
	if len(found) == 0 {
		return auth.Token{}, auth.ErrNoToken
	}
	return found[0], nil
}

// Tokens implements auth.TokenStore.
func (db *DB) Tokens(ctx context.Context, user, before string, limit int) ([]auth.Token, error) {
	if before == "" {
		return db.tokens(ctx, "WHERE user_id = ? ORDER BY id DESC LIMIT ?", user, limit)
	}
	return db.tokens(ctx, "WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?", user, before, limit)
}

func (db *DB) tokens(ctx context.Context, where string, args ...any) ([]auth.Token, error) {
	var found []auth.Token
	err := db.read(ctx, func(rows *sql.Rows) error {
		var t auth.Token
		var groups, scopes []byte
		var created, expires, used int64
		if err := rows.Scan(&t.ID, &t.UserID, &t.Kind, &t.Name, &t.Hash, &groups, &scopes, &t.DeviceID,
			&created, &expires, &used); err != nil {
			return err
		}
		t.CreatedAt, t.ExpiresAt, t.LastUsedAt = at(created), at(expires), at(used)
		found = append(found, t)
		last := &found[len(found)-1]
		return errors.Join(json.Unmarshal(groups, &last.Groups), json.Unmarshal(scopes, &last.Scopes))
	}, "SELECT "+grantFields+" FROM tokens "+where, args...)
	return found, err
}

// DeleteToken implements auth.TokenStore.
func (db *DB) DeleteToken(ctx context.Context, user, id string) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.mustExec(auth.ErrNoToken, "DELETE FROM tokens WHERE id = ? AND user_id = ?", id, user)
	})
}

// TouchToken implements auth.TokenStore.
func (db *DB) TouchToken(ctx context.Context, id string, now time.Time) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1("UPDATE tokens SET last_used_at = ? WHERE id = ?", ms(now), id)
	})
}

// absent returns taken if the query finds a row.
func (tx *writeTx) absent(q string, args []any, taken error) error {
	var one int
	switch err := tx.row(q, args, &one); {
	case err == nil:
		return taken
	case errors.Is(err, sql.ErrNoRows):
		return nil
	default:
		return err
	}
}

// mustExec returns missing if the statement changes no row.
func (tx *writeTx) mustExec(missing error, q string, args ...any) error {
	n, err := tx.exec(q, args...)
	if err == nil && n == 0 {
		return missing
	}
	return err
}

// orElse puts missing in the place of sql.ErrNoRows.
func orElse(err, missing error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return missing
	}
	return err
}
