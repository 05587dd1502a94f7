package devsync

import (
	"context"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// Stored is an event as it is kept.
type Stored struct {
	Event
	Repeat bool // it was there before: this is the first one
}

// Store keeps events and what they add up to. A nil error of a write means that
// it is durable.
type Store interface {
	// Append keeps events of one group, registers devices that are new (as Pending
	// where the group's rules want approval), brings totals, streaks and sums up to
	// date, opens alerts of failing devices and closes those that are over, as one
	// step. A repeat, that is an event whose ID (else, without one, whose time) its
	// device has reported before, changes nothing and is answered with the first.
	// Events may come late and in any order; calls at the same time share a commit.
	Append(ctx context.Context, group string, events []Event) ([]Stored, error)
	// DropEvents removes some events with a device time before t, having added them
	// to their devices' sums, and reports whether there may be more.
	DropEvents(ctx context.Context, t time.Time) (more bool, err error)

	// Device returns ErrNoDevice.
	Device(ctx context.Context, group, id string) (Device, error)
	// Devices lists a group's by id, those after the id q.After. Where it ended
	// because it had looked at q.Look, looked is the id of the last of those.
	Devices(ctx context.Context, q DeviceQuery) (found []Device, looked string, err error)
	// GroupsOfDevice returns which of the groups know a device.
	GroupsOfDevice(ctx context.Context, id string, groups []string) ([]string, error)
	// UpdateDevice changes the fields that are set: ErrNoDevice. One that is no
	// longer Active has its alerts closed.
	UpdateDevice(ctx context.Context, group, id string, change Change, now time.Time) error
	// EventsOf lists a device's events, newest first by device time.
	EventsOf(ctx context.Context, q EventQuery) ([]Event, error)
	// GroupEvents lists a group's events by device id and device time, after the
	// place q.After: for export.
	GroupEvents(ctx context.Context, q ExportQuery) ([]Event, error)
	// Failing lists active devices with failures, the most first.
	Failing(ctx context.Context, q FailingQuery) ([]Failing, error)
	// Sums adds up by hour of device time, oldest first.
	Sums(ctx context.Context, q SumQuery) ([]Sum, error)

	// RulesOf returns DefaultRules for a group that has set none.
	RulesOf(ctx context.Context, group string) (Rules, error)
	SetRules(ctx context.Context, group string, r Rules) error
	// OpenSilent opens an alert for each active device that is silent at now and has
	// none. It keeps a Watch of its calls, which are more often than maxPause.
	OpenSilent(ctx context.Context, now time.Time) (opened int, err error)
	// Alerts lists a group's, newest first, those with an id below q.Before.
	Alerts(ctx context.Context, q AlertQuery) ([]Alert, error)
	// News lists what nobody was told of yet, the oldest first; Told removes it from
	// there.
	News(ctx context.Context, limit int) ([]News, error)
	Told(ctx context.Context, n News) error
	// DeleteDevices removes some of what belongs to a group and reports whether there
	// may be more.
	DeleteDevices(ctx context.Context, group string) (more bool, err error)
}

// DeviceQuery is a page of a group's devices.
type DeviceQuery struct {
	Group  string
	States []State // none: all
	Search string  // any part of the id, the name or a tag, in any case
	Tag    string  // a whole one, in any case
	Health Health
	After  string // device id of the page before
	Too    bool   // the device After itself is wanted, too
	Limit  int
	Look   int // at most at so many, where Searches
}

// Searches reports whether devices have to be looked at one by one.
func (q DeviceQuery) Searches() bool { return q.Search != "" || q.Tag != "" || q.Health != "" }

// Finder returns what says whether a device of the group and states is wanted.
func (q DeviceQuery) Finder() func(Device) bool {
	search, tag := fault.Fold(q.Search), fault.Fold(q.Tag)
	return func(d Device) bool {
		found, tagged := search == "" || strings.Contains(fault.Fold(d.ID), search) || strings.Contains(fault.Fold(d.Name), search), tag == ""
		for _, t := range d.Tags {
			t = fault.Fold(t)
			found = found || strings.Contains(t, search)
			tagged = tagged || t == tag
		}
		return found && tagged && d.is(q.Health)
	}
}

// Change is what people change of a device; nil: stays.
type Change struct {
	Name  *string
	Tags  *[]string
	State *State
}

// Over returns what these become by the change.
func (c Change) Over(name string, tags []string, state State) (string, []string, State) {
	if c.Name != nil {
		name = *c.Name
	}
	if c.Tags != nil {
		tags = *c.Tags
	}
	if c.State != nil {
		state = *c.State
	}
	return name, tags, state
}

// EventQuery is a page of a device's events.
type EventQuery struct {
	Group, Device string
	From, To      time.Time // by device time, To excluded; zero: open
	Status        Status    // empty: any
	Before        Mark      // of the page before; zero: from the newest
	Limit         int
}

// ExportQuery is a portion of a group's events.
type ExportQuery struct {
	Group       string
	From, To    time.Time // by device time, To excluded; zero: open
	AfterDevice string    // of the portion before
	After       Mark
	Limit       int
}

// FailingQuery asks for devices of groups that fail.
type FailingQuery struct {
	Groups []string
	From   time.Time // failures before, by device time, do not count
	// Total asks for at least so many failures since From, Streak for at least so
	// many in a row up to the device's newest event, the last since From. One is
	// set.
	Total, Streak int
	Limit         int
}

// Failing is a device that fails.
type Failing struct {
	Group, Device, Name       string
	Failures                  int       // since From
	Streak                    int       // up to its newest event
	FirstFailure, LastFailure time.Time // since From
	LastSuccess               time.Time // ever; zero: none
}

// SumQuery asks for sums of a group, or of one of its devices.
type SumQuery struct {
	Group, Device string    // Device empty: of all
	From, To      time.Time // whole hours of device time, To excluded
}

// Sum is what the events of an hour, or of a day, add up to.
type Sum struct {
	At time.Time // its start
	Totals
	Speeds Histogram
}

// AlertQuery is a page of a group's alerts.
type AlertQuery struct {
	Group  string
	Open   bool // only those without a recovery
	Before string
	Limit  int
}
