package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
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
func (db *DB) Devices(ctx context.Context, q devsync.DeviceQuery) (found []devsync.Device, looked string, err error) {
	if !q.Searches() {
		c := devicePage(q, q.Limit)
		found, err = db.devices(ctx, c.String(), c.args...)
		return found, "", err
	}
	wanted, seen := q.Finder(), 0
	c := devicePage(q, q.Look)
	err = db.eachDevice(ctx, func(d devsync.Device) error {
		seen++
		looked = d.ID
		if wanted(d) {
			found = append(found, d)
		}
		if len(found) == q.Limit {
			return errEnough
		}
		return nil
	}, c.String(), c.args...)
	if errors.Is(err, errEnough) {
		return found, "", nil
	}
	if seen < q.Look {
		looked = "" // these were all
	}
	return found, looked, err
}

func devicePage(q devsync.DeviceQuery, limit int) *clause {
	c := &clause{}
	c.add("WHERE d.group_id = ? AND d.id >= ? AND (? OR d.id > ?)", q.Group, q.After, q.Too, q.After)
	if len(q.States) > 0 {
		c.add(" AND d.state IN (SELECT value FROM json_each(?))", toJSON(q.States))
		if !slices.Contains(q.States, devsync.Active) {
			c.add(" AND d.state <> 'active'") // as devices_others says it
		}
	}
	c.add(" ORDER BY d.id LIMIT ?", limit)
	return c
}

func (db *DB) devices(ctx context.Context, where string, args ...any) (found []devsync.Device, err error) {
	err = db.eachDevice(ctx, func(d devsync.Device) error {
		found = append(found, d)
		return nil
	}, where, args...)
	return found, err
}

func (db *DB) eachDevice(ctx context.Context, f func(devsync.Device) error, where string, args ...any) error {
	return db.read(ctx, func(rows *sql.Rows) error {
		var d knownDevice
		if err := d.scan(rows); err != nil {
			return err
		}
		d.Failing, d.Silent = d.failing != "", d.silent != ""
		return f(d.Device)
	}, "SELECT "+deviceColumns+fromDevices+where, args...)
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
		d.Name, d.Tags, d.State = c.Over(d.Name, d.Tags, d.State)
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
	var events []devsync.Event
	c := historyPage(q)
	err := db.read(ctx, func(rows *sql.Rows) error {
		e := devsync.Event{Device: q.Device}
		err := scanEvent(rows, &e)
		events = append(events, e)
		return err
	}, c.String(), c.args...)
	return events, err
}

func historyPage(q devsync.EventQuery) *clause {
	c := &clause{}
	c.add("SELECT "+eventColumns+" FROM sync_events WHERE device = "+deviceSeq, q.Group, q.Device)
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
	return c
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

// GroupEvents implements devsync.Store: the rest of the device that the portion
// before ended in, then those after it.
func (db *DB) GroupEvents(ctx context.Context, q devsync.ExportQuery) ([]devsync.Event, error) {
	var events []devsync.Event
	if q.AfterDevice != "" {
		err := db.groupEvents(ctx, q, &events, " AND d.id = ? AND (at, e.id) > (?, ?)", q.AfterDevice, ms(q.After.At), q.After.Event)
		if err != nil || len(events) == q.Limit {
			return events, err
		}
	}
	return events, db.groupEvents(ctx, q, &events, " AND d.id > ?", q.AfterDevice)
}

// groupEvents adds those after a place to events, up to q.Limit in all.
func (db *DB) groupEvents(ctx context.Context, q devsync.ExportQuery, events *[]devsync.Event, after string, args ...any) error {
	c := exportPage(q, q.Limit-len(*events), after, args...)
	return db.read(ctx, func(rows *sql.Rows) error {
		var e devsync.Event
		err := scanEvent(rows, &e, &e.Device)
		*events = append(*events, e)
		return err
	}, c.String(), c.args...)
}

func exportPage(q devsync.ExportQuery, limit int, after string, args ...any) *clause {
	c := &clause{}
	c.add("SELECT at, e.id, received, files, errors, speed, d.id FROM devices d CROSS JOIN sync_events e ON e.device = d.seq WHERE d.group_id = ?", q.Group)
	c.add(after, args...)
	c.between(q.From, q.To)
	c.add(" AND d.state <> 'pending' ORDER BY d.id, at, e.id LIMIT ?", limit)
	return c
}

// failuresSince counts a device's failures; like the first of them it is found in
// sync_events_failed alone.
const failuresSince = "FROM sync_events WHERE device = d.seq AND errors > 0 AND at >= ?2)"

// The devices to show are chosen first: all else is read of these only.
const (
	failingByTotal = `WITH counted AS MATERIALIZED (SELECT d.seq, d.id, (SELECT count(*) ` + failuresSince + ` AS n
	FROM json_each(?1) g CROSS JOIN devices d ON d.group_id = g.value
		CROSS JOIN device_sums s ON s.device = d.seq AND s.failure_at >= ?2 AND s.failed >= ?3),
found AS MATERIALIZED (SELECT c.seq, c.n FROM counted c CROSS JOIN devices d ON d.seq = c.seq
	WHERE c.n >= ?3 AND d.state = 'active' ORDER BY c.n DESC, c.id LIMIT ?4)
SELECT d.group_id, d.id, d.name, f.n, s.streak, (SELECT min(at) ` + failuresSince + `, s.failure_at, s.success_at
FROM found f CROSS JOIN devices d ON d.seq = f.seq CROSS JOIN device_sums s ON s.device = f.seq ORDER BY f.n DESC, d.id`

	failingByStreak = `WITH found AS MATERIALIZED (SELECT d.seq, d.id, s.streak, s.failure_at, s.success_at
	FROM device_sums s CROSS JOIN devices d ON d.seq = s.device AND d.state = 'active'
	WHERE s.streak > 0 AND s.streak >= ?3 AND s.failure_at >= ?2 AND d.group_id IN (SELECT value FROM json_each(?1))
	ORDER BY s.streak DESC, d.id LIMIT ?4)
SELECT d.group_id, d.id, d.name, (SELECT count(*) ` + failuresSince + `, f.streak, (SELECT min(at) ` + failuresSince + `, f.failure_at, f.success_at
FROM found f CROSS JOIN devices d ON d.seq = f.seq ORDER BY f.streak DESC, d.id`
)

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
