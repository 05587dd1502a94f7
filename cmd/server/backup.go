package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/firmlight/firmlight/internal/backup"
	"github.com/firmlight/firmlight/internal/config"
)

// kept are the commands that keep an embedded installation, besides the server
// itself.
var kept = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) error{
	"backup":  writeBackup,
	"restore": readBackup,
}

func writeBackup(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c := newCommand("backup", "Writes the embedded database and the secret into FILE, also while the server runs. "+
		"It must not exist; - is standard output.\nIt can do all that the server can: keep it as safe.")
	if done, err := c.parse(args, stdout); done || err != nil {
		return err
	}
	if c.file == "-" {
		return backup.Write(ctx, c.dataDir, stdout, progress(stderr))
	}
	if _, err := os.Stat(c.file); err == nil {
		return fmt.Errorf("%s exists already", c.file)
	}
	part := c.file + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(f)
	err = backup.Write(ctx, c.dataDir, buffered, progress(stderr))
	if err = errors.Join(err, buffered.Flush(), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, c.file); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "backup: %s is complete\n", c.file)
	return nil
}

func readBackup(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c := newCommand("restore", "Puts the backup FILE into the data directory, while no server uses it; - is standard input. "+
		"It is read to its end and checked first.")
	replace := c.flags.Bool("replace", false, "also where there is a database: what was there is kept in a directory beside it")
	if done, err := c.parse(args, stdout); done || err != nil {
		return err
	}
	in := os.Stdin
	if c.file != "-" {
		var err error
		if in, err = os.Open(c.file); err != nil {
			return err
		}
		defer func() { _ = in.Close() }() // it was only read
	}
	old, err := backup.Restore(ctx, c.dataDir, bufio.NewReader(in), *replace, progress(stderr))
	if old != "" {
		fmt.Fprintf(stderr, "restore: what was there is in %s; remove it when you need it no more\n", old)
	}
	if errors.Is(err, backup.ErrNotEmpty) {
		return fmt.Errorf("%w; --replace keeps it aside", err)
	}
	if err == nil {
		fmt.Fprintf(stderr, "restore: %s is ready\n", c.dataDir)
	}
	return err
}

// command is one of kept with its arguments.
type command struct {
	flags         *flag.FlagSet
	help          string // what stands before the flags
	dataDir, file string
}

func newCommand(name, description string) *command {
	c := &command{flags: flag.NewFlagSet("server "+name, flag.ContinueOnError)}
	c.flags.StringVar(&c.dataDir, "data-dir", cmp.Or(os.Getenv(config.Prefix+"DATA_DIR"), "./data"),
		"`directory` of the embedded database and the server's secret")
	c.flags.SetOutput(io.Discard) // errors are for the caller to print
	c.help = "Usage: server " + name + " [flags] FILE\n\n" + description + "\n\n"
	return c
}

// parse reads the arguments; done where help was asked for.
func (c *command) parse(args []string, stdout io.Writer) (done bool, err error) {
	for len(args) > 0 && err == nil {
		if err = c.flags.Parse(args); err != nil || c.flags.NArg() == 0 {
			break
		}
		if c.file != "" {
			return false, fmt.Errorf("unexpected argument %q", c.flags.Arg(0))
		}
		c.file, args = c.flags.Arg(0), c.flags.Args()[1:] // flags may follow
	}
	if errors.Is(err, flag.ErrHelp) {
		c.flags.SetOutput(stdout)
		fmt.Fprint(stdout, c.help)
		c.flags.PrintDefaults()
		return true, nil
	}
	if err == nil && c.file == "" {
		err = errors.New("FILE is missing; --help tells more")
	}
	return false, err
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
