package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
)

var _ auth.Store = (*DB)(nil)

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
func (db *DB) DeleteToken(ctx context.Context, user, id string, now time.Time) error {
	return db.write(ctx, func(tx *writeTx) error {
		if err := tx.mustExec(auth.ErrNoToken, "DELETE FROM tokens WHERE id = ? AND user_id = ?", id, user); err != nil {
			return err
		}
		return tx.revoke(now, id)
	})
}

// DeleteTokens implements auth.TokenStore.
func (db *DB) DeleteTokens(ctx context.Context, user string) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1("DELETE FROM tokens WHERE user_id = ?", user)
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
