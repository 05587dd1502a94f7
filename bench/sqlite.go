package main

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver of the server
)

// alone is one writer of SQLite without anything around it, the limit of P2: the
// server's driver and settings, and a durable commit for each batch.
type alone struct {
	db     *sql.DB
	totals bool // keeps a unique key and the totals of devices, too
	sent   int
}

const (
	aloneDevices = 1000              // as bench/peers/load.js
	aloneFirst   = 1_767_225_600_000 // Unix milliseconds of the first event
	aloneTable   = `CREATE TABLE events (device INTEGER, at INTEGER, received INTEGER, files INTEGER, errors INTEGER, speed INTEGER)`
	aloneKey     = `CREATE UNIQUE INDEX events_key ON events (device, at)`
	aloneTotals  = `CREATE TABLE totals (device INTEGER PRIMARY KEY, last_seen INTEGER, events INTEGER, files INTEGER, errors INTEGER)`
	aloneInsert  = `INSERT INTO events VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	aloneCount   = `INSERT INTO totals VALUES (?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET last_seen = max(last_seen, excluded.last_seen),
		events = events + 1, files = files + excluded.files, errors = errors + excluded.errors`
)

func (b *bench) startAlone(ctx context.Context, totals bool) (*alone, error) {
	dir, err := b.temp("alone")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "alone.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(16000)&_pragma=cache_size(-32768)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	schema := []string{aloneTable}
	if totals {
		schema = append(schema, aloneKey, aloneTotals)
	}
	for _, q := range schema {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return &alone{db: db, totals: totals}, nil
}

func (a *alone) stop() { _ = a.db.Close() } // a temporary file's

// round writes batches for d and returns events per second.
func (a *alone) round(ctx context.Context, d time.Duration) (float64, error) {
	insert, err := a.db.PrepareContext(ctx, aloneInsert)
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	var count *sql.Stmt
	if a.totals {
		if count, err = a.db.PrepareContext(ctx, aloneCount); err != nil {
			return 0, err
		}
		defer count.Close()
	}
	began, first := time.Now(), a.sent
	for time.Since(began) < d {
		if err := a.batch(ctx, insert, count); err != nil {
			return 0, err
		}
	}
	return float64(a.sent-first) / time.Since(began).Seconds(), nil
}

func (a *alone) batch(ctx context.Context, insert, count *sql.Stmt) error {
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // an error after the commit
	insert = tx.StmtContext(ctx, insert)
	if count != nil {
		count = tx.StmtContext(ctx, count)
	}
	now := time.Now().UnixMilli()
	for range eventBatch {
		device, errs := a.sent%aloneDevices, 0
		if a.sent%20 == 0 {
			errs = 2
		}
		if _, err := insert.ExecContext(ctx, device, aloneFirst+a.sent, now, 12, errs, 3500); err != nil {
			return err
		}
		if count != nil {
			if _, err := count.ExecContext(ctx, device, aloneFirst+a.sent, 12, errs); err != nil {
				return err
			}
		}
		a.sent++
	}
	return tx.Commit()
}
