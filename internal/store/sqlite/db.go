// Package sqlite is the embedded store: one SQLite database in a data directory
// that one server owns. Writes of all callers go through one goroutine that
// commits whatever waits as one transaction (writer.go); reads have connections
// of their own. docs/store.md lists the hot queries and their indexes.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers the driver
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrLocked answers an Open of a directory that another process uses.
var ErrLocked = errors.New("the data directory is in use by another server")

// FileName is the database in a data directory; SQLite puts -wal and -shm beside it.
const FileName = "firmlight.db"

const (
	lockName     = "firmlight.lock"
	maxReadStmts = 512 // shapes of reads kept prepared
)

// DB is the embedded store. It implements the stores of tasks and workers.
type DB struct {
	lock   *os.File
	writer *writer
	reads  *sql.DB
	log    *slog.Logger
	rare   int          // rareMatches
	walked int          // walked
	dropAt atomic.Int64 // where DropEvents goes on: a device's seq

	probe  atomic.Pointer[probe] // nil: nobody wants to know
	groups groupCache

	mu    sync.RWMutex // guards stmts
	stmts map[string]*sql.Stmt
}

// Open opens or creates the database in dir and brings its schema up to date.
// ErrLocked where another process has it open. Close it after its last caller.
func Open(ctx context.Context, dir string, logger *slog.Logger) (*DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the operator names it
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	db := &DB{lock: lock, log: logger, rare: rareMatches, walked: walked, stmts: make(map[string]*sql.Stmt)}
	file := filepath.Join(dir, FileName)
	if err := ours(file); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := db.open(ctx, file); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, file string) error {
	if err := migrate(ctx, file); err != nil {
		return fmt.Errorf("schema of %s: %w", file, err)
	}
	var err error
	if db.writer, err = startWriter(ctx, file, &db.probe, &db.groups, db.log); err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	if db.reads, err = sql.Open("sqlite", dsn(file, "query_only(1)")); err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	n := max(4, runtime.NumCPU())
	db.reads.SetMaxOpenConns(n)
	db.reads.SetMaxIdleConns(n)
	return db.reads.PingContext(ctx)
}

// Close writes what still waits, closes the database and releases the
// directory. Calls that come later get a fault of kind Unavailable.
func (db *DB) Close() error {
	var errs []error
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	if db.reads != nil {
		errs = append(errs, db.reads.Close())
	}
	if db.lock != nil {
		if err := db.lock.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return fail(db.reads.PingContext(ctx)) }

// lockDir makes sure that this process alone uses dir. The lock goes with the
// process, however it ends.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, lockName)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s (%s: %w)", ErrLocked, dir, lockName, err), f.Close())
	}
	return f, nil
}

// ours makes the database's file, if it is new, for its owner's eyes only: SQLite
// itself would let everybody read it where the directory does. The files beside
// it get the same mode.
func ours(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return f.Close()
}

func migrate(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", dsn(file))
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := schema(db)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// schema knows every version of the schema, and which one db has.
func schema(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
}

// dsn names the database with what every connection to it sets. A commit is in the
// log when it returns; the writer brings that to the disk. The log is copied into the database
// at 64 MB: most of its pages change with every batch of events, and are copied once.
func dsn(file string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(0)",
		"temp_store(MEMORY)", "cache_size(-32768)", "wal_autocheckpoint(16000)", "journal_size_limit(67108864)",
	}, pragmas...)}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: q.Encode()}
	return u.String()
}

// query reads on a connection of the pool; what was committed before is seen.
// The caller closes the rows and passes errors through fail.
func (db *DB) query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	st, err := db.stmt(ctx, q)
	if err != nil {
		return nil, fail(err)
	}
	if st == nil {
		rows, err := db.reads.QueryContext(ctx, q, args...)
		return rows, fail(err)
	}
	rows, err := st.QueryContext(ctx, args...)
	return rows, fail(err)
}

// read calls scan for each row of a query.
func (db *DB) read(ctx context.Context, scan func(*sql.Rows) error, q string, args ...any) error {
	if p := db.probe.Load(); p != nil {
		defer func(began time.Time) { p.read(time.Since(began)) }(time.Now())
	}
	rows, err := db.query(ctx, q, args...)
	if err != nil {
		return err
	}
	return fail(each(rows, scan))
}

// readRow scans the one row of a query; sql.ErrNoRows where there is none.
func (db *DB) readRow(ctx context.Context, q string, args []any, dest ...any) error {
	found := false
	err := db.read(ctx, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(dest...)
	}, q, args...)
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

// each calls scan for each row and closes rows.
func each(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// stmt returns q prepared, or nil when enough others are.
func (db *DB) stmt(ctx context.Context, q string) (*sql.Stmt, error) {
	db.mu.RLock()
	st, n := db.stmts[q], len(db.stmts)
	db.mu.RUnlock()
	if st != nil || n >= maxReadStmts {
		return st, nil
	}
	st, err := db.reads.PrepareContext(ctx, q)
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if other := db.stmts[q]; other != nil {
		return other, st.Close()
	}
	db.stmts[q] = st
	return st, nil
}
