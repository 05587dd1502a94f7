package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/installation"
)

var _ installation.Store = (*DB)(nil)

const (
	here = "state IN ('connected', 'grace')"

	overviewTasks = `SELECT coalesce(sum(waiting), 0), coalesce(sum(running), 0),
	(SELECT count(*) FROM tasks INDEXED BY tasks_scheduled WHERE status = 'scheduled' AND phase = ''),
	(SELECT count(*) FROM users) - (SELECT count(*) FROM users WHERE deleted_at > 0),
	(SELECT count(*) FROM user_groups) FROM queues`

	overviewWorkers = `SELECT coalesce(sum(connected), 0), coalesce(sum(NOT connected), 0), coalesce(sum(slots), 0) FROM (
	SELECT max(state = 'connected') connected, sum(iif(state = 'connected', slots, 0)) slots
	FROM sessions INDEXED BY sessions_here WHERE ` + here + ` GROUP BY worker)`

	overviewDay     = "SELECT coalesce(sum(failovers), 0) FROM stats_minutes WHERE at > ?"
	overviewMinutes = "SELECT at, succeeded, failed, cancelled, failovers FROM stats_minutes WHERE at >= ? ORDER BY at"
)

// Overview implements installation.Store. The counts of tasks are those of their
// queues, of which there is one for each group and kind with recent work.
func (db *DB) Overview(ctx context.Context, now time.Time) (installation.Overview, error) {
	var o installation.Overview
	var waiting int
	minute := now.Truncate(time.Minute)
	err := errors.Join(
		db.readRow(ctx, overviewTasks, nil, (*intCol)(&waiting), (*intCol)(&o.Running), (*intCol)(&o.Scheduled),
			(*intCol)(&o.Users), (*intCol)(&o.Groups)),
		db.readRow(ctx, overviewWorkers, nil, (*intCol)(&o.WorkersConnected), (*intCol)(&o.WorkersGrace), (*intCol)(&o.Slots)),
		db.readRow(ctx, overviewDay, []any{ms(minute.Add(-day))}, (*int64Col)(&o.Failovers)),
		db.read(ctx, func(rows *sql.Rows) error {
			var m installation.Minute
			err := rows.Scan((*timeCol)(&m.At), (*int64Col)(&m.Succeeded), (*int64Col)(&m.Failed), (*int64Col)(&m.Cancelled), (*int64Col)(&m.Failovers))
			o.AddMinute(m, now)
			return err
		}, overviewMinutes, ms(minute.Add(-time.Hour))),
	)
	o.Queued = max(0, waiting-o.Scheduled)
	return o, err
}

const (
	groupNames = "SELECT id, name FROM user_groups WHERE id > ? ORDER BY id"
	groupsSeen = `SELECT g.id, g.name, g.created_at, (SELECT count(*) FROM memberships WHERE group_id = g.id),
	coalesce(u.id, ''), coalesce(u.username, ''),
	(SELECT coalesce(sum(waiting), 0) FROM queues WHERE group_id = g.id),
	(SELECT coalesce(sum(running), 0) FROM queues WHERE group_id = g.id)
FROM user_groups g
LEFT JOIN memberships o INDEXED BY memberships_owner ON o.group_id = g.id AND o.role = 'owner'
LEFT JOIN users u ON u.id = o.user_id
WHERE g.id IN (SELECT value FROM json_each(?)) ORDER BY g.id`

	workerNames = "SELECT worker, name FROM sessions INDEXED BY sessions_here WHERE " + here + " AND worker > ? ORDER BY worker"
	workersSeen = `SELECT w.id, w.owner, coalesce(u.username, '') FROM workers w LEFT JOIN users u ON u.id = w.owner
WHERE w.id IN (SELECT value FROM json_each(?)) ORDER BY w.id`
)

// AllGroups implements installation.Store.
func (db *DB) AllGroups(ctx context.Context, prefix, after string, limit int) ([]installation.Group, error) {
	ids, err := db.named(ctx, prefix, limit, groupNames, after)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var out []installation.Group
	err = db.read(ctx, func(rows *sql.Rows) error {
		var g installation.Group
		err := rows.Scan(&g.ID, &g.Name, (*timeCol)(&g.CreatedAt), (*intCol)(&g.Members), &g.Owner, &g.OwnerName,
			(*intCol)(&g.Waiting), (*intCol)(&g.Running))
		out = append(out, g)
		return err
	}, groupsSeen, toJSON(ids))
	return out, err
}

// AllWorkers implements installation.Store.
func (db *DB) AllWorkers(ctx context.Context, prefix, after string, limit int) ([]installation.Worker, error) {
	ids, err := db.named(ctx, prefix, limit, workerNames, after)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var out []installation.Worker
	err = db.read(ctx, func(rows *sql.Rows) error {
		var w installation.Worker
		err := rows.Scan(&w.ID, &w.Owner, &w.OwnerName)
		out = append(out, w)
		return err
	}, workersSeen, toJSON(ids))
	return out, err
}

// HasWorker implements installation.Store.
func (db *DB) HasWorker(ctx context.Context, id string) (bool, error) {
	var found bool
	err := db.readRow(ctx, "SELECT count(*) FROM workers WHERE id = ?", []any{id}, (*boolCol)(&found))
	return found, err
}

var errEnough = errors.New("sqlite: enough rows")

// named walks ids with their names, in order, and returns the first whose name
// begins with prefix: SQLite folds the case of ASCII only.
func (db *DB) named(ctx context.Context, prefix string, limit int, q string, args ...any) ([]string, error) {
	prefix = fault.Fold(prefix)
	var ids []string
	err := db.read(ctx, func(rows *sql.Rows) error {
		var id, name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		if len(ids) > 0 && ids[len(ids)-1] == id || !strings.HasPrefix(fault.Fold(name), prefix) {
			return nil // another session of that worker
		}
		if ids = append(ids, id); len(ids) == limit {
			return errEnough
		}
		return nil
	}, q, args...)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return ids, err
}
