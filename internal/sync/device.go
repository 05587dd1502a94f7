package devsync

import (
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// Device is a device of a group and what its events add up to.
type Device struct {
	Group string
	ID    string // as the device names itself
	Name  string // given by people; may be empty
	Tags  []string
	State State

	FirstSeen time.Time // by the server's clock, as LastSeen
	LastSeen  time.Time
	Totals    Totals

	Newest      Mark // of all its events, by device time, as the next two
	LastSuccess Mark
	LastFailure Mark
	Streak      int // failed syncs after the last success, by device time

	// Interval is the usual time between two events, smoothed; zero until there
	// are two.
	Interval time.Duration

	Failing, Silent bool // has an open alert; read only
}

// State is what people decided about a device.
type State string

const (
	Active  State = "active"
	Pending State = "pending" // waits for approval: its events are kept and not shown
	Retired State = "retired" // out of use: no alerts; it is shown only where asked for
)

// Health is how a device does.
type Health string

const (
	Fine     Health = "ok"      // its newest event had no errors
	Broken   Health = "failed"  // it had
	Repeated Health = "failing" // an alert for its failures is open
	Quiet    Health = "silent"  // an alert for its silence is
)

// is reports whether a device does so; any is, where it is empty.
func (d Device) is(h Health) bool {
	switch h {
	case Fine, Broken:
		return (d.Newest == d.LastSuccess) == (h == Fine)
	case Repeated:
		return d.Failing
	case Quiet:
		return d.Silent
	}
	return true
}

// Totals count events that were ever accepted, whether they are still kept or not.
type Totals struct {
	Events  int64
	Failed  int64 // partial ones included
	Partial int64
	Files   int64
	Errors  int64
}

// Add counts one event.
func (t *Totals) Add(e Event) {
	t.Events++
	t.Files += e.Files
	t.Errors += e.Errors
	if e.Failed() {
		t.Failed++
	}
	if e.Status() == Partial {
		t.Partial++
	}
}

// smoothing is the weight of the newest interval.
const smoothing = 0.2

// Note adds an event, which is new and may be late, to what is known of its
// device. It reports whether the streak must be counted again: a success fell
// between failures.
func (d *Device) Note(e Event) (recount bool) {
	d.Totals.Add(e)
	if d.FirstSeen.IsZero() || e.ReceivedAt.Before(d.FirstSeen) {
		d.FirstSeen = e.ReceivedAt
	}
	if e.ReceivedAt.After(d.LastSeen) {
		d.LastSeen = e.ReceivedAt
	}
	m := e.Mark()
	if d.Newest.Before(m) {
		d.learn(e.At)
		d.Newest = m
	}
	switch after := d.LastSuccess.Before(m); {
	case e.Failed():
		if d.LastFailure.Before(m) {
			d.LastFailure = m
		}
		if after {
			d.Streak++
		}
	case after:
		d.LastSuccess = m
		recount = m.Before(d.LastFailure)
		d.Streak = 0 // unless it is counted again
	}
	return recount
}

// learn smooths the interval with the one that ends at t, the newest.
func (d *Device) learn(t time.Time) {
	if d.Newest.At.IsZero() || !t.After(d.Newest.At) {
		return
	}
	gap := t.Sub(d.Newest.At)
	if d.Interval > 0 {
		gap = d.Interval + time.Duration(smoothing*float64(gap-d.Interval))
	}
	d.Interval = gap.Truncate(time.Millisecond)
}

// Faults about devices.
var (
	ErrNoDevice  = fault.New(fault.NotFound, "device_not_found", "There is no such device.")
	ErrAmbiguous = fault.New(fault.Conflict, "ambiguous_device", "Several of your groups know this device; name one with ?group=.")
)
