package devsync

import (
	"context"
	"time"
)

// Stored is an event as it is kept.
type Stored struct {
	Event
	Repeat bool // it was there before: this is the first one
}

// Store keeps events and what they add up to. A nil error of a write means that
// it is durable.
type Store interface {
	// Append keeps events of one group, registers devices that are new, and
	// brings totals, streaks and sums up to date, as one step. A repeat, that is an
	// event whose ID (else, without one, whose time) its device has reported before,
	// changes nothing and is answered with the first. Events may come late and in
	// any order; calls at the same time share a commit.
	Append(ctx context.Context, group string, events []Event) ([]Stored, error)
	// Device returns ErrNoDevice.
	Device(ctx context.Context, group, id string) (Device, error)
	// Devices lists a group's by id, those after the id q.After.
	Devices(ctx context.Context, q DeviceQuery) ([]Device, error)
	// GroupsOfDevice returns which of the groups know a device.
	GroupsOfDevice(ctx context.Context, id string, groups []string) ([]string, error)
	// EventsOf lists a device's events, newest first by device time.
	EventsOf(ctx context.Context, q HistoryQuery) ([]Event, error)
}

// DeviceQuery is a page of a group's devices.
type DeviceQuery struct {
	Group  string
	States []State // none: all
	After  string  // device id of the page before
	Limit  int
}

// HistoryQuery is a page of a device's events.
type HistoryQuery struct {
	Group, Device string
	From, To      time.Time // by device time, To excluded; zero: open
	Status        Status    // empty: any
	Before        Mark      // of the page before; zero: from the newest
	Limit         int
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
	Group, Device            string
	Name                     string
	Failures                 int // since From
	Streak                   int // up to its newest event
	FirstFailure, LastFailed time.Time
	LastSuccess              time.Time // ever; zero: none
}
