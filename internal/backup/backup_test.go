package backup_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/backup"
	"github.com/firmlight/firmlight/internal/store/sqlite"
)

var ctx = context.Background()

func quiet(string, int64, int64) {}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(ctx, dir, slog.New(slog.DiscardHandler))
	must(t, err)
	return db
}

func addUser(db *sqlite.DB, name string) (auth.User, error) {
	u := auth.User{ID: uuid.Must(uuid.NewV7()).String(), Username: name, Email: name + "@example.org"}
	return u, db.InsertUser(ctx, u)
}

// installation is a data directory with one user, and its backup.
func installation(t *testing.T, name string) (dir string, b []byte) {
	t.Helper()
	dir = t.TempDir()
	db := open(t, dir)
	_, err := addUser(db, name)
	must(t, errors.Join(err, db.Close(), os.WriteFile(filepath.Join(dir, backup.SecretFile), []byte("of "+name), 0o600)))
	var out bytes.Buffer
	must(t, backup.Write(ctx, dir, &out, quiet))
	return dir, out.Bytes()
}

func restore(dir string, b []byte, replace bool) (kept string, err error) {
	return backup.Restore(ctx, dir, bytes.NewReader(b), replace, quiet)
}

// has tells who is in the database of dir.
func has(t *testing.T, dir, name string) bool {
	t.Helper()
	db := open(t, dir)
	defer db.Close()
	_, err := db.UserByLogin(ctx, name)
	return err == nil
}

// TestWhileWritesGoOn: a backup taken under load has all that was acknowledged
// before it began, and is one moment of the rest.
func TestWhileWritesGoOn(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	var (
		acknowledged atomic.Int64
		stop         = make(chan struct{})
		writers      sync.WaitGroup
	)
	enough := make(chan struct{})
	writers.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := addUser(db, fmt.Sprintf("user%d", i)); err != nil {
				t.Error(err)
				return
			}
			if acknowledged.Add(1) == 100 {
				close(enough)
			}
		}
	})
	<-enough
	before := acknowledged.Load()
	var b bytes.Buffer
	must(t, backup.Write(ctx, dir, &b, quiet))
	after := acknowledged.Load() + 1
	close(stop)
	writers.Wait()
	must(t, db.Close())

	there := t.TempDir()
	_, err := restore(there, b.Bytes(), false)
	must(t, err)
	copied := open(t, there)
	defer copied.Close()
	n := int64(0)
	for ; n <= after; n++ { // without a gap
		if _, err := copied.UserByLogin(ctx, fmt.Sprintf("user%d", n)); err != nil {
			break
		}
	}
	users, err := copied.Users(ctx, auth.UserQuery{Limit: int(after) + 1})
	must(t, err)
	if n < before || n > after || int64(len(users)) != n {
		t.Errorf("%d users without a gap of %d; %d before the backup, %d after it", n, len(users), before, after)
	}
	if left, err := os.ReadDir(dir); err != nil || strings.Contains(fmt.Sprint(left), "backup-") {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRestoreKeepsWhatWasThere(t *testing.T) {
	_, ada := installation(t, "ada")
	dir, _ := installation(t, "ben")
	if _, err := restore(dir, ada, false); !errors.Is(err, backup.ErrNotEmpty) || !has(t, dir, "ben") {
		t.Fatalf("into a directory in use: %v", err)
	}
	db := open(t, dir)
	if _, err := restore(dir, ada, true); !errors.Is(err, sqlite.ErrLocked) {
		t.Errorf("under a server: %v", err)
	}
	must(t, db.Close())
	kept, err := restore(dir, ada, true)
	must(t, err)
	for _, place := range []struct{ dir, user string }{{dir, "ada"}, {kept, "ben"}} {
		secret, err := os.ReadFile(filepath.Join(place.dir, backup.SecretFile))
		if err != nil || string(secret) != "of "+place.user || !has(t, place.dir, place.user) {
			t.Errorf("%s has not what is %s's: %q, %v", place.dir, place.user, secret, err)
		}
	}
}

// pack makes a backup of these files.
func pack(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	archive := tar.NewWriter(zip)
	for name, data := range files {
		must(t, archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data))}))
		_, err := archive.Write(data)
		must(t, err)
	}
	must(t, errors.Join(archive.Close(), zip.Close()))
	return b.Bytes()
}

func TestBadBackupsChangeNothing(t *testing.T) {
	dir, good := installation(t, "ada")
	newer := filepath.Join(t.TempDir(), "newer.db")
	must(t, sqlite.Snapshot(ctx, dir, newer, func(int64, int64) {}))
	db, err := sql.Open("sqlite", newer)
	must(t, err)
	_, err = db.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999999, 1)`)
	must(t, errors.Join(err, db.Close()))
	future, err := os.ReadFile(newer)
	must(t, err)

	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 0xff
	for _, tt := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "EOF"},
		{"no gzip", []byte("hello, this is no backup"), "invalid header"},
		{"cut off", good[:len(good)/2], "unexpected EOF"},
		{"cut off in its checksum", good[:len(good)-4], "unexpected EOF"},
		{"a flipped byte", flipped, "backup: "},
		{"empty", pack(t, nil), "no database"},
		{"a secret alone", pack(t, map[string][]byte{backup.SecretFile: []byte("x")}), "no database"},
		{"another file", pack(t, map[string][]byte{"../" + sqlite.FileName: nil}), "does not belong"},
		{"no database", pack(t, map[string][]byte{sqlite.FileName: bytes.Repeat([]byte("text"), 5000)}), "not a database"},
		{"an empty database", pack(t, map[string][]byte{sqlite.FileName: nil}), "not a database of Firmlight"},
		{"a newer schema", pack(t, map[string][]byte{sqlite.FileName: future}), "use a newer server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := restore(dir, tt.b, true); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			empty := t.TempDir()
			if _, err := restore(empty, tt.b, false); err == nil {
				t.Error("restored")
			}
			if files, _ := filepath.Glob(filepath.Join(empty, "*")); len(files) != 1 { // the lock
				t.Errorf("left behind: %v", files)
			}
		})
	}
	if !has(t, dir, "ada") {
		t.Error("the database has changed")
	}
}

func TestBackupOfNothing(t *testing.T) {
	dir := t.TempDir()
	if err := backup.Write(ctx, dir, &bytes.Buffer{}, quiet); err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("%v", err)
	}
	if err := backup.Write(ctx, filepath.Join(dir, "missing"), &bytes.Buffer{}, quiet); err == nil {
		t.Error("a backup of a directory that is not there")
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	full, _ := installation(t, "ada")
	if err := backup.Write(stopped, full, &bytes.Buffer{}, quiet); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(full, "backup-*")); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}
