package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/workers"
)

// Sessions is workers.Store on the embedded store: a type of its own, since its
// methods' names (Open, List, Update) would say nothing on DB.
type Sessions struct{ db *DB }

// Sessions returns the store of sessions and workers.
func (db *DB) Sessions() *Sessions { return &Sessions{db} }

const sessionCols = `id, worker, name, owner, token, server, state, epoch, until, last_heard, secret_hash,
groups, kinds, slots, offered, asked, labels, sdk, draining, connected_at, by_server`

func scanSession(rows *sql.Rows) (s workers.Session, err error) {
	err = rows.Scan(
		&s.ID, &s.Worker, &s.Name, &s.Owner, &s.Token, &s.Server, (*string)(&s.State), (*int64Col)(&s.Epoch),
		(*timeCol)(&s.Until), (*timeCol)(&s.LastHeard), &s.SecretHash,
		jsonCol{&s.Groups}, jsonCol{&s.Kinds}, (*intCol)(&s.Slots), jsonCol{&s.Offered}, jsonCol{&s.Asked}, jsonCol{&s.Labels}, &s.SDK,
		(*boolCol)(&s.Draining), (*timeCol)(&s.ConnectedAt), (*boolCol)(&s.ByServer),
	)
	return s, err
}

// change runs a statement that returns the session it changed; ok is false where
// it changed none. saw, if set, is when its worker was known alive.
func (s *Sessions) change(ctx context.Context, saw time.Time, q string, args ...any) (workers.Session, bool, error) {
	var after workers.Session
	found := false
	how := bySavepoint
	if saw.IsZero() {
		how = bySQLite
	}
	err := s.db.submit(ctx, 1, how, func(tx *writeTx) error {
		rows, err := tx.query(q+" RETURNING "+sessionCols, args...)
		if err != nil {
			return err
		}
		err = each(rows, func(rows *sql.Rows) (err error) {
			found = true
			after, err = scanSession(rows)
			return err
		})
		if err != nil || !found || saw.IsZero() {
			return err
		}
		return tx.exec1("UPDATE workers SET last_seen = max(last_seen, ?), kinds = ?, labels = ?, sdk = ? WHERE id = ?",
			ms(saw), toJSON(after.Offered), toJSON(after.Labels), after.SDK, after.Worker)
	})
	if err != nil {
		return workers.Session{}, false, err
	}
	return after, found, nil
}

const seenWorker = `INSERT INTO workers (id, owner, name, first_seen, last_seen, kinds, labels, sdk)
VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)
ON CONFLICT (owner, name) DO UPDATE SET last_seen = max(last_seen, excluded.last_seen),
	kinds = excluded.kinds, labels = excluded.labels, sdk = excluded.sdk RETURNING id`

// Open implements workers.Store.
func (s *Sessions) Open(ctx context.Context, n workers.Session) (workers.Session, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return workers.Session{}, err
	}
	n.State, n.Epoch = workers.Connected, 1
	n.Until, n.ByServer = time.Time{}, false
	var worker string
	err = s.db.write(ctx, func(tx *writeTx) error {
		err := tx.row(seenWorker, []any{
			id.String(), n.Owner, n.Name, ms(n.ConnectedAt), toJSON(n.Offered), toJSON(n.Labels), n.SDK,
		}, &worker)
		if err != nil {
			return err
		}
		return tx.exec1("INSERT INTO sessions ("+sessionCols+", lost_at) VALUES ("+strings.Repeat("?, ", 21)+"0)",
			n.ID, worker, n.Name, n.Owner, n.Token, n.Server, string(n.State), n.Epoch, 0, ms(n.LastHeard), n.SecretHash,
			toJSON(n.Groups), toJSON(n.Kinds), n.Slots, toJSON(n.Offered), toJSON(n.Asked), toJSON(n.Labels), n.SDK,
			n.Draining, ms(n.ConnectedAt), false)
	})
	if err != nil {
		return workers.Session{}, err
	}
	n.Worker = worker
	return n, nil
}

const resume = `UPDATE sessions SET state = 'connected', epoch = epoch + 1, until = 0, by_server = 0, server = ?,
	groups = ?, kinds = ?, slots = ?, offered = ?, labels = ?, sdk = ?, draining = ?, last_heard = max(last_heard, ?)
WHERE id = ? AND owner = ? AND secret_hash = ? AND state IN ('connected', 'grace')`

// Resume implements workers.Store. Draining is taken from n too: a worker that
// drains says so again.
func (s *Sessions) Resume(ctx context.Context, n workers.Session) (workers.Session, error) {
	after, ok, err := s.change(ctx, n.LastHeard, resume, n.Server, toJSON(n.Groups), toJSON(n.Kinds), n.Slots, toJSON(n.Offered),
		toJSON(n.Labels), n.SDK, n.Draining, ms(n.LastHeard), n.ID, n.Owner, n.SecretHash)
	if err == nil && !ok {
		err = workers.ErrNoSession
	}
	return after, err
}

// Part implements workers.Store.
func (s *Sessions) Part(ctx context.Context, id string, epoch int64, until, lastHeard time.Time, byServer bool) (bool, error) {
	_, ok, err := s.change(ctx, lastHeard, `UPDATE sessions SET state = 'grace', until = ?, last_heard = ?, by_server = ?
		WHERE id = ? AND epoch = ? AND state = 'connected'`, ms(until), ms(lastHeard), byServer, id, epoch)
	return ok, err
}

// Lose implements workers.Store.
func (s *Sessions) Lose(ctx context.Context, id string, epoch int64, graceBy time.Time) (workers.Session, bool, error) {
	const lose = `UPDATE sessions SET state = 'lost', lost_at = ?, until = 0 WHERE id = ? AND epoch = ? AND `
	now := time.Now()
	if graceBy.IsZero() { // it left just now
		return s.change(ctx, now, lose+"state IN ('connected', 'grace')", ms(now), id, epoch)
	}
	return s.change(ctx, time.Time{}, lose+"state = 'grace' AND until <= ?", ms(now), id, epoch, ms(graceBy))
}

// Update implements workers.Store; the session's epoch is compared too.
func (s *Sessions) Update(ctx context.Context, n workers.Session) (bool, error) {
	_, ok, err := s.change(ctx, time.Time{}, `UPDATE sessions SET slots = ?, groups = ?, kinds = ?, draining = ?
		WHERE id = ? AND epoch = ? AND state = 'connected'`, n.Slots, toJSON(n.Groups), toJSON(n.Kinds), n.Draining, n.ID, n.Epoch)
	return ok, err
}

// Sessions implements workers.Store.
func (s *Sessions) Sessions(ctx context.Context, ids ...string) ([]workers.Session, error) {
	return s.read(ctx, "id IN (SELECT value FROM json_each(?)) ORDER BY id", toJSON(ids))
}

func (s *Sessions) read(ctx context.Context, cond string, args ...any) ([]workers.Session, error) {
	var out []workers.Session
	err := s.db.read(ctx, func(rows *sql.Rows) error {
		one, err := scanSession(rows)
		out = append(out, one)
		return err
	}, "SELECT "+sessionCols+" FROM sessions WHERE "+cond, args...)
	return out, err
}

// List implements workers.Store, in order of id.
func (s *Sessions) List(ctx context.Context, f workers.Filter) ([]workers.Session, error) {
	var c clause
	c.add("1")
	if len(f.States) > 0 {
		c.add(" AND state IN (SELECT value FROM json_each(?))", toJSON(f.States))
	}
	text := func(cond, v string) {
		if v != "" {
			c.add(" AND "+cond, v)
		}
	}
	text("server = ?", f.Server)
	text("owner = ?", f.Owner)
	text("EXISTS (SELECT 1 FROM json_each(groups) WHERE value = ?)", f.Group)
	text("EXISTS (SELECT 1 FROM json_each(kinds) WHERE value = ?)", f.Kind)
	if f.Workers != nil {
		c.add(" AND worker IN (SELECT value FROM json_each(?))", toJSON(f.Workers))
	}
	if !f.GraceEnded.IsZero() {
		c.add(" AND state = 'grace' AND until <= ?", ms(f.GraceEnded))
	}
	if f.Limit <= 0 {
		f.Limit = 10000
	}
	c.add(" ORDER BY id LIMIT ?", f.Limit)
	return s.read(ctx, c.String(), c.args...)
}

// Forget implements workers.Store.
func (s *Sessions) Forget(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := s.db.writeOne(ctx, func(tx *writeTx) (err error) {
		n, err = tx.exec("DELETE FROM sessions WHERE lost_at > 0 AND lost_at < ?", ms(before))
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
