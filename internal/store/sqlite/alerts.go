package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

const ruleColumns = "failures, silence, grace, approval, webhook_url"

func scanRules(rows *sql.Rows, r *devsync.Rules) error {
	return rows.Scan((*intCol)(&r.Failures), (*durationCol)(&r.Silence), (*durationCol)(&r.Grace), (*boolCol)(&r.Approval), &r.WebhookURL)
}

// RulesOf implements devsync.Store.
func (db *DB) RulesOf(ctx context.Context, group string) (devsync.Rules, error) {
	r := devsync.DefaultRules
	err := db.read(ctx, func(rows *sql.Rows) error { return scanRules(rows, &r) },
		"SELECT "+ruleColumns+" FROM sync_rules WHERE group_id = ?", group)
	return r, err
}

// rules is RulesOf for the writer, which remembers them.
func (tx *writeTx) rules(group string) (devsync.Rules, error) {
	if r, ok := tx.ingest.rules[group]; ok {
		return r, nil
	}
	r := devsync.DefaultRules
	rows, err := tx.query("SELECT "+ruleColumns+" FROM sync_rules WHERE group_id = ?", group)
	if err == nil {
		err = each(rows, func(rows *sql.Rows) error { return scanRules(rows, &r) })
	}
	if err == nil {
		if len(tx.ingest.rules) >= maxKnown {
			clear(tx.ingest.rules)
		}
		tx.ingest.rules[group] = r
	}
	return r, err
}

// SetRules implements devsync.Store.
func (db *DB) SetRules(ctx context.Context, group string, r devsync.Rules) error {
	return db.write(ctx, func(tx *writeTx) error {
		delete(tx.ingest.rules, group)
		return tx.exec1("REPLACE INTO sync_rules (group_id, "+ruleColumns+") VALUES (?, ?, ?, ?, ?, ?)",
			group, r.Failures, r.Silence.Milliseconds(), r.Grace.Milliseconds(), r.Approval, r.WebhookURL)
	})
}

// checkAlerts opens and closes the alerts of a device that has just reported.
func (tx *writeTx) checkAlerts(d *knownDevice, now time.Time) error {
	if d.silent != "" && (d.State != devsync.Active || d.LastSeen.Equal(now)) {
		if err := tx.recover(&d.silent, now); err != nil {
			return err
		}
	}
	rules, err := tx.rules(d.Group)
	if err != nil {
		return err
	}
	switch fails := d.State == devsync.Active && d.Streak >= rules.Failures; {
	case fails && d.failing == "":
		since, err := tx.firstOfStreak(d)
		if err != nil {
			return err
		}
		d.failing, err = tx.open(devsync.AlertFailing, d, since, now)
		return err
	case fails:
		return tx.exec1("UPDATE sync_alerts SET streak = max(streak, ?) WHERE id = ?", d.Streak, d.failing)
	case d.failing != "":
		return tx.recover(&d.failing, now)
	}
	return nil
}

// firstOfStreak is the time of the first failure after the last success.
func (tx *writeTx) firstOfStreak(d *knownDevice) (t time.Time, err error) {
	err = tx.row("SELECT min(at) FROM sync_events WHERE device = ?1 AND errors > 0 AND at >= ?2 AND (at > ?2 OR id > ?3)",
		[]any{d.seq, ms(d.LastSuccess.At), d.LastSuccess.Event}, (*timeCol)(&t))
	return t, err
}

// open adds an alert and returns its id.
func (tx *writeTx) open(kind devsync.AlertType, d *knownDevice, since, now time.Time) (string, error) {
	id := uuid.Must(uuid.NewV7()).String()
	return id, tx.exec1(`INSERT INTO sync_alerts (id, group_id, type, device, since, streak, opened_at, recovered_at, told, told_recovered)
		VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0)`, id, d.Group, string(kind), d.seq, ms(since), d.Streak, ms(now))
}

// recover closes an alert and forgets its id.
func (tx *writeTx) recover(id *string, now time.Time) error {
	err := tx.exec1("UPDATE sync_alerts SET recovered_at = ? WHERE id = ?", ms(now), *id)
	*id = ""
	return err
}

// OpenSilent looks at silentPage devices in one read and opens silentPortion
// alerts in one step. That is few enough to be urgent: a transaction of events,
// which has changes of devices in memory, is none of theirs.
const (
	silentPage    = 1000
	silentPortion = 10
)

// OpenSilent implements devsync.Store.
func (db *DB) OpenSilent(ctx context.Context, now time.Time) (opened int, err error) {
	watch, err := db.watch(ctx, now)
	if err != nil {
		return 0, err
	}
	rules := make(map[string]devsync.Rules)
	for after := int64(0); ; {
		var page, quiet []*knownDevice
		err := db.read(ctx, func(rows *sql.Rows) error {
			d := &knownDevice{}
			page = append(page, d)
			return d.scan(rows)
		}, "SELECT "+deviceColumns+fromDevices+"WHERE d.seq > ? ORDER BY d.seq LIMIT ?", after, silentPage)
		if err != nil || len(page) == 0 {
			return opened, err
		}
		after = page[len(page)-1].seq
		for _, d := range page {
			if d.State != devsync.Active || d.silent != "" {
				continue
			}
			r, ok := rules[d.Group]
			if !ok {
				if r, err = db.RulesOf(ctx, d.Group); err != nil {
					return opened, err
				}
				rules[d.Group] = r
			}
			if at := r.SilentAt(&d.Device, watch); !at.IsZero() && !now.Before(at) {
				quiet = append(quiet, d)
			}
		}
		for some := range slices.Chunk(quiet, silentPortion) {
			n, err := db.openSilent(ctx, some, now)
			if opened += n; err != nil {
				return opened, err
			}
		}
	}
}

// watch brings the watch up to date and returns it.
func (db *DB) watch(ctx context.Context, now time.Time) (w devsync.Watch, err error) {
	err = db.write(ctx, func(tx *writeTx) error {
		err := tx.row("SELECT at, since, until FROM sync_watch", nil, (*timeCol)(&w.At), (*timeCol)(&w.From), (*timeCol)(&w.To))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		w = w.Next(now)
		return tx.exec1("REPLACE INTO sync_watch (one, at, since, until) VALUES (1, ?, ?, ?)", ms(w.At), ms(w.From), ms(w.To))
	})
	return w, err
}

// openSilent opens alerts, but of devices that have reported meanwhile.
func (db *DB) openSilent(ctx context.Context, quiet []*knownDevice, now time.Time) (int, error) {
	var opened int
	err := db.write(ctx, func(tx *writeTx) error {
		for _, seen := range quiet {
			key := deviceKey{seen.Group, seen.ID}
			d, err := tx.find(key)
			if errors.Is(err, sql.ErrNoRows) { // its group has gone meanwhile
				continue
			}
			if err != nil {
				return err
			}
			if d.State != devsync.Active || d.silent != "" || !d.LastSeen.Equal(seen.LastSeen) {
				continue
			}
			delete(tx.ingest.known, key)
			if d.silent, err = tx.open(devsync.AlertSilent, d, d.LastSeen, now); err != nil {
				return err
			}
			if err := tx.writeSums([]*knownDevice{d}); err != nil {
				return err
			}
			opened++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return opened, nil
}

const alertColumns = "a.id, a.group_id, a.type, d.id, d.name, a.since, a.streak, a.opened_at, a.recovered_at"

func scanAlert(rows *sql.Rows, a *devsync.Alert, more ...any) error {
	return rows.Scan(append([]any{
		&a.ID, &a.Group, (*string)(&a.Type), &a.Device, &a.Name, (*timeCol)(&a.Since), (*intCol)(&a.Streak),
		(*timeCol)(&a.OpenedAt), (*timeCol)(&a.RecoveredAt),
	}, more...)...)
}

// Alerts implements devsync.Store.
func (db *DB) Alerts(ctx context.Context, q devsync.AlertQuery) ([]devsync.Alert, error) {
	var c clause
	c.add("SELECT "+alertColumns+" FROM sync_alerts a JOIN devices d ON d.seq = a.device WHERE a.group_id = ? AND d.state = 'active'", q.Group)
	if q.Open {
		c.add(" AND a.recovered_at = 0")
	}
	if q.Before != "" {
		c.add(" AND a.id < ?", q.Before)
	}
	c.add(" ORDER BY a.id DESC LIMIT ?", q.Limit)
	var alerts []devsync.Alert
	err := db.read(ctx, func(rows *sql.Rows) error {
		var a devsync.Alert
		err := scanAlert(rows, &a)
		alerts = append(alerts, a)
		return err
	}, c.String(), c.args...)
	return alerts, err
}

// News implements devsync.Store.
func (db *DB) News(ctx context.Context, limit int) ([]devsync.News, error) {
	var news []devsync.News
	err := db.read(ctx, func(rows *sql.Rows) error {
		var n devsync.News
		var told bool
		err := scanAlert(rows, &n.Alert, (*boolCol)(&told))
		n.Recovered = told
		news = append(news, n)
		return err
	}, "SELECT "+alertColumns+`, a.told FROM sync_alerts a JOIN devices d ON d.seq = a.device
		WHERE a.told = 0 OR a.told_recovered = 0 AND a.recovered_at > 0 ORDER BY a.id LIMIT ?`, limit)
	return news, err
}

// Told implements devsync.Store.
func (db *DB) Told(ctx context.Context, n devsync.News) error {
	q := "UPDATE sync_alerts SET told = 1 WHERE id = ?"
	if n.Recovered {
		q = "UPDATE sync_alerts SET told_recovered = 1 WHERE id = ?"
	}
	return db.writeOne(ctx, func(tx *writeTx) error { return tx.exec1(q, n.ID) })
}
