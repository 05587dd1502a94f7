package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/firmlight/firmlight/internal/notify"
)

// Notifications is notify.Store on the embedded store: a type of its own, since
// its methods' names would say nothing on DB.
type Notifications struct{ db *DB }

var _ notify.Store = (*Notifications)(nil)

// Notifications returns the store of notifications.
func (db *DB) Notifications() *Notifications { return &Notifications{db} }

const (
	notificationCols = "id, user_id, type, about, count, read, created_at, updated_at"

	addNotification = `INSERT INTO notifications (slot, ` + notificationCols + `) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)
		ON CONFLICT (slot) DO UPDATE SET about = excluded.about, count = count + excluded.count,
			updated_at = max(updated_at, excluded.updated_at) RETURNING ` + notificationCols

	listNotifications = "SELECT " + notificationCols + ` FROM notifications
		WHERE user_id = ? AND (updated_at, id) < (?, ?) ORDER BY updated_at DESC, id DESC LIMIT ?`
	listUnread = "SELECT " + notificationCols + ` FROM notifications
		WHERE user_id = ? AND read = 0 AND (updated_at, id) < (?, ?) ORDER BY updated_at DESC, id DESC LIMIT ?`

	countNotifications = `SELECT (SELECT count(*) FROM notifications WHERE user_id = ? AND read = 0),
		(SELECT count(*) FROM notifications WHERE user_id = ?)`

	readAllNotifications = "UPDATE notifications SET read = 1, slot = id WHERE user_id = ? AND read = 0"
	readNotifications    = `UPDATE notifications SET read = 1, slot = id
		WHERE id IN (SELECT value FROM json_each(?)) AND user_id = ? AND read = 0`

	trimNotifications = `DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE user_id = ?
		ORDER BY updated_at DESC, id DESC LIMIT -1 OFFSET ?)`
	expireNotifications = `DELETE FROM notifications WHERE id IN (SELECT id FROM notifications
		WHERE updated_at < ? ORDER BY updated_at LIMIT ?)`
)

func scanNotification(rows *sql.Rows) (n notify.Notification, err error) {
	err = rows.Scan(&n.ID, &n.To, (*string)(&n.Type), jsonCol{&n.About}, (*intCol)(&n.Count), (*boolCol)(&n.Read),
		(*timeCol)(&n.CreatedAt), (*timeCol)(&n.UpdatedAt))
	return n, err
}

// Add implements notify.Store.
func (s *Notifications) Add(ctx context.Context, ns ...notify.Notification) ([]notify.Notification, error) {
	var kept []notify.Notification
	err := s.db.submit(ctx, len(ns), bySavepoint, func(tx *writeTx) error {
		for _, n := range ns {
			rows, err := tx.query(addNotification, n.Slot(), n.ID, n.To, string(n.Type), toJSON(n.About), n.Count,
				ms(n.CreatedAt), ms(n.UpdatedAt))
			if err != nil {
				return err
			}
			err = each(rows, func(rows *sql.Rows) error {
				one, err := scanNotification(rows)
				kept = append(kept, one)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// List implements notify.Store.
func (s *Notifications) List(ctx context.Context, user string, unread bool, after notify.Place, limit int) ([]notify.Notification, error) {
	q, before := listNotifications, int64(math.MaxInt64)
	if unread {
		q = listUnread
	}
	if after.ID != "" {
		before = ms(after.UpdatedAt)
	}
	var found []notify.Notification
	err := s.db.read(ctx, func(rows *sql.Rows) error {
		n, err := scanNotification(rows)
		found = append(found, n)
		return err
	}, q, user, before, after.ID, limit)
	return found, err
}

// Count implements notify.Store.
func (s *Notifications) Count(ctx context.Context, user string) (unread, all int, err error) {
	err = s.db.readRow(ctx, countNotifications, []any{user, user}, &unread, &all)
	return unread, all, err
}

// Read implements notify.Store.
func (s *Notifications) Read(ctx context.Context, user string, ids []string) (int, error) {
	if ids == nil {
		return s.exec(ctx, readAllNotifications, user)
	}
	return s.exec(ctx, readNotifications, toJSON(ids), user)
}

// Delete implements notify.Store.
func (s *Notifications) Delete(ctx context.Context, user, id string) error {
	return s.db.writeOne(ctx, func(tx *writeTx) error {
		return tx.mustExec(notify.ErrNone, "DELETE FROM notifications WHERE id = ? AND user_id = ?", id, user)
	})
}

// Trim implements notify.Store.
func (s *Notifications) Trim(ctx context.Context, user string, keep int) error {
	_, err := s.exec(ctx, trimNotifications, user, keep)
	return err
}

// Expire implements notify.Store.
func (s *Notifications) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.exec(ctx, expireNotifications, ms(before), limit)
}

// Forget implements notify.Store.
func (s *Notifications) Forget(ctx context.Context, user string) error {
	return s.db.write(ctx, func(tx *writeTx) error {
		if err := tx.exec1("DELETE FROM notifications WHERE user_id = ?", user); err != nil {
			return err
		}
		return tx.exec1("DELETE FROM notification_settings WHERE user_id = ?", user)
	})
}

// Settings implements notify.Store.
func (s *Notifications) Settings(ctx context.Context, user string) (notify.Settings, error) {
	var set notify.Settings
	err := s.db.readRow(ctx, "SELECT off FROM notification_settings WHERE user_id = ?", []any{user}, jsonCol{&set})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return set, err
}

// SetSettings implements notify.Store.
func (s *Notifications) SetSettings(ctx context.Context, user string, set notify.Settings) error {
	return s.db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1(`INSERT INTO notification_settings (user_id, off) VALUES (?, ?)
			ON CONFLICT (user_id) DO UPDATE SET off = excluded.off`, user, toJSON(set))
	})
}

// exec runs one statement and returns how many rows it changed.
func (s *Notifications) exec(ctx context.Context, q string, args ...any) (int, error) {
	var n int64
	err := s.db.writeOne(ctx, func(tx *writeTx) (err error) {
		n, err = tx.exec(q, args...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
