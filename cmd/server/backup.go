package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/firmlight/firmlight/internal/backup"
)

// dataDir is where the embedded installation is.
type dataDir struct {
	DataDir string `default:"./data" env:"FIRMLIGHT_DATA_DIR" help:"Directory of the embedded database and the server's secret."`
}

// kept are the commands that keep an embedded installation, besides the server
// itself.
var kept = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) error{
	"backup":  writeBackup,
	"restore": readBackup,
}

func writeBackup(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o struct {
		dataDir
		File string `arg:"" help:"File to write, which must not exist; - for standard output."`
	}
	if done, err := parse(&o, "backup", "Writes the embedded database and the secret into one file, also while the server runs. "+
		"It can do all that the server can: keep it as safe.", args, stdout); done || err != nil {
		return err
	}
	if o.File == "-" {
		return backup.Write(ctx, o.DataDir, stdout, progress(stderr))
	}
	if _, err := os.Stat(o.File); err == nil {
		return fmt.Errorf("%s exists already", o.File)
	}
	part := o.File + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(f)
	err = backup.Write(ctx, o.DataDir, buffered, progress(stderr))
	if err = errors.Join(err, buffered.Flush(), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, o.File); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "backup: %s is complete\n", o.File)
	return nil
}

func readBackup(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o struct {
		dataDir
		Replace bool   `help:"Also where there is a database: what was there is kept in a directory beside it."`
		File    string `arg:"" help:"Backup to read; - for standard input."`
	}
	if done, err := parse(&o, "restore", "Puts a backup into the data directory, while no server uses it. It is read to its end and checked first.",
		args, stdout); done || err != nil {
		return err
	}
	in := os.Stdin
	if o.File != "-" {
		var err error
		if in, err = os.Open(o.File); err != nil {
			return err
		}
		defer func() { _ = in.Close() }() // it was only read
	}
	old, err := backup.Restore(ctx, o.DataDir, bufio.NewReader(in), o.Replace, progress(stderr))
	if old != "" {
		fmt.Fprintf(stderr, "restore: what was there is in %s; remove it when you need it no more\n", old)
	}
	if errors.Is(err, backup.ErrNotEmpty) {
		return fmt.Errorf("%w; --replace keeps it aside", err)
	}
	if err == nil {
		fmt.Fprintf(stderr, "restore: %s is ready\n", o.DataDir)
	}
	return err
}

// parse reads a command's arguments into o; done where help was asked for.
func parse(o any, name, description string, args []string, stdout io.Writer) (done bool, err error) {
	parser, err := kong.New(o, kong.Name("server "+name), kong.Description(description),
		kong.Writers(stdout, stdout), kong.Exit(func(int) { done = true }))
	if err != nil {
		return false, err
	}
	if _, err = parser.Parse(args); done {
		err = nil
	}
	return done, err
}

// progress tells of what takes longer than a second, each second.
func progress(w io.Writer) backup.Progress {
	told := time.Now()
	return func(step string, done, total int64) {
		if time.Since(told) < time.Second || total == 0 {
			return
		}
		told = time.Now()
		fmt.Fprintf(w, "%s: %d of %d MB\n", step, done>>20, total>>20)
	}
}
