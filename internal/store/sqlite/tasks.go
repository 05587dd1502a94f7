package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

const (
	bulkPortion   = 20    // tasks of one operation, so that bulk work yields
	deletePortion = 200   // the same for removals
	maxFind       = 10000 // most that Find returns
	usualUpdate   = 512   // bytes of a transition's statement
)

// Insert implements tasks.Store.
func (db *DB) Insert(ctx context.Context, ts ...tasks.New) ([]tasks.Inserted, error) {
	out := make([]tasks.Inserted, len(ts))
	n, err := db.inPortions(ctx, len(ts), func(tx *writeTx, i int) (err error) {
		out[i], err = tx.insert(&ts[i])
		return err
	})
	return out[:n], err
}

// inPortions calls f for 0 to n-1, portions of bulkPortion as operations of their own;
// with an error it returns how many before the first portion that failed are durable.
func (db *DB) inPortions(ctx context.Context, n int, f func(tx *writeTx, i int) error) (int, error) {
	var ops []*op
	for first := 0; first < n; first += bulkPortion {
		rows := min(bulkPortion, n-first)
		ops = append(ops, &op{rows: rows, undo: withAll, run: func(tx *writeTx) error {
			for i := range rows {
				if err := f(tx, first+i); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	err := db.writer.do(ctx, ops...)
	if err == nil {
		return n, nil
	}
	sure := 0
	for _, o := range ops {
		if !o.durable() {
			break
		}
		sure += o.rows
	}
	return sure, err
}

func (tx *writeTx) insert(n *tasks.New) (tasks.Inserted, error) {
	if n.IdempotencyKey != "" {
		if first, err := tx.first(n); err != nil || first.Existed {
			return first, err
		}
	}
	words := tasks.TitleWords(n.Title)
	seq, err := tx.insertRow(insertTask, append(rowArgs(&n.Task), joinWords(words))...)
	if err != nil {
		return tasks.Inserted{}, err
	}
	if seq == 0 { // that id, or that child, is there
		_, t, err := tx.task("id = ? OR (parent = ? AND key = ? AND parent <> '')", n.ID, n.Parent, n.Key)
		return tasks.Inserted{Task: t, Existed: true, SameBody: true}, err
	}
	tx.moved(&n.Task, nowhere)
	if n.Parent == "" {
		for _, w := range words {
			if err := tx.exec1("INSERT INTO task_words (grp, word, task_id, task) VALUES (?, ?, ?, ?)", n.Group, w, n.ID, seq); err != nil {
				return tasks.Inserted{}, err
			}
		}
	}
	if n.Input != nil {
		if err := tx.exec1("INSERT INTO task_inputs (task, data) VALUES (?, ?)", seq, n.Input); err != nil {
			return tasks.Inserted{}, err
		}
	}
	tx.fresh.add(n)
	return tasks.Inserted{Task: n.Task}, nil
}

// first looks an idempotency key up at the task's creation time, and takes it
// for the new task where it is free. Each key that is taken pays for the removal
// of two that are over.
func (tx *writeTx) first(n *tasks.New) (tasks.Inserted, error) {
	now := ms(n.CreatedAt)
	var id, hash string
	err := tx.row("SELECT task, hash FROM idempotency WHERE key = ? AND expires > ?", []any{n.IdempotencyKey, now}, &id, &hash)
	if err == nil {
		_, t, err := tx.task("id = ?", id)
		if !errors.Is(err, sql.ErrNoRows) { // deleted meanwhile: the key is free
			return tasks.Inserted{Task: t, Existed: true, SameBody: hash == n.BodyHash}, err
		}
	} else if !errors.Is(err, sql.ErrNoRows) {
		return tasks.Inserted{}, err
	}
	err = tx.exec1(`DELETE FROM idempotency WHERE key IN
		(SELECT key FROM idempotency WHERE expires <= ? ORDER BY expires LIMIT 2)`, now)
	if err == nil {
		err = tx.exec1("INSERT OR REPLACE INTO idempotency (key, task, hash, expires) VALUES (?, ?, ?, ?)",
			n.IdempotencyKey, n.ID, n.BodyHash, now+tasks.IdempotencyWindow.Milliseconds())
	}
	return tasks.Inserted{}, err
}

// insertRow returns the new row's number, 0 where ON CONFLICT kept it out.
func (tx *writeTx) insertRow(q string, args ...any) (int64, error) {
	st, err := tx.stmt(q)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return 0, err
	}
	return res.LastInsertId()
}

// task reads one task inside the transaction; sql.ErrNoRows where there is none.
func (tx *writeTx) task(cond string, args ...any) (seq int64, t tasks.Task, err error) {
	return one(tx.query("SELECT "+selectCols+" FROM tasks WHERE "+cond, args...))
}

// one reads the only task of a query's answer.
func one(rows *sql.Rows, err error, more ...any) (seq int64, t tasks.Task, _ error) {
	if err != nil {
		return 0, t, err
	}
	found := false
	err = each(rows, func(rows *sql.Rows) (err error) {
		found = true
		seq, t, err = scanTask(rows, more...)
		return err
	})
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return seq, t, err
}

// Apply implements tasks.Store.
func (db *DB) Apply(ctx context.Context, t tasks.Transition) (tasks.Task, bool, error) {
	c, err := update(t)
	if err != nil {
		return tasks.Task{}, false, err
	}
	var after tasks.Task
	err = db.submit(ctx, 1, withAll, func(tx *writeTx) error {
		tx.fresh.take(t.Task)
		var before place
		var err error
		moves := setsStatus(t.Set)
		if moves {
			if before, err = tx.placeNow(&t); err != nil {
				return err
			}
		}
		if after, err = tx.update(&t, c); err != nil {
			return err
		}
		if moves {
			tx.count(&t, &after, before)
		}
		if t.Output != nil && after.DroppedAt.IsZero() {
			err = tx.exec1("INSERT OR REPLACE INTO task_outputs (task, data) SELECT seq, ? FROM tasks WHERE id = ?", t.Output, t.Task)
		}
		if err == nil && len(t.History) > 0 {
			err = tx.addHistory(t.Task, t.History)
		}
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return tasks.Task{}, false, nil
	}
	if err != nil {
		return tasks.Task{}, false, err
	}
	return after, true, nil
}

// Stamp implements tasks.Store.
func (db *DB) Stamp(ctx context.Context, at time.Time, ts ...tasks.Task) ([]tasks.Task, error) {
	applied := make([]bool, len(ts))
	n, err := db.inPortions(ctx, len(ts), func(tx *writeTx, i int) error {
		tx.fresh.take(ts[i].ID)
		c, err := update(tasks.Stamp(ts[i], at))
		if err != nil {
			return err
		}
		rows, err := tx.exec(c.String(), c.args...)
		applied[i] = rows == 1
		return err
	})
	return tasks.Stamped(ts[:n], applied, at), err
}

// update runs a transition's statement and returns the task after it:
// sql.ErrNoRows where a condition does not hold. RETURNING would cost more than
// the second look.
func (tx *writeTx) update(t *tasks.Transition, c *clause) (tasks.Task, error) {
	n, err := tx.exec(c.String(), c.args...)
	if err == nil && n == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return tasks.Task{}, err
	}
	if t.From != nil {
		return t.After(), nil
	}
	_, after, err := tx.task("id = ?", t.Task)
	return after, err
}

var claimed = "SELECT " + selectCols + ", (SELECT data FROM task_inputs WHERE task = seq) FROM tasks WHERE id = ?"

// Claim implements tasks.Store.
func (db *DB) Claim(ctx context.Context, t tasks.Transition) (tasks.Task, []byte, bool, error) {
	c, err := update(t)
	if err != nil {
		return tasks.Task{}, nil, false, err
	}
	var (
		after tasks.Task
		input []byte
	)
	err = db.submit(ctx, 1, withAll, func(tx *writeTx) error {
		known := tx.fresh.take(t.Task)
		n, err := tx.exec(c.String(), c.args...)
		if err == nil && n == 0 {
			err = sql.ErrNoRows
		}
		if err != nil {
			return err
		}
		if known != nil {
			t.From = &known.Task
			after, input = t.After(), known.Input
		} else {
			rows, err := tx.query(claimed, t.Task)
			if _, after, err = one(rows, err, &input); err != nil {
				return err
			}
		}
		tx.moved(&after, inWait)
		return nil
	})
	if errors.Is(err, sql.ErrNoRows) {
		return tasks.Task{}, nil, false, nil
	}
	return after, input, err == nil, err
}

// update translates a transition.
func update(t tasks.Transition) (*clause, error) {
	var c clause
	c.Grow(usualUpdate)
	c.add("UPDATE tasks SET ")
	if err := c.set(t.Set); err != nil {
		return nil, err
	}
	c.add(" WHERE id = ?", t.Task)
	if err := c.where(t.If); err != nil {
		return nil, err
	}
	return &c, nil
}

func setsStatus(set []tasks.Assign) bool {
	return slices.ContainsFunc(set, func(a tasks.Assign) bool { return a.Column == tasks.ColStatus })
}

// count notes what a transition that set the status adds to the statistics.
func (tx *writeTx) count(t *tasks.Transition, after *tasks.Task, before place) {
	tx.moved(after, before)
	if c, ok := tasks.CountOf(*after); ok {
		tx.counts.ended = append(tx.counts.ended, c)
	}
	if !t.Failover.IsZero() {
		tx.counts.failovers = append(tx.counts.failovers, t.Failover)
	}
}

// Get implements tasks.Store.
func (db *DB) Get(ctx context.Context, id string) (tasks.Task, error) {
	_, t, err := one(db.query(ctx, "SELECT "+selectCols+" FROM tasks WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return t, tasks.ErrNotFound
	}
	return t, fail(err)
}

// Find implements tasks.Store. A zero limit is the largest.
func (db *DB) Find(ctx context.Context, q tasks.Query) ([]tasks.Task, error) {
	if q.Limit <= 0 || q.Limit > maxFind {
		q.Limit = maxFind
	}
	if group, text, listed := search(q.Where); group != "" && listed && len(tasks.Words(text)) > 0 && newestFirst(q) {
		return db.page(ctx, q, group, text)
	}
	c, err := db.find(ctx, q)
	if err != nil {
		return nil, err
	}
	return db.readTasks(ctx, c)
}

func newestFirst(q tasks.Query) bool {
	return len(q.Sort) == 1 && q.Sort[0] == tasks.Sort{Column: tasks.ColID, Desc: true}
}

func (db *DB) readTasks(ctx context.Context, c *clause) ([]tasks.Task, error) {
	var ts []tasks.Task
	err := db.read(ctx, func(rows *sql.Rows) error {
		_, t, err := scanTask(rows)
		ts = append(ts, t)
		return err
	}, c.String(), c.args...)
	return ts, err
}

// find translates a query. A list of several statuses is made of the lists of
// each, which SQLite merges: any of them may be long or short.
func (db *DB) find(ctx context.Context, q tasks.Query) (*clause, error) {
	var c clause
	for i, w := range byStatuses(q) {
		if i > 0 {
			c.add(" UNION ALL ")
		}
		c.add("SELECT " + selectCols + " FROM tasks")
		if err := db.from(ctx, &c, w); err != nil {
			return nil, err
		}
	}
	if err := c.order(q.Sort); err != nil {
		return nil, err
	}
	c.add(" LIMIT ?", q.Limit)
	return &c, nil
}

// byStatuses splits a group's list of several statuses, in order of id, into one
// for each; any other query stays whole.
func byStatuses(q tasks.Query) []tasks.Where {
	whole := []tasks.Where{q.Where}
	if group, words, listed := search(q.Where); group == "" || !listed || words != "" || len(q.Sort) != 1 || q.Sort[0].Column != tasks.ColID {
		return whole
	}
	for i, c := range q.Where {
		statuses, ok := c.Value.([]tasks.Status)
		if !ok || c.Op != tasks.OpIn || c.Column != tasks.ColStatus || len(statuses) == 0 {
			continue
		}
		var each []tasks.Where
		for _, s := range unique(statuses) {
			w := slices.Clone(q.Where)
			w[i] = tasks.Eq(tasks.ColStatus, s)
			each = append(each, w)
		}
		return each
	}
	return whole
}

// from writes the conditions after FROM tasks.
func (db *DB) from(ctx context.Context, c *clause, w tasks.Where) error {
	if err := db.rareWords(ctx, c, w); err != nil {
		return err
	}
	return c.where(w)
}

// Count implements tasks.Store.
func (db *DB) Count(ctx context.Context, w tasks.Where, limit int) (int, error) {
	var c clause
	c.add("SELECT count(*) FROM (SELECT 1 FROM tasks")
	if err := db.from(ctx, &c, w); err != nil {
		return 0, err
	}
	if limit <= 0 {
		limit = -1
	}
	c.add(" LIMIT ?)", limit)
	var n int
	err := db.readRow(ctx, c.String(), c.args, (*intCol)(&n))
	return n, err
}

const childStatuses = `SELECT status, count(*) FROM tasks
WHERE parent = ? AND parent <> '' AND key <> 'reduce' GROUP BY status`

// CountByStatus implements tasks.Store.
func (db *DB) CountByStatus(ctx context.Context, parent string) (map[tasks.Status]int, error) {
	counts := make(map[tasks.Status]int)
	err := db.read(ctx, func(rows *sql.Rows) error {
		var s string
		var n int
		err := rows.Scan(&s, (*intCol)(&n))
		counts[tasks.Status(s)] += n
		return err
	}, childStatuses, parent)
	return counts, err
}

const running = `SELECT session, epoch, count(*) FROM tasks
WHERE status = 'running' AND session <> '' GROUP BY session, epoch`

// Running implements tasks.Store.
func (db *DB) Running(ctx context.Context) ([]tasks.Owned, error) {
	var out []tasks.Owned
	err := db.read(ctx, func(rows *sql.Rows) error {
		var o tasks.Owned
		err := rows.Scan(&o.Session, (*int64Col)(&o.Epoch), (*intCol)(&o.Tasks))
		out = append(out, o)
		return err
	}, running)
	return out, err
}

// duePairs jumps from pair to pair of a group: to the next target of the kind,
// else to the next kind. Each is one look into tasks_pairs, whose first entry of
// a pair has its earliest run_at.
const duePairs = `WITH RECURSIVE p (group_id, kind, target, run_at) AS (
	SELECT t.group_id, t.kind, t.target, t.run_at FROM json_each(?1) g CROSS JOIN tasks t ON t.seq = (
		SELECT seq FROM tasks INDEXED BY tasks_pairs WHERE group_id = g.value AND ` + waits + `
		ORDER BY kind, target, run_at LIMIT 1)
	UNION ALL
	SELECT t.group_id, t.kind, t.target, t.run_at FROM p CROSS JOIN tasks t ON t.seq = coalesce((
		SELECT seq FROM tasks INDEXED BY tasks_pairs
		WHERE group_id = p.group_id AND kind = p.kind AND target > p.target AND ` + waits + `
		ORDER BY target, run_at LIMIT 1), (
		SELECT seq FROM tasks INDEXED BY tasks_pairs
		WHERE group_id = p.group_id AND kind > p.kind AND ` + waits + `
		ORDER BY kind, target, run_at LIMIT 1))
)
SELECT group_id, kind, target, run_at FROM p WHERE kind IN (SELECT value FROM json_each(?2))
ORDER BY run_at LIMIT ?3`

const waits = "status IN ('queued', 'scheduled') AND phase = ''"

// Pairs implements tasks.Store; the earliest due come first.
func (db *DB) Pairs(ctx context.Context, groups, kinds []string, limit int) ([]tasks.DuePair, error) {
	var out []tasks.DuePair
	if len(groups) == 0 || len(kinds) == 0 {
		return out, nil
	}
	err := db.read(ctx, func(rows *sql.Rows) error {
		var p tasks.DuePair
		err := rows.Scan(&p.Group, &p.Kind, &p.Target, (*timeCol)(&p.RunAt))
		out = append(out, p)
		return err
	}, duePairs, toJSON(unique(groups)), toJSON(kinds), limit)
	return out, err
}

func unique[T cmp.Ordered](s []T) []T {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}

// Delete implements tasks.Store. Children go with their parents; tasks that have
// not ended stay.
func (db *DB) Delete(ctx context.Context, ids ...string) error {
	for portion := range slices.Chunk(ids, deletePortion) {
		for more := true; more; {
			err := db.submit(ctx, deletePortion, bySavepoint, func(tx *writeTx) (err error) {
				more, err = tx.deleteSome(toJSON(portion))
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

const ended = "status IN ('cancelled', 'failed', 'succeeded')"

// deleteSome deletes children of ended parents, or else these tasks themselves,
// and reports whether there may be more.
func (tx *writeTx) deleteSome(ids string) (more bool, err error) {
	const children = `SELECT c.seq, c.id, c.words, c.group_id FROM tasks p JOIN tasks c ON c.parent = p.id AND c.parent <> ''
		WHERE p.id IN (SELECT value FROM json_each(?)) AND p.` + ended + ` LIMIT ?`
	gone, err := tx.doomed(children, ids, deletePortion)
	if more = len(gone) > 0; err == nil && !more {
		gone, err = tx.doomed("SELECT seq, id, words, group_id FROM tasks WHERE id IN (SELECT value FROM json_each(?)) AND "+ended, ids)
	}
	if err != nil {
		return false, err
	}
	for _, d := range gone {
		if err := tx.deleteTask(d); err != nil {
			return false, err
		}
	}
	return more, nil
}

type doomed struct {
	seq              int64
	id, words, group string
}

func (tx *writeTx) doomed(q string, args ...any) (ds []doomed, err error) {
	rows, err := tx.query(q, args...)
	if err != nil {
		return nil, err
	}
	err = each(rows, func(rows *sql.Rows) error {
		var d doomed
		err := rows.Scan((*int64Col)(&d.seq), &d.id, &d.words, &d.group)
		ds = append(ds, d)
		return err
	})
	return ds, err
}

func (tx *writeTx) deleteTask(d doomed) error {
	if err := tx.clearPayloads(d.seq); err != nil {
		return err
	}
	if err := tx.exec1("DELETE FROM task_history WHERE task = ?", d.seq); err != nil {
		return err
	}
	for _, w := range strings.Fields(d.words) {
		if err := tx.exec1("DELETE FROM task_words WHERE grp = ? AND word = ? AND task_id = ?", d.group, w, d.id); err != nil {
			return err
		}
	}
	return tx.exec1("DELETE FROM tasks WHERE seq = ?", d.seq)
}
