package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// Settings implements workers.Store.
func (s *Sessions) Settings(ctx context.Context, ids ...string) (map[string]workers.Settings, error) {
	found := make(map[string]workers.Settings)
	err := s.db.read(ctx, func(rows *sql.Rows) error {
		var id string
		var of workers.Settings
		err := rows.Scan(&id, jsonCol{&of})
		found[id] = of
		return err
	}, settingsOf, toJSON(ids))
	return found, err
}

const settingsOf = "SELECT id, settings FROM workers WHERE id IN (SELECT value FROM json_each(?)) AND settings <> ''"

// SettingsOf implements workers.Store.
func (s *Sessions) SettingsOf(ctx context.Context, owner, name string) (workers.Settings, error) {
	var found workers.Settings
	err := s.db.readRow(ctx, "SELECT settings FROM workers WHERE owner = ? AND name = ?", []any{owner, name}, jsonCol{&found})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return found, err
}

const workersWhere = `SELECT id, owner, name, first_seen, last_seen, kinds, labels, sdk, settings, revision FROM workers WHERE `

const ownWorkers = workersWhere + "owner = ? AND id > ? ORDER BY id LIMIT ?"

func (s *Sessions) roster(ctx context.Context, q string, args ...any) ([]workers.Worker, error) {
	var found []workers.Worker
	err := s.db.read(ctx, func(rows *sql.Rows) error {
		var w workers.Worker
		err := rows.Scan(&w.ID, &w.Owner, &w.Name, (*timeCol)(&w.FirstSeen), (*timeCol)(&w.LastSeen),
			jsonCol{&w.Kinds}, jsonCol{&w.Labels}, &w.SDK, jsonCol{&w.Settings}, (*int64Col)(&w.Revision))
		found = append(found, w)
		return err
	}, q, args...)
	return found, err
}

// Worker implements workers.Roster.
func (s *Sessions) Worker(ctx context.Context, owner, id string) (workers.Worker, error) {
	found, err := s.roster(ctx, workersWhere+"id = ? AND owner = ?", id, owner)
	if err != nil {
		return workers.Worker{}, err
	}
	if len(found) == 0 {
		return workers.Worker{}, workers.ErrNoWorker
	}
	return found[0], nil
}

// Workers implements workers.Roster.
func (s *Sessions) Workers(ctx context.Context, owner, after string, limit int) ([]workers.Worker, error) {
	return s.roster(ctx, ownWorkers, owner, after, limit)
}

// SaveSettings implements workers.Roster.
func (s *Sessions) SaveSettings(ctx context.Context, id string, revision int64, settings workers.Settings) (bool, error) {
	var n int64
	err := s.db.writeOne(ctx, func(tx *writeTx) (err error) {
		n, err = tx.exec("UPDATE workers SET settings = ?, revision = revision + 1 WHERE id = ? AND revision = ?",
			toJSON(settings), id, revision)
		return err
	})
	return err == nil && n > 0, err
}

// RemoveWorker implements workers.Roster. Its history goes in portions.
func (s *Sessions) RemoveWorker(ctx context.Context, owner, id string) error {
	err := s.db.write(ctx, func(tx *writeTx) error {
		err := tx.mustExec(workers.ErrNoWorker, "DELETE FROM workers WHERE id = ? AND owner = ?", id, owner)
		if err != nil {
			return err
		}
		return tx.absent(liveSession, []any{owner, id}, workers.ErrWorkerConnected)
	})
	for more := true; err == nil && more; {
		err = s.db.submit(ctx, deletePortion, bySQLite, func(tx *writeTx) error {
			n, err := tx.exec(`DELETE FROM worker_days WHERE (worker, day, group_id, member) IN
				(SELECT worker, day, group_id, member FROM worker_days WHERE worker = ? LIMIT ?)`, id, deletePortion)
			more = n == deletePortion
			return err
		})
	}
	return err
}

const liveSession = "SELECT 1 FROM sessions WHERE owner = ? AND state IN ('connected', 'grace') AND worker = ?"

// workerDays names only groups that the worker's owner is in.
const workerDays = `SELECT d.day, d.group_id, coalesce(g.name, ''), d.member, coalesce(u.username, ''),
	d.succeeded, d.failed, d.cancelled, d.run
FROM worker_days d LEFT JOIN workers w ON w.id = d.worker
LEFT JOIN memberships m ON m.group_id = d.group_id AND m.user_id = w.owner
LEFT JOIN user_groups g ON g.id = m.group_id LEFT JOIN users u ON u.id = d.member
WHERE d.worker = ? AND d.day >= ? ORDER BY d.day DESC, d.group_id, d.member LIMIT ?`

// WorkerDays implements tasks.StatsStore.
func (db *DB) WorkerDays(ctx context.Context, worker string, since time.Time, limit int) ([]tasks.WorkerDay, error) {
	var found []tasks.WorkerDay
	err := db.read(ctx, func(rows *sql.Rows) error {
		var d tasks.WorkerDay
		err := rows.Scan((*timeCol)(&d.Day), &d.Group, &d.GroupName, &d.Member, &d.MemberName,
			(*int64Col)(&d.Succeeded), (*int64Col)(&d.Failed), (*int64Col)(&d.Cancelled), (*durationCol)(&d.Run))
		found = append(found, d)
		return err
	}, workerDays, worker, ms(since), limit)
	return found, err
}
