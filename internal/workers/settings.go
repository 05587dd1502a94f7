package workers

import (
	"slices"
	"strconv"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/protocol"
)

// Settings are what the owner of a worker decided about it. They bind every
// session of the worker, over all reconnects; the zero value binds nothing.
type Settings struct {
	Paused     bool     `json:"paused"`
	SlotsCap   *int     `json:"slots_cap"` // of each session; nil: none
	Kinds      []string `json:"kinds"`     // sorted; nil: all it offers
	Groups     []string `json:"groups"`    // sorted; nil: all of the token; one the owner left does not count
	QuietHours []Window `json:"quiet_hours"`
	TimeZone   string   `json:"time_zone"` // IANA, of the quiet hours; empty: UTC
}

// Reasons why a connected worker gets nothing new.
const (
	IdlePaused   = "paused"
	IdleQuiet    = "quiet_hours"
	IdleDraining = "draining"
)

// Idle returns IdlePaused or IdleQuiet while the settings let nothing new
// through, else "".
func (s Settings) Idle(now time.Time) string {
	switch {
	case s.Paused:
		return IdlePaused
	case s.Quiet(now):
		return IdleQuiet
	}
	return ""
}

// slots returns how many of the slots that a worker offers it is to use now.
func (s Settings) slots(offered int, now time.Time) int {
	if s.Idle(now) != "" {
		return 0
	}
	if s.SlotsCap != nil {
		return min(offered, *s.SlotsCap)
	}
	return offered
}

// Change is what a PATCH asks for; what is not set stays.
type Change struct {
	Paused      *bool
	SetSlotsCap bool
	SlotsCap    *int
	SetKinds    bool
	Kinds       []string
	SetGroups   bool
	Groups      []string
	SetQuiet    bool
	QuietHours  []Window
	TimeZone    *string
}

const maxWindows = 14

// Validate brings the change into the form that is kept and reports every field
// that is wrong. allowed are the groups of the owner.
func (c *Change) Validate(allowed func(group string) bool) error {
	var errs []error
	bad := func(field, message string, args ...any) {
		errs = append(errs, fault.InvalidField("body."+field, message, args...))
	}
	if c.SlotsCap != nil && (*c.SlotsCap < 0 || *c.SlotsCap > protocol.MaxSlots) {
		bad("slots_cap", "must be 0 to %d, or null", protocol.MaxSlots)
	}
	names := func(field string, list []string, most int, ok func(string) bool, problem string) []string {
		if len(list) > most {
			bad(field, "must name at most %d", most)
			return nil
		}
		for i, name := range list {
			if !ok(name) {
				bad(field+"["+strconv.Itoa(i)+"]", problem)
			}
		}
		if list == nil {
			return nil
		}
		return sorted(list)
	}
	c.Kinds = names("kinds", c.Kinds, protocol.MaxKinds, protocol.ValidKind, "is not the name of a kind")
	c.Groups = names("groups", c.Groups, protocol.MaxGroups, allowed, "is not one of your groups")
	if len(c.QuietHours) > maxWindows {
		bad("quiet_hours", "must have at most %d windows", maxWindows)
	} else {
		for i := range c.QuietHours {
			c.QuietHours[i].check("quiet_hours["+strconv.Itoa(i)+"].", bad)
		}
	}
	if c.TimeZone != nil && !knownZone(*c.TimeZone) {
		bad("time_zone", "is not the name of a time zone, such as Europe/Berlin")
	}
	return fault.Join(errs...)
}

// applied returns s with the change.
func (c *Change) applied(s Settings) Settings {
	if c.Paused != nil {
		s.Paused = *c.Paused
	}
	if c.SetSlotsCap {
		s.SlotsCap = c.SlotsCap
	}
	if c.SetKinds {
		s.Kinds = c.Kinds
	}
	if c.SetGroups {
		s.Groups = c.Groups
	}
	if c.SetQuiet {
		s.QuietHours = c.QuietHours
	}
	if c.TimeZone != nil {
		s.TimeZone = *c.TimeZone
	}
	return s
}

// only returns those of names that are also in allowed, for which nil means all.
func only(names, allowed []string) []string {
	if allowed == nil {
		return names
	}
	both := make([]string, 0, min(len(names), len(allowed)))
	for _, name := range names {
		if slices.Contains(allowed, name) {
			both = append(both, name)
		}
	}
	return both
}
