package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/firmlight/firmlight/bench/fleet"
)

func testFleet(devices int) fleet.Options {
	o := fleet.Defaults
	o.Devices, o.Until = devices, time.Now().Truncate(time.Second)
	return o
}

func wantExact(t *testing.T, r *fleet.Report, err error) {
	t.Helper()
	must(t, err)
	for _, m := range r.Mismatches {
		t.Error(m)
	}
	t.Logf("%d events, %d new, %d requests sent again, %.0f/s", r.Sent, r.Kept, r.Retried, float64(r.Sent)/r.Took.Seconds())
}

// TestFleet: totals, streaks, sums and repeated failures are exactly what a fleet
// sent, with backlogs, repeats, wrong clocks and failures.
func TestFleet(t *testing.T) { playFleet(t, start(t), 150) }

// playFleet plays so many devices against a server and reads everything back.
func playFleet(t *testing.T, c *cluster, devices int) {
	t.Helper()
	s, err := fleet.NewGroup(t.Context(), c.Server.URL, "keeper")
	must(t, err)
	o := testFleet(devices)
	r, err := fleet.Run(t.Context(), s, o, nil)
	wantExact(t, r, err)
	if want := devices * o.Events; r.Kept != want {
		t.Errorf("%d events were new, want %d", r.Kept, want)
	}
	e, err := fleet.Export(t.Context(), s)
	must(t, err)
	if e.Events != r.Kept {
		t.Errorf("the export has %d events, want %d", e.Events, r.Kept)
	}
}

// TestFleetOutlivesTheServer: the server is killed ten times while events come in,
// and every one that was acknowledged is there once.
func TestFleetOutlivesTheServer(t *testing.T) {
	c := start(t)
	s, err := fleet.NewGroup(t.Context(), c.Server.URL, "keeper")
	must(t, err)
	running, stop := context.WithCancel(t.Context())
	defer stop()
	var report *fleet.Report
	done := make(chan error, 1)
	progress := make(chan float64, 1) // share of the events that were sent
	o := testFleet(250)
	o.Batch = 50 // many requests to die in
	go func() {
		var err error
		report, err = fleet.Run(running, s, o, func(n, of int) {
			select {
			case progress <- float64(n) / float64(of):
			default:
			}
		})
		done <- err
	}()
	for kill := range 10 {
		for sent := 0.0; sent <= float64(kill)/12; {
			select {
			case sent = <-progress:
			case err := <-done:
				t.Fatalf("it ended before kill %d: %v", kill, err)
			}
		}
		c.Server.Kill()
		must(t, c.Server.Restart())
	}
	wantExact(t, report, <-done)
	if report.Retried == 0 {
		t.Error("no request met a dead server")
	}
}
