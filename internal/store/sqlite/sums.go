package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// Sums implements devsync.Store. Those of a device are added up from its events,
// and from what was written down of those that were dropped.
func (db *DB) Sums(ctx context.Context, q devsync.SumQuery) ([]devsync.Sum, error) {
	to := q.To
	if to.IsZero() {
		to = time.UnixMilli(1 << 52)
	}
	hours := make(map[int64]*devsync.Sum)
	var err error
	if q.Device == "" {
		err = db.groupSums(ctx, hours, q.Group, ms(q.From), ms(to))
	} else {
		err = db.deviceSums(ctx, hours, q.Group, q.Device, ms(q.From), ms(to))
	}
	sums := make([]devsync.Sum, 0, len(hours))
	for _, s := range hours {
		sums = append(sums, *s)
	}
	slices.SortFunc(sums, func(a, b devsync.Sum) int { return a.At.Compare(b.At) })
	return sums, err
}

func sumOf(hours map[int64]*devsync.Sum, hour int64) *devsync.Sum {
	s := hours[hour]
	if s == nil {
		s = &devsync.Sum{At: at(hour), Speeds: make(devsync.Histogram)}
		hours[hour] = s
	}
	return s
}

const sumColumns = "hour, events, failed, partial, files, errors"

// addSum reads sumColumns and what follows them, and adds them up.
func addSum(rows *sql.Rows, hours map[int64]*devsync.Sum, more ...any) (*devsync.Sum, error) {
	var hour int64
	var t devsync.Totals
	err := rows.Scan(append([]any{
		(*int64Col)(&hour), (*int64Col)(&t.Events), (*int64Col)(&t.Failed), (*int64Col)(&t.Partial),
		(*int64Col)(&t.Files), (*int64Col)(&t.Errors),
	}, more...)...)
	s := sumOf(hours, hour)
	s.Events += t.Events
	s.Failed += t.Failed
	s.Partial += t.Partial
	s.Files += t.Files
	s.Totals.Errors += t.Errors
	return s, err
}

func (db *DB) groupSums(ctx context.Context, hours map[int64]*devsync.Sum, group string, from, to int64) error {
	err := db.read(ctx, func(rows *sql.Rows) error {
		_, err := addSum(rows, hours)
		return err
	}, "SELECT "+sumColumns+" FROM sync_hours WHERE group_id = ? AND hour >= ? AND hour < ?", group, from, to)
	if err != nil {
		return err
	}
	return db.read(ctx, func(rows *sql.Rows) error {
		var hour, n int64
		var bucket int
		err := rows.Scan((*int64Col)(&hour), (*intCol)(&bucket), (*int64Col)(&n))
		sumOf(hours, hour).Speeds[bucket] += n
		return err
	}, "SELECT hour, bucket, n FROM sync_speeds WHERE group_id = ? AND hour >= ? AND hour < ?", group, from, to)
}

const deviceSeq = "(SELECT seq FROM devices WHERE group_id = ? AND id = ?)"

func (db *DB) deviceSums(ctx context.Context, hours map[int64]*devsync.Sum, group, device string, from, to int64) error {
	err := db.read(ctx, func(rows *sql.Rows) error {
		var speeds devsync.Histogram
		s, err := addSum(rows, hours, jsonCol{&speeds})
		for b, n := range speeds {
			s.Speeds[b] += n
		}
		return err
	}, "SELECT "+sumColumns+", speeds FROM device_hours WHERE device = "+deviceSeq+" AND hour >= ? AND hour < ?", group, device, from, to)
	if err != nil {
		return err
	}
	return db.read(ctx, func(rows *sql.Rows) error {
		var e devsync.Event
		err := scanEvent(rows, &e)
		sumOf(hours, hourOf(e)).Add(e)
		return err
	}, "SELECT "+eventColumns+" FROM sync_events WHERE device = "+deviceSeq+" AND at >= ? AND at < ?", group, device, from, to)
}

// hourOf returns the hour of device time that an event counts in.
func hourOf(e devsync.Event) int64 { return e.At.Truncate(time.Hour).UnixMilli() }

const addDeviceHour = `INSERT INTO device_hours (device, ` + sumColumns + `, speeds) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET events = events + excluded.events, failed = failed + excluded.failed,
	partial = partial + excluded.partial, files = files + excluded.files, errors = errors + excluded.errors, speeds = excluded.speeds`

const deviceToDrop = `SELECT seq FROM devices d WHERE seq >= ? AND EXISTS (
	SELECT 1 FROM sync_events WHERE device = d.seq AND at < ?) ORDER BY seq LIMIT 1`

// DropEvents implements devsync.Store: up to deletePortion events of one device.
func (db *DB) DropEvents(ctx context.Context, t time.Time) (more bool, err error) {
	device := db.dropAt.Load()
	err = db.readRow(ctx, deviceToDrop, []any{device, ms(t)}, (*int64Col)(&device))
	if err != nil {
		db.dropAt.Store(0)
		return false, ignoreNoRows(err)
	}
	db.dropAt.Store(device) // the next call need not look at the devices before
	return true, db.submit(ctx, deletePortion, bySavepoint, func(tx *writeTx) error {
		return tx.dropEvents(device, ms(t))
	})
}

func (tx *writeTx) dropEvents(device, before int64) error {
	var last devsync.Event
	hours := make(map[int64]*devsync.Sum)
	rows, err := tx.query("SELECT "+eventColumns+" FROM sync_events WHERE device = ? AND at < ? ORDER BY at, id LIMIT ?",
		device, before, deletePortion)
	if err != nil {
		return err
	}
	if err := each(rows, func(rows *sql.Rows) error {
		err := scanEvent(rows, &last)
		sumOf(hours, hourOf(last)).Add(last)
		return err
	}); err != nil || len(hours) == 0 {
		return err
	}
	for hour, s := range hours {
		rows, err := tx.query("SELECT speeds FROM device_hours WHERE device = ? AND hour = ?", device, hour)
		if err != nil {
			return err
		}
		var kept devsync.Histogram
		if err := each(rows, func(rows *sql.Rows) error { return rows.Scan(jsonCol{&kept}) }); err != nil {
			return err
		}
		for b, n := range kept {
			s.Speeds[b] += n
		}
		err = tx.exec1(addDeviceHour, device, hour, s.Events, s.Failed, s.Partial, s.Files, s.Totals.Errors, toJSON(s.Speeds))
		if err != nil {
			return err
		}
	}
	return tx.exec1("DELETE FROM sync_events WHERE device = ? AND (at, id) <= (?, ?)", device, ms(last.At), last.ID)
}

// DeleteDevices implements devsync.Store: up to deletePortion rows of one device.
func (db *DB) DeleteDevices(ctx context.Context, group string) (more bool, err error) {
	var device int64
	err = db.readRow(ctx, "SELECT seq FROM devices WHERE group_id = ? LIMIT 1", []any{group}, (*int64Col)(&device))
	if err != nil {
		if err = ignoreNoRows(err); err == nil {
			err = db.submit(ctx, deletePortion, bySavepoint, func(tx *writeTx) error { return tx.deleteGroupSums(group) })
		}
		return false, err
	}
	return true, db.submit(ctx, deletePortion, bySavepoint, func(tx *writeTx) error { return tx.deleteDevice(device) })
}

func (tx *writeTx) deleteGroupSums(group string) error {
	for _, table := range []string{"sync_hours", "sync_speeds", "sync_rules", "sync_alerts"} {
		if err := tx.exec1("DELETE FROM "+table+" WHERE group_id = ?", group); err != nil {
			return err
		}
	}
	delete(tx.ingest.rules, group)
	return nil
}

// deleteDevice removes some of a device's rows, and at last the device.
func (tx *writeTx) deleteDevice(device int64) error {
	clear(tx.ingest.known)
	n, err := tx.exec("DELETE FROM sync_events WHERE (device, at, id) IN (SELECT device, at, id FROM sync_events WHERE device = ? LIMIT ?)",
		device, deletePortion)
	if err != nil || n > 0 {
		return err
	}
	for _, q := range []string{
		"DELETE FROM device_hours WHERE device = ?", "DELETE FROM sync_alerts WHERE device = ?",
		"DELETE FROM device_sums WHERE device = ?", "DELETE FROM devices WHERE seq = ?",
	} {
		if err := tx.exec1(q, device); err != nil {
			return err
		}
	}
	return nil
}

func ignoreNoRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}
