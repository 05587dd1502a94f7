package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

var _ tasks.QueueStore = (*DB)(nil)

// place is where a task counts in its queue.
type place uint8

const (
	nowhere place = iota // ended, or a parent
	inWait
	inRun
)

// move is a task's way from one place to another.
type move struct {
	pair     tasks.Pair
	from, to place
}

// queueSum is what a transaction adds to a queue.
type queueSum struct{ waiting, running int64 }

func (s *queueSum) add(p place, n int64) {
	switch p {
	case inWait:
		s.waiting += n
	case inRun:
		s.running += n
	}
}

func placeOf(s tasks.Status) place {
	switch s {
	case tasks.Queued, tasks.Scheduled:
		return inWait
	case tasks.Running:
		return inRun
	}
	return nowhere
}

// moved notes that t, as it is now, came from a place.
func (tx *writeTx) moved(t *tasks.Task, from place) {
	if to := placeOf(t.Status); to != from && !t.IsParent() {
		tx.counts.moves = append(tx.counts.moves, move{t.Pair(), from, to})
	}
}

func (d *statsDelta) addMove(m move) {
	m.pair.Target = ""
	s := d.queues[m.pair]
	s.add(m.from, -1)
	s.add(m.to, 1)
	d.queues[m.pair] = s
}

const addQueue = `INSERT INTO queues (group_id, kind, waiting, running) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET waiting = waiting + excluded.waiting, running = running + excluded.running`

func (tx *writeTx) flushQueues() error {
	for p, s := range tx.stats.queues {
		if s == (queueSum{}) {
			continue
		}
		if err := tx.exec1(addQueue, p.Group, p.Kind, s.waiting, s.running); err != nil {
			return err
		}
	}
	return nil
}

// placeBefore returns where a task is before a transition, if that follows from
// its conditions, as it does for all that end or move single tasks.
func placeBefore(w tasks.Where) (place, bool) {
	for _, c := range w {
		if c.Column != tasks.ColStatus {
			continue
		}
		switch v := c.Value.(type) {
		case tasks.Status:
			return placeOf(v), c.Op == tasks.OpEq
		case []tasks.Status:
			if c.Op != tasks.OpIn || len(v) == 0 {
				return nowhere, false
			}
			for _, s := range v[1:] {
				if placeOf(s) != placeOf(v[0]) {
					return nowhere, false
				}
			}
			return placeOf(v[0]), true
		}
	}
	return nowhere, false
}

// placeNow returns where a task is before a transition that changes its status.
func (tx *writeTx) placeNow(t *tasks.Transition) (place, error) {
	if p, ok := placeBefore(t.If); ok {
		return p, nil
	}
	var status string
	err := tx.row("SELECT status FROM tasks WHERE id = ?", []any{t.Task}, &status)
	return placeOf(tasks.Status(status)), err
}

// queueState reads a queue. Of all that waits (q.waiting) two indexes tell what
// lies ahead; the first of a target is the first in tasks_pairs, and parts of a
// broadcast, which have one, are few.
const queueState = `SELECT q.group_id, coalesce((SELECT name FROM user_groups WHERE id = q.group_id), ''), q.kind, q.waiting, q.running, q.paused_at,
	(SELECT count(*) FROM tasks INDEXED BY tasks_scheduled
		WHERE group_id = q.group_id AND kind = q.kind AND run_at > ?1 AND status = 'scheduled' AND phase = '') +
	(SELECT count(*) FROM tasks INDEXED BY tasks_requeued
		WHERE group_id = q.group_id AND kind = q.kind AND run_at > ?1 AND status = 'queued' AND phase = '' AND run_at > created_at),
	coalesce((SELECT run_at FROM tasks INDEXED BY tasks_pairs
		WHERE group_id = q.group_id AND kind = q.kind AND target = '' AND ` + waits + ` ORDER BY run_at LIMIT 1), 0),
	coalesce((SELECT min(run_at) FROM tasks INDEXED BY tasks_pairs
		WHERE group_id = q.group_id AND kind = q.kind AND target > '' AND ` + waits + `), 0)
FROM queues q `

const (
	queuePage = queueState + `WHERE (q.group_id, q.kind) > (?2, ?3) AND (q.waiting > 0 OR q.paused_at > 0)
ORDER BY q.group_id, q.kind LIMIT ?4`
	queuesLongest = queueState + `WHERE (q.group_id, q.kind) IN (
	SELECT group_id, kind FROM queues WHERE waiting > 0 ORDER BY waiting DESC, group_id, kind LIMIT ?2)
ORDER BY q.waiting DESC, q.group_id, q.kind`
)

// Queues implements tasks.QueueStore.
func (db *DB) Queues(ctx context.Context, after tasks.Pair, limit int, now time.Time) ([]tasks.QueueState, error) {
	return db.queues(ctx, queuePage, ms(now), after.Group, after.Kind, limit)
}

// LongestQueues implements tasks.QueueStore.
func (db *DB) LongestQueues(ctx context.Context, limit int, now time.Time) ([]tasks.QueueState, error) {
	return db.queues(ctx, queuesLongest, ms(now), limit)
}

func (db *DB) queues(ctx context.Context, q string, now int64, args ...any) ([]tasks.QueueState, error) {
	var out []tasks.QueueState
	err := db.read(ctx, func(rows *sql.Rows) error {
		var s tasks.QueueState
		var first, firstTargeted int64
		err := rows.Scan(&s.Group, &s.GroupName, &s.Kind, (*intCol)(&s.Waiting), (*intCol)(&s.Running), (*timeCol)(&s.PausedAt),
			(*intCol)(&s.Scheduled), (*int64Col)(&first), (*int64Col)(&firstTargeted))
		if first == 0 || firstTargeted > 0 && firstTargeted < first {
			first = firstTargeted
		}
		s.Waiting = max(0, s.Waiting-s.Scheduled)
		if first <= now {
			s.Oldest = at(first)
		}
		out = append(out, s)
		return err
	}, q, append([]any{now}, args...)...)
	return out, err
}

// PauseQueue implements tasks.QueueStore. A queue paused again keeps its time.
func (db *DB) PauseQueue(ctx context.Context, p tasks.Pair, now time.Time) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1(`INSERT INTO queues (group_id, kind, waiting, running, paused_at) VALUES (?, ?, 0, 0, ?)
			ON CONFLICT DO UPDATE SET paused_at = excluded.paused_at WHERE paused_at = 0`, p.Group, p.Kind, ms(now))
	})
}

// ResumeQueue implements tasks.QueueStore.
func (db *DB) ResumeQueue(ctx context.Context, p tasks.Pair) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1("UPDATE queues SET paused_at = 0 WHERE group_id = ? AND kind = ? AND paused_at > 0", p.Group, p.Kind)
	})
}

// ResumeGroup implements tasks.QueueStore.
func (db *DB) ResumeGroup(ctx context.Context, group string) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1("UPDATE queues SET paused_at = 0 WHERE group_id = ? AND paused_at > 0", group)
	})
}

const pausedQueues = "SELECT group_id, kind FROM queues WHERE paused_at > 0"

// PausedQueues implements tasks.QueueStore.
func (db *DB) PausedQueues(ctx context.Context) ([]tasks.Pair, error) {
	var out []tasks.Pair
	err := db.read(ctx, func(rows *sql.Rows) error {
		var p tasks.Pair
		err := rows.Scan(&p.Group, &p.Kind)
		out = append(out, p)
		return err
	}, pausedQueues)
	return out, err
}
