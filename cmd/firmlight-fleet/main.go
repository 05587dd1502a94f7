// Firmlight-fleet plays a fleet of devices against a server and checks that the
// server has exactly what was sent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/firmlight/firmlight/bench/fleet"
	"github.com/firmlight/firmlight/e2e/kit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "firmlight-fleet:", err)
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	Start       string        `help:"Program of a server that is started for this, on an empty folder, and stopped at the end. Without it the next four say where to report."`
	Server      string        `default:"http://127.0.0.1:8080" help:"URL of the server."`
	Group       string        `help:"Id of the group that the devices belong to; best an empty one."`
	DeviceToken string        `env:"FLEET_DEVICE_TOKEN" help:"Device token of the group, for any device."`
	ReadToken   string        `env:"FLEET_READ_TOKEN" help:"API token with devices:read, or an access token."`
	Devices     int           `default:"1000" help:"How many there are."`
	Events      int           `default:"100" help:"Of each device."`
	Seed        uint64        `default:"1" help:"The same seed and --until give the same events."`
	Until       time.Time     `help:"About when the last events happen (RFC 3339). Default: now."`
	Every       time.Duration `default:"10m" help:"Usual time between two events of a device."`
	Batch       int           `default:"500" help:"Events of one request, at most 5000."`
	Clients     int           `default:"8" help:"Requests at a time."`
	Return      bool          `help:"All come back at once: each device sends its events in a request of its own."`
	Drop        bool          `help:"With --start and an --until of at least two days ago: at the end the server keeps events for a day only, and a second fleet, a tenth of the first, reports meanwhile."`
	Idle        time.Duration `help:"With --start: how long the server is left alone at the end, to see what CPU it uses then."`
	Pages       int           `help:"Ask each kind of question so many times at the end and print how long the answers took; and export everything once."`
}

func (o *options) fleet() fleet.Options {
	f := fleet.Defaults
	f.Devices, f.Events, f.Seed, f.Until, f.Every, f.Batch, f.Clients, f.Return = o.Devices, o.Events, o.Seed, o.Until, o.Every, o.Batch, o.Clients, o.Return
	if f.Until.IsZero() {
		f.Until = time.Now().Truncate(time.Second)
	}
	return f
}

// run is main without a process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	helped := false
	parser, err := kong.New(&o, kong.Name("firmlight-fleet"), kong.Writers(stdout, stderr), kong.Exit(func(int) { helped = true }),
		kong.Description("Plays a fleet of devices against a server and checks that it has exactly what was sent."))
	if err != nil {
		return err
	}
	if _, err := parser.Parse(args); err != nil || helped {
		return err
	}
	if o.Start != "" {
		return o.playAlone(ctx, stdout, stderr)
	}
	s := fleet.Server{URL: strings.TrimSuffix(o.Server, "/"), Group: o.Group, DeviceToken: o.DeviceToken, ReadToken: o.ReadToken}
	if s.Group == "" || s.DeviceToken == "" || s.ReadToken == "" {
		return errors.New("--group, --device-token and --read-token are needed, or --start")
	}
	_, err = play(ctx, s, &o, stdout, stderr)
	return err
}

// play sends and checks, and asks where pages are wanted.
func play(ctx context.Context, s fleet.Server, o *options, stdout, stderr io.Writer) (*fleet.Report, error) {
	f := o.fleet()
	r, err := fleet.Run(ctx, s, f, progress(stderr))
	if err != nil {
		return r, err
	}
	_, _ = fmt.Fprintf(stdout, "%d devices: %d events sent (%d new) in %s: %.0f/s\n%d requests, %d at a time: p50 %s, p99 %s, %d sent again\n",
		f.Devices, r.Sent, r.Kept, r.Took.Round(time.Millisecond), float64(r.Sent)/r.Took.Seconds(),
		len(r.Answers), f.Clients, millis(r.Answers.Quantile(0.5)), millis(r.Answers.Quantile(0.99)), r.Retried)
	if len(r.Mismatches) > 0 {
		return r, errors.New("the server has other than was sent:\n  " + strings.Join(r.Mismatches, "\n  "))
	}
	_, _ = fmt.Fprintln(stdout, "totals, streaks and repeated failures are exactly what was sent")
	if o.Pages > 0 {
		err = ask(ctx, s, f, o.Pages, stdout)
	}
	return r, err
}

// ask prints how long answers take.
func ask(ctx context.Context, s fleet.Server, f fleet.Options, n int, stdout io.Writer) error {
	pages, err := fleet.Pages(ctx, s, f, n)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "page\tasked\tp50\tp99\tgoal of p99, 10,000 devices\tmet")
	for _, p := range pages {
		if len(p.Times) == 0 {
			continue // no history had a second page
		}
		goal, met := "", ""
		if p.Goal > 0 {
			goal, met = "≤ "+millis(p.Goal), "no"
			if p.Quantile(0.99) <= p.Goal {
				met = "yes"
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", p.Name, len(p.Times), millis(p.Quantile(0.5)), millis(p.Quantile(0.99)), goal, met)
	}
	if err := errors.Join(err, w.Flush()); err != nil {
		return err
	}
	e, err := fleet.Export(ctx, s)
	_, _ = fmt.Fprintf(stdout, "export of %d events, %.1f MB: %s\n", e.Events, float64(e.Bytes)/1e6, e.Took.Round(time.Millisecond))
	return err
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// playAlone does it with a server of its own, and tells what that used.
func (o *options) playAlone(ctx context.Context, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "firmlight-fleet-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := kit.StartServer(o.Start, dir, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop(time.Minute) }()
	s, err := fleet.NewGroup(ctx, server.URL, "keeper")
	if err != nil {
		return err
	}
	r, err := play(ctx, s, o, stdout, stderr)
	if err != nil {
		return err
	}
	if before := kit.CPU(server.PID()); o.Idle > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.Idle):
		}
		_, _ = fmt.Fprintf(stdout, "idle: %.1f %% of a core\n", 100*(kit.CPU(server.PID())-before).Seconds()/o.Idle.Seconds())
	}
	now, most, err := kit.Memory(server.PID())
	if err != nil {
		return err
	}
	cpu := kit.CPU(server.PID())
	if err := server.Stop(time.Minute); err != nil { // the log has become part of the database then
		return err
	}
	disk, err := sizeOf(dir)
	_, _ = fmt.Fprintf(stdout, "server: %.1f MB resident at the end, %.1f MB at its most; %.0f s of CPU in all; %.1f MB on disk, %.0f bytes per event\n",
		float64(now)/1e6, float64(most)/1e6, cpu.Seconds(), float64(disk)/1e6, float64(disk)/float64(r.Kept))
	if err == nil && o.Drop {
		err = o.drop(ctx, server, s, stdout, stderr)
	}
	return err
}

// drop starts the server again so that it drops all old events, and times that.
func (o *options) drop(ctx context.Context, server *kit.Server, old fleet.Server, stdout, stderr io.Writer) error {
	const keep = 24 * time.Hour
	if err := errors.Join(os.Setenv("FIRMLIGHT_EVENT_RETENTION", keep.String()), server.Restart()); err != nil {
		return err
	}
	s, err := fleet.NewGroup(ctx, server.URL, "other")
	if err != nil {
		return err
	}
	err = until(ctx, func() (bool, error) { // it begins with the device that came first
		left, err := fleet.HasEvents(ctx, old, 0)
		return !left, err
	})
	if err != nil {
		return err
	}
	began := time.Now()
	second := *o
	second.Devices, second.Until, second.Pages = max(1, o.Devices/10), time.Time{}, 0
	_, _ = fmt.Fprintln(stdout, "a second fleet, while the events of the first are dropped:")
	if _, err := play(ctx, s, &second, stdout, stderr); err != nil {
		return err
	}
	err = until(ctx, func() (bool, error) {
		left, err := fleet.AnyBefore(ctx, old, time.Now().Add(-keep-time.Hour))
		return !left, err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "all of them were dropped %s after the first, with %s of CPU since the start\n", time.Since(began).Round(time.Second), kit.CPU(server.PID()))
	return err
}

// until asks every half second until the answer is yes.
func until(ctx context.Context, ask func() (bool, error)) error {
	for {
		done, err := ask()
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// sizeOf adds up the files in a folder.
func sizeOf(dir string) (bytes int64, err error) {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		info, failed := f.Info()
		if err = errors.Join(err, failed); failed == nil {
			bytes += info.Size()
		}
	}
	return bytes, err
}

// progress prints how far it is, once a second.
func progress(w io.Writer) func(sent, of int) {
	var mu sync.Mutex
	last := time.Now()
	return func(sent, of int) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) >= time.Second {
			last = time.Now()
			_, _ = fmt.Fprintf(w, "%d of %d events\n", sent, of)
		}
	}
}
