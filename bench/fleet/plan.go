// Package fleet plays a fleet of devices against a server and checks that the
// server's totals, streaks and repeated failures are exactly what was sent. What
// it sends follows from a seed: offline periods with a backlog, repeats, clocks
// that are wrong, devices that fail.
package fleet

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Options say how the fleet behaves. Shares are 0 to 1.
type Options struct {
	Devices int
	Events  int           // of each device
	Seed    uint64        // the same seed and Until, the same events
	Until   time.Time     // about when the last events happen
	Every   time.Duration // usual time between two events of a device
	Offline float64       // share of devices that are offline for long periods
	Repeats float64       // share of events that are sent twice
	Clocks  float64       // share of devices whose clock is wrong
	Failing float64       // share of devices that fail often, some of them always at the end
	Batch   int           // events of one request; a tenth of the devices sends each alone
	Clients int           // requests at a time
	Return  bool          // all come back at once: each sends its events in requests of its own
}

// Defaults of Options.
var Defaults = Options{
	Devices: 1000, Events: 100, Seed: 1, Every: 10 * time.Minute, Offline: 0.2, Repeats: 0.02, Clocks: 0.05,
	Failing: 0.1, Batch: 500, Clients: 8,
}

// Event is what a device sends.
type Event struct {
	DeviceID  string    `json:"device_id"`
	Timestamp time.Time `json:"timestamp"`
	Files     int64     `json:"total_files_synced"`
	Errors    int64     `json:"total_errors"`
	Speed     float64   `json:"internet_speed"`
	EventID   string    `json:"event_id,omitempty"`
}

// request is one call: a single event, or many.
type request struct {
	events []Event
	single bool
}

// plan is everything that is sent, by the client that sends it, and what must be
// there at the end.
type plan struct {
	clients [][]request
	want    map[string]*expected // by device
	sent    int                  // events, repeats included
}

// expected is what a device must have at the end.
type expected struct {
	events, failed, partial, files, errors int64
	streak                                 int
	failures                               []time.Time
}

// newPlan makes the plan of a fleet. A device's events all go through one client.
func newPlan(o Options) *plan {
	p := &plan{clients: make([][]request, o.Clients), want: make(map[string]*expected, o.Devices)}
	pending := make([][]Event, o.Clients) // of the next batch
	for i := range o.Devices {
		d := newDevice(o, i)
		p.want[d.id] = d.expect()
		c := i % o.Clients
		if o.Return {
			for events := range slices.Chunk(d.order(o), o.Batch) {
				p.sent += len(events)
				p.clients[c] = append(p.clients[c], request{events: events})
			}
			continue
		}
		for _, e := range d.order(o) {
			p.sent++
			if i%10 == 0 {
				p.clients[c] = append(p.clients[c], request{events: []Event{e}, single: true})
				continue
			}
			if pending[c] = append(pending[c], e); len(pending[c]) == o.Batch {
				p.clients[c] = append(p.clients[c], request{events: pending[c]})
				pending[c] = nil
			}
		}
	}
	for c, events := range pending {
		if len(events) > 0 {
			p.clients[c] = append(p.clients[c], request{events: events})
		}
	}
	return p
}

// device is one device and what happens to it.
type device struct {
	id     string
	rng    *rand.Rand
	events []Event // as they happen, by the device's clock
}

func deviceID(i int) string { return fmt.Sprintf("device-%06d", i) }

func newDevice(o Options, i int) *device {
	d := &device{id: deviceID(i), rng: rand.New(rand.NewPCG(o.Seed, uint64(i)))}
	failure := 0.02
	if d.rng.Float64() < o.Failing {
		failure = 0.2 + 0.6*d.rng.Float64()
	}
	broken := o.Events // from this event on it fails always
	if d.rng.Float64() < o.Failing/2 {
		broken = d.rng.IntN(o.Events)
	}
	var offset time.Duration
	if d.rng.Float64() < o.Clocks {
		offset = time.Duration(d.rng.Int64N(int64(12*time.Hour))) - 6*time.Hour
	}
	named := d.rng.IntN(2) == 0 // gives its events ids
	at := o.Until.Add(offset - time.Duration(o.Events)*o.Every)
	for n := range o.Events {
		at = at.Add(o.Every/2 + time.Duration(d.rng.Int64N(int64(o.Every)))).Truncate(time.Millisecond)
		e := Event{DeviceID: d.id, Timestamp: at.UTC(), Files: d.rng.Int64N(50), Speed: float64(d.rng.IntN(1000)) / 10}
		if n >= broken || d.rng.Float64() < failure {
			e.Errors = 1 + d.rng.Int64N(5)
			e.Files = max(0, e.Files-40) // most fail wholly
		}
		if named {
			e.EventID = strconv.FormatUint(d.rng.Uint64(), 36)
		}
		d.events = append(d.events, e)
	}
	return d
}

// order returns the events as they are sent: what happened offline comes in one
// go, newest first where the device empties its memory from the top, and some
// come twice.
func (d *device) order(o Options) []Event {
	sent := slices.Clone(d.events)
	if d.rng.Float64() < o.Offline && len(sent) > 4 {
		from := d.rng.IntN(len(sent) - 2)
		to := from + 2 + d.rng.IntN(len(sent)-from-1)
		if d.rng.IntN(2) == 0 {
			slices.Reverse(sent[from:to])
		}
		// It goes on reporting before it has sent what it kept.
		kept := slices.Clone(sent[from:to])
		later := min(len(sent)-to, d.rng.IntN(20))
		copy(sent[from:], sent[to:to+later])
		copy(sent[from+later:], kept)
	}
	var out []Event
	for _, e := range sent {
		out = append(out, e)
		if d.rng.Float64() < o.Repeats {
			out = append(out, out[d.rng.IntN(len(out))])
		}
	}
	return out
}

func (d *device) expect() *expected {
	x := &expected{}
	inOrder := slices.SortedFunc(slices.Values(d.events), func(a, b Event) int {
		return cmp.Or(a.Timestamp.Compare(b.Timestamp), cmp.Compare(a.EventID, b.EventID))
	})
	for _, e := range inOrder {
		x.events++
		x.files += e.Files
		x.errors += e.Errors
		if e.Errors == 0 {
			x.streak = 0
			continue
		}
		x.failed++
		x.streak++
		x.failures = append(x.failures, e.Timestamp)
		if e.Files > 0 {
			x.partial++
		}
	}
	return x
}
