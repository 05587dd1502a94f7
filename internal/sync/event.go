// Package devsync is the registry of devices and what they report of their
// syncs: events, streaks of failures, sums, alerts. It knows neither HTTP nor the
// store's driver. (The folder is named sync; the package is not, so that it can
// stand beside Go's own.)
package devsync

import (
	"cmp"
	"math"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// Event is what a device reports of one sync.
type Event struct {
	Device     string    // as the device names itself; unique in its group
	ID         string    // event_id, the device's own; empty: it gives none
	At         time.Time // by the device's clock
	ReceivedAt time.Time // by the server's
	Files      int64     // synced
	Errors     int64
	Speed      float64 // of its internet connection, in the device's unit
}

// Status sums up one sync.
type Status string

const (
	OK      Status = "ok"      // no errors
	Partial Status = "partial" // errors, and files nevertheless
	Failed  Status = "failed"  // errors, and no files
)

// Failed reports whether the sync counts as failed: it had errors.
func (e Event) Failed() bool { return e.Errors > 0 }

// Status tells a whole failure from a partial one.
func (e Event) Status() Status {
	switch {
	case !e.Failed():
		return OK
	case e.Files > 0:
		return Partial
	}
	return Failed
}

// Mark is a place in a device's history: events are ordered by device time, those
// of the same time by their id.
type Mark struct {
	At    time.Time
	Event string
}

// Mark returns the event's place.
func (e Event) Mark() Mark { return Mark{e.At, e.ID} }

// Before reports whether m stands before other; the zero Mark before all.
func (m Mark) Before(other Mark) bool {
	return cmp.Or(m.At.Compare(other.At), cmp.Compare(m.Event, other.Event)) < 0
}

// Limits of an event (docs/http-api.md).
const (
	MaxEventID = 128            // characters
	MaxCount   = 1<<53 - 1      // files and errors: what JSON numbers hold exactly
	MaxSpeed   = 1e12           // in any unit
	MaxAhead   = 24 * time.Hour // of the device's clock
)

// Earliest is the oldest time an event may have: no device is older, and clocks
// that were never set begin at 1970 or 1980.
var Earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Report is an event as a device sends it; nil: left out.
type Report struct {
	DeviceID  *string  `json:"device_id" nullable:"false" minLength:"1" maxLength:"128" doc:"As the device calls itself: no control characters, not . or .. or /, kept in Unicode NFC"`
	Timestamp *string  `json:"timestamp" nullable:"false" format:"date-time" doc:"By the device's clock, with its zone; from the year 2000, at most 24 hours ahead"`
	Files     *int64   `json:"total_files_synced" nullable:"false" minimum:"0" maximum:"9007199254740991"`
	Errors    *int64   `json:"total_errors" nullable:"false" minimum:"0" maximum:"9007199254740991" doc:"The sync failed if there are any"`
	Speed     *float64 `json:"internet_speed" nullable:"false" minimum:"0" maximum:"1000000000000" doc:"In the device's own unit"`
	EventID   *string  `json:"event_id,omitempty" minLength:"1" maxLength:"128" doc:"The device's own: a second event of the same id is a repeat"`
}

// Event checks a report that came at now. The fault names every wrong field.
func (r *Report) Event(now time.Time) (Event, error) {
	e := Event{ReceivedAt: now.UTC().Truncate(time.Millisecond)}
	var errs []error
	bad := func(field, message string, args ...any) {
		errs = append(errs, fault.InvalidField(field, message, args...))
	}
	count := func(field string, v *int64) int64 {
		switch {
		case v == nil:
			bad(field, "is needed")
		case *v < 0 || *v > MaxCount:
			bad(field, "must be 0 to %d", int64(MaxCount))
		default:
			return *v
		}
		return 0
	}
	if r.DeviceID == nil {
		bad("device_id", "is needed")
	} else {
		var err error
		if e.Device, err = auth.DeviceID("device_id", *r.DeviceID); err != nil {
			errs = append(errs, err)
		}
	}
	if r.EventID != nil {
		var err error
		if e.ID, err = fault.Name("event_id", *r.EventID, MaxEventID); err != nil {
			errs = append(errs, err)
		}
	}
	var t time.Time
	switch {
	case r.Timestamp == nil:
		bad("timestamp", "is needed")
	case t.UnmarshalText([]byte(*r.Timestamp)) != nil:
		bad("timestamp", "must be a time with its zone such as 2026-01-31T08:30:00Z or 2026-01-31T09:30:00+01:00")
	case t.Before(Earliest):
		bad("timestamp", "must not be before %d", Earliest.Year())
	case t.After(now.Add(MaxAhead)):
		bad("timestamp", "is more than 24 hours ahead")
	default:
		e.At = t.UTC().Truncate(time.Millisecond)
	}
	e.Files, e.Errors = count("total_files_synced", r.Files), count("total_errors", r.Errors)
	switch s := r.Speed; {
	case s == nil:
		bad("internet_speed", "is needed")
	case !(*s >= 0 && *s <= MaxSpeed): // NaN is neither
		bad("internet_speed", "must be 0 to %.0e", MaxSpeed)
	default:
		e.Speed = math.Abs(*s) // -0 is 0
	}
	return e, fault.Join(errs...)
}
