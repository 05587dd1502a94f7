package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

var _ devsync.Store = (*DB)(nil)

const (
	ingestPortion = 500     // events of one operation, and of those that are written together
	ingestRow     = 20      // so many events cost as much as one row of tasks
	maxKnown      = 200_000 // devices remembered by the writer
)

// Append implements devsync.Store. Each portion of ingestPortion is a step of its
// own; with an error the earlier ones are returned.
func (db *DB) Append(ctx context.Context, group string, events []devsync.Event) ([]devsync.Stored, error) {
	out := make([]devsync.Stored, len(events))
	for i := 0; i < len(events); i += ingestPortion {
		end := min(i+ingestPortion, len(events))
		a := &intake{group: group, events: events[i:end], out: out[i:end]}
		if err := db.writer.do(ctx, &op{intake: a, rows: max(1, (end-i)/ingestRow)}); err != nil {
			return out[:i], err
		}
	}
	return out, nil
}

// intake is one call's events. Those of several calls are written together.
type intake struct {
	group  string
	events []devsync.Event
	out    []devsync.Stored
}

// ingest is what the writer knows of devices while it takes events in. A
// transaction's changes of devices and sums are written once, before its commit;
// when a transaction fails all is forgotten.
type ingest struct {
	rules   map[string]devsync.Rules // by group
	known   map[deviceKey]*knownDevice
	changed []*knownDevice
	hours   map[hourKey]*devsync.Totals
	speeds  map[speedKey]int64
	rows    []eventRow // of the operation under way
}

type deviceKey struct{ group, id string }

type knownDevice struct {
	devsync.Device
	seq              int64
	failing, silent  string // ids of open alerts, or empty
	changed, recount bool
}

type hourKey struct {
	group string
	hour  int64
}

type speedKey struct {
	hourKey
	bucket int
}

// eventRow is an event on its way into the table.
type eventRow struct {
	dev *knownDevice
	ev  *devsync.Event
	out *devsync.Stored
}

func newIngest() *ingest {
	return &ingest{rules: make(map[string]devsync.Rules), known: make(map[deviceKey]*knownDevice), hours: make(map[hourKey]*devsync.Totals), speeds: make(map[speedKey]int64)}
}

// forget is called when a transaction failed.
func (g *ingest) forget() {
	clear(g.known)
	clear(g.rules)
	g.settle()
}

// settle is called when a transaction's changes are written.
func (g *ingest) settle() {
	g.changed = g.changed[:0]
	clear(g.hours)
	clear(g.speeds)
}

// take writes the events of calls. An error spoils the transaction.
func (tx *writeTx) take(calls []*intake) error {
	g := tx.ingest
	g.rows = g.rows[:0]
	for _, a := range calls {
		for i := range a.events {
			dev, err := tx.device(deviceKey{a.group, a.events[i].Device}, a.events[i].ReceivedAt)
			if err != nil {
				return err
			}
			g.rows = append(g.rows, eventRow{dev: dev, ev: &a.events[i], out: &a.out[i]})
		}
	}
	// Neighbours in the table one after another; of a device's the first stays first.
	slices.SortStableFunc(g.rows, func(a, b eventRow) int { return cmp.Compare(a.dev.seq, b.dev.seq) })
	return eachSome(g.rows, tx.insertEvents)
}

// rowSizes are how many rows a statement writes: few shapes, so that all stay
// prepared.
var rowSizes = [...]int{64, 16, 4, 1}

// eachSome calls f with all rows in turn, as many at a time as a shape has.
func eachSome[T any](rows []T, f func([]T) error) error {
	for len(rows) > 0 {
		n := 1
		for _, size := range rowSizes {
			if len(rows) >= size {
				n = size
				break
			}
		}
		if err := f(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// shapes returns a statement for each of rowSizes: before, then a tuple of so
// many placeholders for each row, then after.
func shapes(before string, columns int, after string) map[int]string {
	tuple := "(" + strings.TrimSuffix(strings.Repeat("?, ", columns), ", ") + ")"
	qs := make(map[int]string)
	for _, n := range rowSizes {
		qs[n] = before + strings.TrimSuffix(strings.Repeat(tuple+", ", n), ", ") + after
	}
	return qs
}

var (
	insertEvents = shapes("INSERT INTO sync_events (device, at, id, received, files, errors, speed) VALUES ", 7, " ON CONFLICT DO NOTHING")
	replaceSums  = shapes(`REPLACE INTO device_sums (device, last_seen, events, failed, partial, files, errors, newest_at, newest_id,
		success_at, success_id, failure_at, failure_id, streak, usual_interval, failing, silent) VALUES `, 17, "")
)

// insertEvents writes rows with one statement, or one by one where some of them
// are repeats.
func (tx *writeTx) insertEvents(rows []eventRow) error {
	if len(rows) > 1 {
		if err := tx.exec1("SAVEPOINT events"); err != nil {
			return err
		}
	}
	args := tx.args[:0]
	for _, r := range rows {
		args = append(args, r.dev.seq, r.ev.At.UnixMilli(), r.ev.ID, r.ev.ReceivedAt.UnixMilli(), r.ev.Files, r.ev.Errors, r.ev.Speed)
	}
	tx.args = args
	n, err := tx.exec(insertEvents[len(rows)], args...)
	if err != nil {
		return err
	}
	switch {
	case int(n) == len(rows):
		for _, r := range rows {
			tx.note(r)
		}
	case len(rows) == 1:
		return tx.repeat(rows[0])
	default:
		if err := tx.exec1("ROLLBACK TO events"); err != nil {
			return err
		}
		for i := range rows {
			if err := tx.insertEvents(rows[i : i+1]); err != nil {
				return err
			}
		}
	}
	if len(rows) > 1 {
		return tx.exec1("RELEASE events")
	}
	return nil
}

// note counts an event that is new.
func (tx *writeTx) note(r eventRow) {
	g := tx.ingest
	*r.out = devsync.Stored{Event: *r.ev}
	if r.dev.Note(*r.ev) {
		r.dev.recount = true
	}
	if !r.dev.changed {
		r.dev.changed = true
		g.changed = append(g.changed, r.dev)
	}
	key := hourKey{r.dev.Group, hourOf(*r.ev)}
	sum := g.hours[key]
	if sum == nil {
		sum = new(devsync.Totals)
		g.hours[key] = sum
	}
	sum.Add(*r.ev)
	g.speeds[speedKey{key, devsync.SpeedBucket(r.ev.Speed)}]++
}

// repeat answers an event with the first of its id, else of its time.
func (tx *writeTx) repeat(r eventRow) error {
	q, args := "SELECT "+eventColumns+" FROM sync_events WHERE device = ? AND at = ? AND id = ''", []any{r.dev.seq, r.ev.At.UnixMilli()}
	if r.ev.ID != "" {
		q, args = "SELECT "+eventColumns+" FROM sync_events WHERE device = ? AND id = ? AND id <> ''", []any{r.dev.seq, r.ev.ID}
	}
	rows, err := tx.query(q, args...)
	if err != nil {
		return err
	}
	*r.out = devsync.Stored{Event: devsync.Event{Device: r.ev.Device}, Repeat: true}
	return each(rows, func(rows *sql.Rows) error { return scanEvent(rows, &r.out.Event) })
}

const (
	deviceColumns = `d.seq, d.group_id, d.id, d.name, d.tags, d.state, d.first_seen, s.last_seen, s.events, s.failed, s.partial,
	s.files, s.errors, s.newest_at, s.newest_id, s.success_at, s.success_id, s.failure_at, s.failure_id, s.streak, s.usual_interval, s.failing, s.silent`
	fromDevices = " FROM devices d JOIN device_sums s ON s.device = d.seq "
)

func (d *knownDevice) scan(rows *sql.Rows) error {
	return rows.Scan((*int64Col)(&d.seq), &d.Group, &d.ID, &d.Name, jsonCol{&d.Tags}, (*string)(&d.State),
		(*timeCol)(&d.FirstSeen), (*timeCol)(&d.LastSeen),
		(*int64Col)(&d.Totals.Events), (*int64Col)(&d.Totals.Failed), (*int64Col)(&d.Totals.Partial),
		(*int64Col)(&d.Totals.Files), (*int64Col)(&d.Totals.Errors),
		(*timeCol)(&d.Newest.At), &d.Newest.Event, (*timeCol)(&d.LastSuccess.At), &d.LastSuccess.Event,
		(*timeCol)(&d.LastFailure.At), &d.LastFailure.Event, (*intCol)(&d.Streak), (*durationCol)(&d.Interval), &d.failing, &d.silent)
}

// device returns what is known of a device, which it registers if it is new.
func (tx *writeTx) device(key deviceKey, now time.Time) (*knownDevice, error) {
	g := tx.ingest
	if d := g.known[key]; d != nil {
		return d, nil
	}
	d, err := tx.find(key)
	if errors.Is(err, sql.ErrNoRows) {
		d, err = tx.register(key, now)
	}
	if err != nil {
		return nil, err
	}
	if len(g.known) >= maxKnown {
		g.dropUnchanged()
	}
	g.known[key] = d
	return d, nil
}

// find reads a device: sql.ErrNoRows for one that is not registered.
func (tx *writeTx) find(key deviceKey) (*knownDevice, error) {
	d := &knownDevice{}
	rows, err := tx.query("SELECT "+deviceColumns+fromDevices+"WHERE d.group_id = ? AND d.id = ?", key.group, key.id)
	if err != nil {
		return nil, err
	}
	if err := each(rows, d.scan); err != nil {
		return nil, err
	}
	if d.seq == 0 {
		return nil, sql.ErrNoRows
	}
	return d, nil
}

// register adds a device.
func (tx *writeTx) register(key deviceKey, now time.Time) (*knownDevice, error) {
	rules, err := tx.rules(key.group)
	if err != nil {
		return nil, err
	}
	d := &knownDevice{Device: devsync.Device{Group: key.group, ID: key.id, State: devsync.Active, FirstSeen: now}}
	if rules.Approval {
		d.State = devsync.Pending
	}
	d.seq, err = tx.insertRow("INSERT INTO devices (group_id, id, name, tags, state, first_seen) VALUES (?, ?, '', '[]', ?, ?)",
		key.group, key.id, string(d.State), ms(now))
	return d, err
}

// dropUnchanged makes room for other devices.
func (g *ingest) dropUnchanged() {
	for key, d := range g.known {
		if !d.changed {
			delete(g.known, key)
		}
	}
}

const countStreak = `SELECT count(*) FROM sync_events WHERE device = ?1 AND errors > 0 AND at >= ?2 AND (at > ?2 OR id > ?3)`

const addHour = `INSERT INTO sync_hours (group_id, hour, events, failed, partial, files, errors) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET events = events + excluded.events, failed = failed + excluded.failed,
	partial = partial + excluded.partial, files = files + excluded.files, errors = errors + excluded.errors`

const addSpeed = `INSERT INTO sync_speeds (group_id, hour, bucket, n) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + excluded.n`

// flushIngest writes what the transaction's events changed.
func (tx *writeTx) flushIngest() error {
	g := tx.ingest
	if len(g.changed) == 0 {
		return nil
	}
	for _, d := range g.changed {
		if d.recount {
			err := tx.row(countStreak, []any{d.seq, ms(d.LastSuccess.At), d.LastSuccess.Event}, (*intCol)(&d.Streak))
			if err != nil {
				return err
			}
		}
		if err := tx.checkAlerts(d, d.LastSeen); err != nil {
			return err
		}
		d.changed, d.recount = false, false
	}
	if err := eachSome(g.changed, tx.writeSums); err != nil {
		return err
	}
	for k, t := range g.hours {
		if err := tx.exec1(addHour, k.group, k.hour, t.Events, t.Failed, t.Partial, t.Files, t.Errors); err != nil {
			return err
		}
	}
	for k, n := range g.speeds {
		if err := tx.exec1(addSpeed, k.group, k.hour, k.bucket, n); err != nil {
			return err
		}
	}
	g.settle()
	return nil
}

func (tx *writeTx) writeSums(devices []*knownDevice) error {
	args := tx.args[:0]
	for _, d := range devices {
		args = append(args, d.seq, ms(d.LastSeen), d.Totals.Events, d.Totals.Failed, d.Totals.Partial, d.Totals.Files,
			d.Totals.Errors, ms(d.Newest.At), d.Newest.Event, ms(d.LastSuccess.At), d.LastSuccess.Event,
			ms(d.LastFailure.At), d.LastFailure.Event, d.Streak, d.Interval.Milliseconds(), d.failing, d.silent)
	}
	tx.args = args
	return tx.exec1(replaceSums[len(devices)], args...)
}
