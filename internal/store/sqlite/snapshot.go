package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// snapshotPages are copied between two looks at ctx.
const snapshotPages = 4096

// Snapshot copies the database in dir, as it is at one moment, into a new file. A
// server may be at work on it and is not held up; what it wrote while the copy
// was made is in its log until the next checkpoint. progress, in bytes, is called
// now and then.
func Snapshot(ctx context.Context, dir, file string, progress func(done, total int64)) error {
	from := filepath.Join(dir, FileName)
	if _, err := os.Stat(from); err != nil {
		return fmt.Errorf("no database: %w", err)
	}
	if err := ours(file); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(from, "query_only(1)"))
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	// A read that stays open keeps the moment while pages are copied in portions.
	if _, err := conn.ExecContext(ctx, `BEGIN`); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`) //nolint:errcheck // it has only read
	var pageSize int64
	if err := conn.QueryRowContext(ctx, `SELECT page_size FROM pragma_page_size, (SELECT count(*) FROM sqlite_schema)`).Scan(&pageSize); err != nil {
		return err
	}
	return conn.Raw(func(driver any) error {
		c, ok := driver.(interface {
			NewBackup(dst string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("the driver has no backup")
		}
		b, err := c.NewBackup(dsn(file))
		if err != nil {
			return err
		}
		more := true
		for more && err == nil {
			if more, err = b.Step(snapshotPages); err == nil {
				total := int64(b.PageCount()) * pageSize
				progress(total-int64(b.Remaining())*pageSize, total)
				err = ctx.Err()
			}
		}
		return errors.Join(err, b.Finish())
	})
}

// Check reports what is wrong with a database file that no server uses: damage,
// or a schema that this program does not know yet.
func Check(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", dsn(file))
	if err != nil {
		return err
	}
	defer db.Close()
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return fmt.Errorf("not a database: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("the database is damaged: %s", found)
	}
	p, err := schema(db)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	has, err := p.GetDBVersion(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("not a database of Firmlight: %w", err)
	case has == 0:
		return errors.New("not a database of Firmlight")
	case has > newest:
		return fmt.Errorf("the database has schema %d and this program knows up to %d: use a newer server", has, newest)
	}
	return nil
}

// Lock keeps servers out of a data directory until release; ErrLocked where one
// uses it.
func Lock(dir string) (release func() error, err error) {
	f, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}
