package sqlite

import (
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// memberKey and timeKey are the primary keys of the two tables of statistics.
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

type memberSum struct{ succeeded, failed, cancelled, run int64 }

// statsDelta sums what the operations of one transaction count, so that each
// row of the statistics is written once.
type statsDelta struct {
	members map[memberKey]memberSum
	times   map[timeKey]int64
}

func (d *statsDelta) reset() { clear(d.members); clear(d.times) }

func (d *statsDelta) add(counts []tasks.Count) {
	if d.members == nil {
		d.members, d.times = make(map[memberKey]memberSum), make(map[timeKey]int64)
	}
	for _, c := range counts {
		d.addSpan(c, "h", c.Hour)
		d.addSpan(c, "d", c.Hour.UTC().Truncate(24*time.Hour))
	}
}

func (d *statsDelta) addSpan(c tasks.Count, span string, start time.Time) {
	at := ms(start)
	key := memberKey{c.Group, span, at, c.Member}
	sum := d.members[key]
	switch c.Status {
	case tasks.Succeeded:
		sum.succeeded++
	case tasks.Failed:
		sum.failed++
	case tasks.Cancelled:
		sum.cancelled++
	}
	if c.Ran {
		sum.run += c.Run.Milliseconds()
		d.times[timeKey{c.Group, span, at, "wait", tasks.Bucket(c.Wait)}]++
		d.times[timeKey{c.Group, span, at, "run", tasks.Bucket(c.Run)}]++
	}
	d.members[key] = sum
}

const addMember = `INSERT INTO stats_members (group_id, span, at, member, succeeded, failed, cancelled, run)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET succeeded = succeeded + excluded.succeeded, failed = failed + excluded.failed,
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
	for k, n := range tx.stats.times {
		if err := tx.exec1(addTime, k.group, k.span, k.at, k.what, k.bucket, n); err != nil {
			return err
		}
	}
	return nil
}
