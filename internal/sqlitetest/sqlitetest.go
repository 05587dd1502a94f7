// Package sqlitetest opens an embedded database for a test.
package sqlitetest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/firmlight/firmlight/internal/store/sqlite"
)

// Open returns an empty database in a directory of its own, which is closed and
// removed with the test.
func Open(tb testing.TB) *sqlite.DB {
	tb.Helper()
	db, err := sqlite.Open(context.Background(), tb.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}
