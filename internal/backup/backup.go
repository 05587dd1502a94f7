// Package backup writes an embedded installation into one file and takes it back.
// The file is a tar, compressed with gzip, of the database and, where the data
// directory has one, the secret that tokens are signed with.
package backup

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/firmlight/firmlight/internal/store/sqlite"
)

// SecretFile is the server's secret in a data directory.
const SecretFile = "secret"

// ErrNotEmpty answers a Restore into a directory that has a database already.
var ErrNotEmpty = errors.New("there is a database already")

// Progress hears of a step and how many of its bytes are done.
type Progress func(step string, done, total int64)

// Write writes a backup of the data directory dir to w. A server may be at work
// there: the backup has what it had acknowledged when the copy began. The copy
// lies in dir until it is packed.
func Write(ctx context.Context, dir string, w io.Writer, progress Progress) (err error) {
	tmp, err := os.MkdirTemp(dir, "backup-*")
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	copied := filepath.Join(tmp, sqlite.FileName)
	if err := sqlite.Snapshot(ctx, dir, copied, func(done, total int64) { progress("copy", done, total) }); err != nil {
		return err
	}
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zip)
	secret := filepath.Join(dir, SecretFile)
	if _, statErr := os.Stat(secret); statErr == nil {
		err = add(ctx, archive, secret, progress)
	}
	return errors.Join(err, add(ctx, archive, copied, progress), archive.Close(), zip.Close())
}

func add(ctx context.Context, archive *tar.Writer, file string, progress Progress) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: filepath.Base(file), Mode: 0o600, Size: info.Size(), ModTime: info.ModTime(), Format: tar.FormatPAX}
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(archive, &meter{ctx: ctx, from: f, total: info.Size(), step: "pack", progress: progress})
	return err
}

// Restore puts the backup that r holds into the data directory dir, which no
// server may use (sqlite.ErrLocked), after it has been read to its end and
// checked. With replace, what is there is kept in a directory beside it, whose
// name is returned; else ErrNotEmpty.
func Restore(ctx context.Context, dir string, r io.Reader, replace bool, progress Progress) (kept string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	release, err := sqlite.Lock(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, release()) }()
	if _, err := os.Stat(filepath.Join(dir, sqlite.FileName)); !replace && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", dir, ErrNotEmpty)
	}
	tmp, err := os.MkdirTemp(dir, "restore-*")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := unpack(ctx, tmp, r, progress); err != nil {
		return "", fmt.Errorf("backup: %w", err)
	}
	if err := sqlite.Check(ctx, filepath.Join(tmp, sqlite.FileName)); err != nil {
		return "", fmt.Errorf("backup: %w", err)
	}
	if kept, err = setAside(dir); err != nil {
		return kept, err
	}
	// The database comes last: with it the directory is whole.
	for _, name := range []string{SecretFile, sqlite.FileName} {
		if err := os.Rename(filepath.Join(tmp, name), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return kept, err
		}
	}
	return kept, syncDir(dir)
}

// unpack writes the files of a backup into dir. It knows only the two names.
func unpack(ctx context.Context, dir string, r io.Reader, progress Progress) error {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	archive := tar.NewReader(zip)
	found := false
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || h.Name != SecretFile && h.Name != sqlite.FileName {
			return fmt.Errorf("%q does not belong there", h.Name)
		}
		found = found || h.Name == sqlite.FileName
		in := &meter{ctx: ctx, from: archive, total: h.Size, step: "unpack", progress: progress}
		if err := write(filepath.Join(dir, filepath.Base(h.Name)), in); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, zip); err != nil { //nolint:gosec // to the checksum at its end; an operator's own file
		return err
	}
	if !found {
		return errors.New("there is no database in it")
	}
	return nil
}

func write(file string, r io.Reader) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// setAside moves what a data directory has into one below it, and returns its
// name; "" where there was nothing.
func setAside(dir string) (kept string, err error) {
	// The database first: SQLite drops a log without one.
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal", sqlite.FileName + "-shm", SecretFile} {
		from := filepath.Join(dir, name)
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if kept == "" {
			kept = filepath.Join(dir, "replaced-"+time.Now().UTC().Format("20060102T150405.000Z"))
			if err := os.Mkdir(kept, 0o700); err != nil {
				return "", err
			}
		}
		if err := os.Rename(from, filepath.Join(kept, name)); err != nil {
			return kept, err
		}
	}
	return kept, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// meter reports what was read through it and stops when ctx ends.
type meter struct {
	ctx         context.Context //nolint:containedctx // of one copy
	from        io.Reader
	step        string
	done, total int64
	progress    Progress
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.from.Read(p)
	m.done += int64(n)
	m.progress(m.step, m.done, m.total)
	return n, err
}
