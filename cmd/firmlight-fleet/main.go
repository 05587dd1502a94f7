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
	"time"

	"github.com/alecthomas/kong"

	"github.com/firmlight/firmlight/bench/fleet"
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
	Server      string        `default:"http://127.0.0.1:8080" help:"URL of the server."`
	Group       string        `required:"" help:"Id of the group that the devices belong to; best an empty one."`
	DeviceToken string        `required:"" env:"FLEET_DEVICE_TOKEN" help:"Device token of the group, for any device."`
	ReadToken   string        `required:"" env:"FLEET_READ_TOKEN" help:"API token with devices:read, or an access token."`
	Devices     int           `default:"1000" help:"How many there are."`
	Events      int           `default:"100" help:"Of each device."`
	Seed        uint64        `default:"1" help:"The same seed and --until give the same events."`
	Until       time.Time     `help:"About when the last events happen (RFC 3339). Default: now."`
	Every       time.Duration `default:"10m" help:"Usual time between two events of a device."`
	Batch       int           `default:"500" help:"Events of one request, at most 5000."`
	Clients     int           `default:"8" help:"Requests at a time."`
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
	f := fleet.Defaults
	f.Devices, f.Events, f.Seed, f.Until, f.Every, f.Batch, f.Clients = o.Devices, o.Events, o.Seed, o.Until, o.Every, o.Batch, o.Clients
	if f.Until.IsZero() {
		f.Until = time.Now().Truncate(time.Second)
	}
	r, err := fleet.Run(ctx, fleet.Server{
		URL: strings.TrimSuffix(o.Server, "/"), Group: o.Group, DeviceToken: o.DeviceToken, ReadToken: o.ReadToken,
	}, f, progress(stderr))
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stdout, "%d events sent (%d new) in %s: %.0f/s; %d requests sent again\n", r.Sent, r.Kept, r.Took.Round(time.Millisecond),
		float64(r.Sent)/r.Took.Seconds(), r.Retried)
	if len(r.Mismatches) > 0 {
		return errors.New("the server has other than was sent:\n  " + strings.Join(r.Mismatches, "\n  "))
	}
	_, err = fmt.Fprintln(stdout, "totals, streaks and repeated failures are exactly what was sent")
	return err
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
