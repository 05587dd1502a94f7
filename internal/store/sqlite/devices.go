package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// Device implements devsync.Store.
func (db *DB) Device(ctx context.Context, group, id string) (devsync.Device, error) {
	found, err := db.devices(ctx, "WHERE d.group_id = ? AND d.id = ?", group, id)
	if err != nil {
		return devsync.Device{}, err
	}
	if len(found) == 0 {
		return devsync.Device{}, devsync.ErrNoDevice
	}
	return found[0], nil
}

// Devices implements devsync.Store.
func (db *DB) Devices(ctx context.Context, q devsync.DeviceQuery) ([]devsync.Device, error) {
	return db.devices(ctx, `WHERE d.group_id = ?1 AND d.id >= ?2 AND (?6 OR d.id > ?2) AND d.id >= ?3 AND (?3 = '' OR substr(d.id, 1, length(?3)) = ?3)
		AND (json_array_length(?4) = 0 OR d.state IN (SELECT value FROM json_each(?4))) ORDER BY d.id LIMIT ?5`,
		q.Group, q.After, q.Prefix, toJSON(unique(q.States)), q.Limit, q.Too)
}

func (db *DB) devices(ctx context.Context, where string, args ...any) ([]devsync.Device, error) {
	var found []devsync.Device
	err := db.read(ctx, func(rows *sql.Rows) error {
		var d knownDevice
		err := d.scan(rows)
		d.Failing, d.Silent = d.failing != "", d.silent != ""
		found = append(found, d.Device)
		return err
	}, "SELECT "+deviceColumns+fromDevices+where, args...)
	return found, err
}

// GroupsOfDevice implements devsync.Store.
func (db *DB) GroupsOfDevice(ctx context.Context, id string, groups []string) ([]string, error) {
	var found []string
	err := db.read(ctx, func(rows *sql.Rows) error {
		var g string
		err := rows.Scan(&g)
		found = append(found, g)
		return err
	}, "SELECT group_id FROM devices WHERE id = ? AND group_id IN (SELECT value FROM json_each(?)) ORDER BY group_id", id, toJSON(groups))
	return found, err
}

// UpdateDevice implements devsync.Store.
func (db *DB) UpdateDevice(ctx context.Context, group, id string, c devsync.Change, now time.Time) error {
	err := db.write(ctx, func(tx *writeTx) error {
		key := deviceKey{group, id}
		d, err := tx.find(key)
		if err != nil {
			return err
		}
		delete(tx.ingest.known, key) // read again by whoever needs it next
		if c.Name != nil {
			d.Name = *c.Name
		}
		if c.Tags != nil {
			d.Tags = *c.Tags
		}
		if c.State != nil {
			d.State = *c.State
		}
		if err := tx.exec1("UPDATE devices SET name = ?, tags = ?, state = ? WHERE seq = ?", d.Name, toJSON(d.Tags), string(d.State), d.seq); err != nil {
			return err
		}
		if err := tx.checkAlerts(d, now); err != nil {
			return err
		}
		return tx.writeSums([]*knownDevice{d})
	})
	if errors.Is(err, sql.ErrNoRows) {
		return devsync.ErrNoDevice
	}
	return err
}

// EventsOf implements devsync.Store.
func (db *DB) EventsOf(ctx context.Context, q devsync.EventQuery) ([]devsync.Event, error) {
	var c clause
	c.add("SELECT "+eventColumns+" FROM sync_events WHERE device = (SELECT seq FROM devices WHERE group_id = ? AND id = ?)", q.Group, q.Device)
	c.between(q.From, q.To)
	if !q.Before.At.IsZero() {
		c.add(" AND (at, id) < (?, ?)", ms(q.Before.At), q.Before.Event)
	}
	switch q.Status {
	case devsync.OK:
		c.add(" AND errors = 0")
	case devsync.Partial:
		c.add(" AND errors > 0 AND files > 0")
	case devsync.Failed:
		c.add(" AND errors > 0 AND files = 0")
	}
	c.add(" ORDER BY at DESC, id DESC LIMIT ?", q.Limit)
	var events []devsync.Event
	err := db.read(ctx, func(rows *sql.Rows) error {
		e := devsync.Event{Device: q.Device}
		err := scanEvent(rows, &e)
		events = append(events, e)
		return err
	}, c.String(), c.args...)
	return events, err
}

// between adds a range of device time.
func (c *clause) between(from, to time.Time) {
	if !from.IsZero() {
		c.add(" AND at >= ?", ms(from))
	}
	if !to.IsZero() {
		c.add(" AND at < ?", ms(to))
	}
}

const eventColumns = "at, id, received, files, errors, speed"

// scanEvent reads eventColumns and what follows them.
func scanEvent(rows *sql.Rows, e *devsync.Event, more ...any) error {
	return rows.Scan(append([]any{
		(*timeCol)(&e.At), &e.ID, (*timeCol)(&e.ReceivedAt), (*int64Col)(&e.Files), (*int64Col)(&e.Errors), &e.Speed,
	}, more...)...)
}

// GroupEvents implements devsync.Store. It goes from device to device.
func (db *DB) GroupEvents(ctx context.Context, q devsync.ExportQuery) ([]devsync.Event, error) {
	var c clause
	c.add("SELECT "+eventColumns+`, d.id FROM devices d CROSS JOIN sync_events e ON e.device = d.seq
		WHERE d.group_id = ? AND d.id >= ? AND d.state <> 'pending'`, q.Group, q.AfterDevice)
	c.between(q.From, q.To)
	if q.AfterDevice != "" {
		c.add(" AND (d.id > ? OR (at, e.id) > (?, ?))", q.AfterDevice, ms(q.After.At), q.After.Event)
	}
	c.add(" ORDER BY d.id, at, e.id LIMIT ?", q.Limit)
	var events []devsync.Event
	err := db.read(ctx, func(rows *sql.Rows) error {
		var e devsync.Event
		err := scanEvent(rows, &e, &e.Device)
		events = append(events, e)
		return err
	}, strings.Replace(c.String(), "at, id, received", "at, e.id, received", 1), c.args...)
	return events, err
}

const failingByTotal = `SELECT d.group_id, d.id, d.name, count(*) AS n, s.streak, min(e.at), max(e.at), s.success_at
FROM json_each(?1) g CROSS JOIN devices d ON d.group_id = g.value AND d.state = 'active'
	CROSS JOIN device_sums s ON s.device = d.seq AND s.failure_at >= ?2 AND s.failed >= ?3
	CROSS JOIN sync_events e ON e.device = d.seq AND e.errors > 0 AND e.at >= ?2
GROUP BY d.seq HAVING n >= ?3 ORDER BY n DESC, d.id LIMIT ?4`

const failingByStreak = `SELECT d.group_id, d.id, d.name, (SELECT count(*) FROM sync_events WHERE device = d.seq AND errors > 0 AND at >= ?2),
	s.streak, (SELECT min(at) FROM sync_events WHERE device = d.seq AND errors > 0 AND at >= ?2), s.failure_at, s.success_at
FROM (SELECT * FROM device_sums WHERE streak > 0 AND streak >= ?3 AND failure_at >= ?2) s CROSS JOIN devices d ON d.seq = s.device
WHERE d.state = 'active' AND d.group_id IN (SELECT value FROM json_each(?1))
ORDER BY s.streak DESC, d.id LIMIT ?4`

// Failing implements devsync.Store.
func (db *DB) Failing(ctx context.Context, q devsync.FailingQuery) ([]devsync.Failing, error) {
	query, least := failingByTotal, q.Total
	if q.Streak > 0 {
		query, least = failingByStreak, q.Streak
	}
	var found []devsync.Failing
	err := db.read(ctx, func(rows *sql.Rows) error {
		var f devsync.Failing
		err := rows.Scan(&f.Group, &f.Device, &f.Name, (*intCol)(&f.Failures), (*intCol)(&f.Streak),
			(*timeCol)(&f.FirstFailure), (*timeCol)(&f.LastFailure), (*timeCol)(&f.LastSuccess))
		found = append(found, f)
		return err
	}, query, toJSON(q.Groups), ms(q.From), least, q.Limit)
	return found, err
}
