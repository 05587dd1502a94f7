package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
)

const userColumns = "id, username, email, password_hash, admin, disabled, created_at, last_login_at, deleted_at"

// InsertUser implements auth.UserStore.
func (db *DB) InsertUser(ctx context.Context, u auth.User) error {
	return db.write(ctx, func(tx *writeTx) error {
		if err := tx.absent("SELECT 1 FROM users WHERE username = ?", []any{u.Username}, auth.ErrUsernameTaken); err != nil {
			return err
		}
		if err := tx.absent("SELECT 1 FROM users WHERE email = ?", []any{u.Email}, auth.ErrEmailTaken); err != nil {
			return err
		}
		return tx.exec1("INSERT INTO users ("+userColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", u.ID, u.Username, u.Email,
			u.PasswordHash, u.Admin, u.Disabled, ms(u.CreatedAt), ms(u.LastLoginAt), ms(u.DeletedAt))
	})
}

// UserByID implements auth.UserStore.
func (db *DB) UserByID(ctx context.Context, id string) (auth.User, error) {
	return db.user(ctx, "id = ?", id)
}

// UserByLogin implements auth.UserStore.
func (db *DB) UserByLogin(ctx context.Context, login string) (auth.User, error) {
	if strings.Contains(login, "@") {
		return db.user(ctx, "email = ? AND deleted_at = 0", login)
	}
	return db.user(ctx, "username = ? AND deleted_at = 0", login)
}

func (db *DB) user(ctx context.Context, where, value string) (auth.User, error) {
	found, err := db.users(ctx, "WHERE "+where, value)
	if err == nil && len(found) == 0 {
		err = auth.ErrNoUser
	}
	if err != nil {
		return auth.User{}, err
	}
	return found[0], nil
}

func (db *DB) users(ctx context.Context, where string, args ...any) ([]auth.User, error) {
	var found []auth.User
	err := db.read(ctx, func(rows *sql.Rows) error {
		u, err := scanUser(rows.Scan)
		found = append(found, u)
		return err
	}, "SELECT "+userColumns+" FROM users "+where, args...)
	return found, err
}

// scanUser reads userColumns.
func scanUser(scan func(...any) error) (u auth.User, err error) {
	err = scan(&u.ID, &u.Username, &u.Email, &u.PasswordHash, &u.Admin, &u.Disabled,
		(*timeCol)(&u.CreatedAt), (*timeCol)(&u.LastLoginAt), (*timeCol)(&u.DeletedAt))
	return u, err
}

// SetEmail implements auth.UserStore.
func (db *DB) SetEmail(ctx context.Context, id, email string) error {
	return db.write(ctx, func(tx *writeTx) error {
		taken := "SELECT 1 FROM users WHERE email = ? AND id <> ?"
		if err := tx.absent(taken, []any{email, id}, auth.ErrEmailTaken); err != nil {
			return err
		}
		return tx.mustExec(auth.ErrNoUser, "UPDATE users SET email = ? WHERE id = ? AND deleted_at = 0", email, id)
	})
}

// SetPassword implements auth.UserStore.
func (db *DB) SetPassword(ctx context.Context, id, old, hash string) (bool, error) {
	var n int64
	err := db.writeOne(ctx, func(tx *writeTx) (err error) {
		n, err = tx.exec("UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?", hash, id, old)
		return err
	})
	return err == nil && n == 1, err
}

// HasAdmin implements auth.UserStore.
func (db *DB) HasAdmin(ctx context.Context) (bool, error) {
	var has bool
	err := db.readRow(ctx, "SELECT EXISTS (SELECT 1 FROM users WHERE admin = 1 AND disabled = 0)", nil, &has)
	return has, err
}

// usersWhere writes true and false into the statement, so that the partial
// indexes are of use.
func usersWhere(q auth.UserQuery) *clause {
	c := &clause{}
	c.add("WHERE deleted_at = 0 AND id > ?", q.After)
	for _, is := range []struct {
		column string
		want   *bool
	}{{"admin", q.Admin}, {"disabled", q.Disabled}} {
		if is.want != nil {
			c.add(" AND " + is.column + " = " + map[bool]string{true: "1", false: "0"}[*is.want])
		}
	}
	if q.Prefix != "" {
		end := q.Prefix + "\U0010ffff"
		c.add(` AND id IN (SELECT id FROM users WHERE username >= ? AND username < ?
			UNION SELECT id FROM users WHERE email >= ? AND email < ?)`, q.Prefix, end, q.Prefix, end)
	}
	c.add(" ORDER BY id LIMIT ?", q.Limit)
	return c
}

// Users implements auth.UserStore.
func (db *DB) Users(ctx context.Context, q auth.UserQuery) ([]auth.User, error) {
	c := usersWhere(q)
	return db.users(ctx, c.String(), c.args...)
}

// UpdateUser implements auth.UserStore.
func (db *DB) UpdateUser(ctx context.Context, id string, c auth.UserChange, now time.Time) (auth.User, error) {
	var after auth.User
	err := db.write(ctx, func(tx *writeTx) (err error) {
		after, err = tx.changeUser(id, "admin = COALESCE(?, admin), disabled = COALESCE(?, disabled)", c.Admin, c.Disabled)
		if err == nil && after.Disabled {
			err = tx.revoke(now, id)
		}
		return err
	})
	if err != nil {
		return auth.User{}, err
	}
	return after, nil
}

// DeleteUser implements auth.UserStore.
func (db *DB) DeleteUser(ctx context.Context, id, username, email string, now time.Time) error {
	return db.write(ctx, func(tx *writeTx) error {
		_, err := tx.changeUser(id, "username = ?, email = ?, password_hash = '', admin = 0, deleted_at = ?", username, email, ms(now))
		if err != nil {
			return err
		}
		return tx.revoke(now, id)
	})
}

// changeUser changes a user and sees to it that an administrator is left, if
// there was one.
func (tx *writeTx) changeUser(id, set string, args ...any) (after auth.User, err error) {
	const admins = "SELECT count(*) FROM users WHERE admin = 1 AND disabled = 0"
	var before, left int
	if err := tx.row(admins, nil, &before); err != nil {
		return after, err
	}
	rows, err := tx.query("UPDATE users SET "+set+" WHERE id = ? AND deleted_at = 0 RETURNING "+userColumns, append(args, id)...)
	if err != nil {
		return after, err
	}
	err = each(rows, func(rows *sql.Rows) (err error) {
		after, err = scanUser(rows.Scan)
		return err
	})
	switch {
	case err != nil:
		return after, err
	case after.ID == "":
		return after, auth.ErrNoUser
	}
	if err := tx.row(admins, nil, &left); err != nil {
		return after, err
	}
	if before > 0 && left == 0 {
		return after, auth.ErrLastAdmin
	}
	return after, nil
}

// GroupCounts implements auth.Memberships.
func (db *DB) GroupCounts(ctx context.Context, users []string) (map[string]int, error) {
	counts := make(map[string]int, len(users))
	err := db.read(ctx, func(rows *sql.Rows) error {
		var user string
		var n int
		err := rows.Scan(&user, &n)
		counts[user] = n
		return err
	}, "SELECT user_id, count(*) FROM memberships WHERE user_id IN (SELECT value FROM json_each(?)) GROUP BY user_id", toJSON(users))
	return counts, err
}
