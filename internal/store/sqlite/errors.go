package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/firmlight/firmlight/internal/fault"
)

var errClosed = errors.New("the store is closed")

// fail turns an error of the driver into what callers get: a fault of kind
// Unavailable where the database cannot be used just now; faults, the ends of
// contexts and sql.ErrNoRows as they are; the rest wrapped.
func fail(err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	switch {
	case errors.As(err, &f), errors.Is(err, sql.ErrNoRows),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case away(err):
		return fault.Away(err, "store_unavailable", "The store does not answer.")
	default:
		return fmt.Errorf("sqlite: %w", err)
	}
}

// away reports whether the database, not the statement, is the trouble.
func away(err error) bool {
	if errors.Is(err, errClosed) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		err.Error() == "sql: database is closed" {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_IOERR, lib.SQLITE_FULL, lib.SQLITE_CANTOPEN,
		lib.SQLITE_READONLY, lib.SQLITE_NOMEM, lib.SQLITE_PROTOCOL:
		return true
	}
	return false
}
