// Bench measures the figures of docs/numbers.md with the real programs on this
// machine and prints them beside their goals (docs/performance.md).
//
//	go run ./bench                    all of them, about ten minutes
//	go run ./bench -only P5,P9        some
//	go run ./bench -only growth       the growth curves
//	go run ./bench -short             smaller and fewer rounds, to see that it works
//	go run ./bench -only P3,P4 -against server.old    beside another build of the server
//	go run ./bench -profile prof      with CPU profiles of the server in P1 to P4, P7, P9 and P10
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// figureTimeout bounds one figure, all its rounds included; what runs only when it
// is asked for has longer.
const figureTimeout = 10 * time.Minute

// options are the command line's.
type options struct {
	only    []string // ids
	rounds  int
	short   bool
	profile string // folder of the profiles; empty: none
	out     string // folder of the results
	doc     string // page whose table is replaced; empty: none
	against string // program of another server; empty: the peers
	soak    time.Duration
	images  string // folder of the growth curves; empty: out
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&only, "only", "", "comma-separated `ids` of figures, such as P5,P9; growth or soak (default all but these two)")
	f.IntVar(&o.rounds, "rounds", 0, "rounds of each figure (default 5, with -short 2)")
	f.BoolVar(&o.short, "short", false, "smaller rounds: shows that it works, not how fast it is")
	f.StringVar(&o.profile, "profile", "", "`folder` for CPU profiles of the server during P1 to P4, P7, P9 and P10")
	f.StringVar(&o.out, "out", "bench/results", "`folder` for latest.md and latest.json")
	f.StringVar(&o.doc, "doc", "", "Markdown `page` whose table, between two marks, is replaced by this run's")
	f.StringVar(&o.against, "against", "", "another `server` program that takes the peer's place in P1, P3 and P4")
	f.DurationVar(&o.soak, "soak", time.Hour, "how `long` -only soak loads the server (with -short 30 s)")
	f.StringVar(&o.images, "images", "", "`folder` for the growth curves (default that of -out)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for _, g := range figures {
		if only == g.set {
			o.only = append(o.only, g.id)
		}
	}
	if len(o.only) == 0 {
		o.only = strings.Split(only, ",")
	}
	for _, id := range o.only {
		if !slices.ContainsFunc(figures, func(g figure) bool { return g.id == id }) {
			return o, fmt.Errorf("there is no figure %q", id)
		}
	}
	if o.rounds == 0 {
		o.rounds = pick(o.short, 2, 5)
	}
	return o, nil
}

// figure is one id of docs/numbers.md: measure returns its lines of the table.
type figure struct {
	id, name string
	measure  func(*bench, context.Context) ([]row, error)
	set      string // runs only where it, or its set, is asked for; empty: always
}

// growth is the set of the curves.
const growth = "growth"

var figures = []figure{
	{"P1", "sync events, one per request, beside the peers", (*bench).events, ""},
	{"P2", "sync events, batches", (*bench).eventBatches, ""},
	{"P3", "tasks, 1,000 per request", (*bench).batches, ""},
	{"P4", "tasks, one per request", (*bench).singles, ""},
	{"P5", "idle dispatch", (*bench).idle, ""},
	{"P6", "a backlog of 1,000,000 tasks", (*bench).backlog, ""},
	{"P7", "10,000 idle workers", (*bench).idleWorkers, ""},
	{"P8", "failover", (*bench).failover, ""},
	{"P9", "embedded: start, size, speed", (*bench).embedded, ""},
	{"P10", "1,000 live watchers", (*bench).watchers, ""},
	{"Q", "queues alone", (*bench).queuesAlone, ""},
	{"backlog", "growth over the backlog", (*bench).overBacklog, growth},
	{"workers", "growth over the workers", (*bench).overWorkers, growth},
	{"watchers", "growth over the watchers", (*bench).overWatchers, growth},
	{"servers", "growth over the servers", (*bench).overServers, growth},
	{"payload", "growth over the payload", (*bench).overPayload, growth},
	{"devices", "growth over the devices", (*bench).overDevices, growth},
	{"soak", "mixed load with faults", (*bench).soakRun, "soak"},
}

// bench is one run.
type bench struct {
	options
	server   string // the program
	dir      string // of everything temporary
	progress io.Writer
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.progress, format+"\n", args...) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "firmlight-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{options: opts, dir: dir, progress: stderr}
	rep := report{Machine: describe(ctx), At: time.Now().UTC().Truncate(time.Second), Short: opts.short}
	if b.server, err = b.build(ctx, "server"); err != nil {
		return err
	}
	before := coreTimes()
	failed := b.measureAll(ctx, &rep)
	rep.Machine.Stolen = coreTimes().stolenSince(before)
	rep.text(stdout)
	return errors.Join(failed, rep.save(opts.out, opts.doc))
}

// measureAll runs the figures one after another; one that fails does not keep
// the others from running.
func (b *bench) measureAll(ctx context.Context, rep *report) error {
	var failed error
	for _, f := range figures {
		if !slices.Contains(b.only, f.id) {
			continue
		}
		b.say("%s %s", f.id, f.name)
		limited, cancel := context.WithTimeout(ctx, pick(f.set == "", figureTimeout, 3*figureTimeout+b.soak))
		rows, err := f.measure(b, limited)
		cancel()
		rep.Rows = append(rep.Rows, rows...)
		if err != nil {
			b.say("%s failed: %v", f.id, err)
			rep.Failures = append(rep.Failures, fmt.Sprintf("%s: %v", f.id, err))
			failed = errors.Join(failed, fmt.Errorf("%s: %w", f.id, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

// temp makes a folder for one process.
func (b *bench) temp(name string) (string, error) {
	return os.MkdirTemp(b.dir, filepath.Base(name)+"-")
}

// pick is the conditional expression that Go does not have.
func pick[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}

// pause waits; false: ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
