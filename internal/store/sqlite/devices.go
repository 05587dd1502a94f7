package sqlite

import (
	"context"
	"database/sql"

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
	return db.devices(ctx, `WHERE d.group_id = ? AND d.id > ? AND (?3 = '[]' OR d.state IN (SELECT value FROM json_each(?3)))
		ORDER BY d.id LIMIT ?`, q.Group, q.After, toJSON(unique(q.States)), q.Limit)
}

func (db *DB) devices(ctx context.Context, where string, args ...any) ([]devsync.Device, error) {
	var found []devsync.Device
	err := db.read(ctx, func(rows *sql.Rows) error {
		var d devsync.Device
		var seq int64
		err := scanDevice(rows.Scan, &d, &seq)
		found = append(found, d)
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

// EventsOf implements devsync.Store.
func (db *DB) EventsOf(ctx context.Context, q devsync.HistoryQuery) ([]devsync.Event, error) {
	var c clause
	c.add("SELECT "+eventColumns+" FROM sync_events WHERE device = (SELECT seq FROM devices WHERE group_id = ? AND id = ?)", q.Group, q.Device)
	if !q.From.IsZero() {
		c.add(" AND at >= ?", ms(q.From))
	}
	if !q.To.IsZero() {
		c.add(" AND at < ?", ms(q.To))
	}
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
		err := rows.Scan((*timeCol)(&e.At), &e.ID, (*timeCol)(&e.ReceivedAt), (*int64Col)(&e.Files), (*int64Col)(&e.Errors), &e.Speed)
		events = append(events, e)
		return err
	}, c.String(), c.args...)
	return events, err
}
