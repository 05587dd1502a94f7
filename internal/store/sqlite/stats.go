package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// Spans are "d" days, "h" hours, and of a whole group without times "m" minutes.
// memberKey, timeKey and workerKey are the primary keys of the tables of statistics.
type memberKey struct {
	group, span string
	at          int64
	member      string
}

type timeKey struct {
	group, span string
	at          int64
	what        string
	bucket      int
}

type workerKey struct {
	worker        string
	day           int64
	group, member string
}

type statsSum struct{ succeeded, failed, cancelled, run int64 }

// statsDelta sums what the operations of one transaction count, so that each
// row of the statistics, and of queues, is written once.
type statsDelta struct {
	members map[memberKey]statsSum
	times   map[timeKey]int64
	workers map[workerKey]statsSum
	minutes map[int64]minuteSum
	queues  map[tasks.Pair]queueSum
}

func (d *statsDelta) reset() {
	clear(d.members)
	clear(d.times)
	clear(d.workers)
	clear(d.minutes)
	clear(d.queues)
}

// opCounts is what one operation counts.
type opCounts struct {
	ended     []tasks.Count
	failovers []time.Time
	moves     []move
}

func (c *opCounts) reset() { c.ended, c.failovers, c.moves = c.ended[:0], c.failovers[:0], c.moves[:0] }

func (d *statsDelta) add(counts *opCounts) {
	if d.members == nil {
		d.members, d.times = make(map[memberKey]statsSum), make(map[timeKey]int64)
		d.workers, d.minutes = make(map[workerKey]statsSum), make(map[int64]minuteSum)
		d.queues = make(map[tasks.Pair]queueSum)
	}
	for _, c := range counts.ended {
		d.addEnd(c)
	}
	for _, at := range counts.failovers {
		minute := ms(at.Truncate(time.Minute))
		sum := d.minutes[minute]
		sum.failovers++
		d.minutes[minute] = sum
	}
	for _, m := range counts.moves {
		d.addMove(m)
	}
}

func (d *statsDelta) addEnd(c tasks.Count) {
	today, minute := c.At.UTC().Truncate(day), ms(c.At.Truncate(time.Minute))
	d.addSpan(c, "h", c.At.Truncate(time.Hour))
	d.addSpan(c, "d", today)
	ofGroup := memberKey{c.Group, "m", minute, ""}
	d.members[ofGroup] = d.members[ofGroup].plus(c)
	sum := d.minutes[minute]
	sum.ended = sum.ended.plus(c)
	d.minutes[minute] = sum
	if c.Worker != "" {
		key := workerKey{c.Worker, ms(today), c.Group, c.By}
		d.workers[key] = d.workers[key].plus(c)
	}
}

func (s statsSum) plus(c tasks.Count) statsSum {
	switch c.Status {
	case tasks.Succeeded:
		s.succeeded++
	case tasks.Failed:
		s.failed++
	case tasks.Cancelled:
		s.cancelled++
	}
	if c.Ran {
		s.run += c.Run.Milliseconds()
	}
	return s
}

func (d *statsDelta) addSpan(c tasks.Count, span string, start time.Time) {
	at := ms(start)
	key := memberKey{c.Group, span, at, c.Member}
	d.members[key] = d.members[key].plus(c)
	if c.Ran {
		d.times[timeKey{c.Group, span, at, "wait", tasks.Bucket(c.Wait)}]++
		d.times[timeKey{c.Group, span, at, "run", tasks.Bucket(c.Run)}]++
	}
}

// minuteSum is what one minute counts of the whole installation.
type minuteSum struct {
	ended     statsSum
	failovers int64
}

const addMinute = `INSERT INTO stats_minutes (at, succeeded, failed, cancelled, failovers) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET succeeded = succeeded + excluded.succeeded, failed = failed + excluded.failed,
	cancelled = cancelled + excluded.cancelled, failovers = failovers + excluded.failovers`

const addMember = `INSERT INTO stats_members (group_id, span, at, member, succeeded, failed, cancelled, run)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET ` + addSums

const addWorkerDay = `INSERT INTO worker_days (worker, day, group_id, member, succeeded, failed, cancelled, run)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET ` + addSums

const addSums = `succeeded = succeeded + excluded.succeeded, failed = failed + excluded.failed,
	cancelled = cancelled + excluded.cancelled, run = run + excluded.run`

const addTime = `INSERT INTO stats_times (group_id, span, at, what, bucket, n) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + excluded.n`

// flushStats writes what the transaction's operations counted.
func (tx *writeTx) flushStats() error {
	for k, s := range tx.stats.members {
		err := tx.exec1(addMember, k.group, k.span, k.at, k.member, s.succeeded, s.failed, s.cancelled, s.run)
		if err != nil {
			return err
		}
	}
	for k, s := range tx.stats.workers {
		err := tx.exec1(addWorkerDay, k.worker, k.day, k.group, k.member, s.succeeded, s.failed, s.cancelled, s.run)
		if err != nil {
			return err
		}
	}
	for k, n := range tx.stats.times {
		if err := tx.exec1(addTime, k.group, k.span, k.at, k.what, k.bucket, n); err != nil {
			return err
		}
	}
	for at, s := range tx.stats.minutes {
		if err := tx.exec1(addMinute, at, s.ended.succeeded, s.ended.failed, s.ended.cancelled, s.failovers); err != nil {
			return err
		}
	}
	return tx.flushQueues()
}

const (
	day  = 24 * time.Hour
	from = `(span = 'd' AND at >= ?2 AND at < ?3 OR span = 'h' AND at >= max(?3, ?4))`
)

// Stats implements tasks.StatsStore. Where the hours of the window's beginning
// were pruned it is to the day.
func (db *DB) Stats(ctx context.Context, group string, since time.Time) ([]tasks.MemberStats, tasks.Histograms, error) {
	h := tasks.Histograms{Wait: tasks.Histogram{}, Run: tasks.Histogram{}}
	var pruned int64
	if err := db.readRow(ctx, "SELECT before FROM stats_pruned", nil, (*int64Col)(&pruned)); err != nil {
		return nil, h, err
	}
	args := []any{group, ms(since.UTC().Truncate(day)), pruned, ms(since.Truncate(time.Hour))}
	var members []tasks.MemberStats
	err := db.read(ctx, func(rows *sql.Rows) error {
		var m tasks.MemberStats
		err := rows.Scan(&m.Member, (*int64Col)(&m.Succeeded), (*int64Col)(&m.Failed), (*int64Col)(&m.Cancelled), (*durationCol)(&m.Run))
		members = append(members, m)
		return err
	}, `SELECT member, sum(succeeded), sum(failed), sum(cancelled), sum(run) FROM stats_members
		WHERE group_id = ?1 AND `+from+` GROUP BY member ORDER BY member`, args...)
	if err != nil {
		return nil, h, err
	}
	err = db.read(ctx, func(rows *sql.Rows) error {
		var what string
		var bucket int
		var n int64
		err := rows.Scan(&what, (*intCol)(&bucket), (*int64Col)(&n))
		if what == "wait" {
			h.Wait[bucket] += n
		} else {
			h.Run[bucket] += n
		}
		return err
	}, "SELECT what, bucket, sum(n) FROM stats_times WHERE group_id = ?1 AND "+from+" GROUP BY what, bucket", args...)
	return members, h, err
}

const (
	groupPeriods = `SELECT at, sum(succeeded), sum(failed), sum(cancelled) FROM stats_members
	WHERE group_id = ? AND span = ? AND at >= ? GROUP BY at ORDER BY at`
	groupTimes = "SELECT at, what, bucket, n FROM stats_times WHERE group_id = ? AND span = ? AND at >= ?"
)

// Minutes implements tasks.StatsStore.
func (db *DB) Minutes(ctx context.Context, group string, since time.Time) ([]tasks.Period, error) {
	return db.periods(ctx, group, "m", ms(since.Truncate(time.Minute)))
}

// Hours implements tasks.StatsStore.
func (db *DB) Hours(ctx context.Context, group string, since time.Time) ([]tasks.Period, error) {
	from := ms(since.Truncate(time.Hour))
	periods, err := db.periods(ctx, group, "h", from)
	if err != nil {
		return nil, err
	}
	byHour := make(map[int64]tasks.Histograms, len(periods))
	for i := range periods {
		periods[i].Histograms = tasks.Histograms{Wait: tasks.Histogram{}, Run: tasks.Histogram{}}
		byHour[ms(periods[i].At)] = periods[i].Histograms
	}
	return periods, db.read(ctx, func(rows *sql.Rows) error {
		var hour, n int64
		var what string
		var bucket int
		err := rows.Scan((*int64Col)(&hour), &what, (*intCol)(&bucket), (*int64Col)(&n))
		if h, ok := byHour[hour]; ok { // else it began since the periods were read
			if what == "wait" {
				h.Wait[bucket] += n
			} else {
				h.Run[bucket] += n
			}
		}
		return err
	}, groupTimes, group, "h", from)
}

func (db *DB) periods(ctx context.Context, group, span string, from int64) ([]tasks.Period, error) {
	var found []tasks.Period
	err := db.read(ctx, func(rows *sql.Rows) error {
		var p tasks.Period
		err := rows.Scan((*timeCol)(&p.At), (*int64Col)(&p.Succeeded), (*int64Col)(&p.Failed), (*int64Col)(&p.Cancelled))
		found = append(found, p)
		return err
	}, groupPeriods, group, span, from)
	return found, err
}

const depth = `SELECT coalesce(sum(waiting), 0), coalesce(sum(running), 0),
	(SELECT count(*) FROM tasks INDEXED BY tasks_scheduled WHERE group_id = ?1 AND status = 'scheduled' AND phase = '')
FROM queues WHERE group_id = ?1`

// Depth implements tasks.StatsStore. The counts are those of the group's queues;
// parents are not counted, their parts are.
func (db *DB) Depth(ctx context.Context, group string) (map[tasks.Status]int, error) {
	var waiting, running, scheduled int
	err := db.readRow(ctx, depth, []any{group}, (*intCol)(&waiting), (*intCol)(&running), (*intCol)(&scheduled))
	counts := make(map[tasks.Status]int)
	for s, n := range map[tasks.Status]int{tasks.Queued: waiting - scheduled, tasks.Scheduled: scheduled, tasks.Running: running} {
		if n > 0 {
			counts[s] = n
		}
	}
	return counts, err
}

// PruneStats removes the hours before the day (UTC) of a time; their days stay.
// Minutes go after a day, and queues that say nothing.
func (db *DB) PruneStats(ctx context.Context, before time.Time) error {
	start := ms(before.UTC().Truncate(day))
	return db.write(ctx, func(tx *writeTx) error {
		for _, q := range []string{
			"DELETE FROM stats_members WHERE span = 'h' AND at < ?",
			"DELETE FROM stats_times WHERE span = 'h' AND at < ?",
			"UPDATE stats_pruned SET before = max(before, ?)",
		} {
			if err := tx.exec1(q, start); err != nil {
				return err
			}
		}
		for _, q := range []string{"DELETE FROM stats_minutes WHERE at < ?", "DELETE FROM stats_members WHERE span = 'm' AND at < ?"} {
			if err := tx.exec1(q, ms(time.Now().Add(-day-time.Hour))); err != nil {
				return err
			}
		}
		return tx.exec1("DELETE FROM queues WHERE waiting = 0 AND running = 0 AND paused_at = 0")
	})
}
