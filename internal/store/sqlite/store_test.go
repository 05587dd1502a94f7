package sqlite

import (
	"log/slog"
	"os"
	"testing"

	"github.com/firmlight/firmlight/internal/store/storetest"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(tb testing.TB) storetest.Stores {
		db := openTest(tb)
		return storetest.Stores{Tasks: db, Payloads: db, Stats: db, Queues: db, Sessions: db.Sessions(), Roster: db.Sessions(), Cluster: db, Installation: db}
	})
}

func TestInstallationStore(t *testing.T) {
	storetest.Installation(t, func(t *testing.T) (storetest.InstallationStore, workers.Store, tasks.Store) {
		db := openTest(t)
		return db, db.Sessions(), db
	})
}

// TestFilesAreTheOwnersAlone: the database holds hashes of passwords, and what
// users gave to tasks; the directory may be one that everybody reads.
func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}
