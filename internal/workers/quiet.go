package workers

import (
	"regexp"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // the time zones, for machines that have none
)

// Window is a time of day on some days of the week, by the clock on the wall of
// the owner's time zone: quiet is every minute that this clock shows within it.
// One that ends before it begins, or just then, ends on the day after. So in the
// night when summer time begins the skipped hour is no part of it, and when it
// ends the hour that comes twice counts twice.
type Window struct {
	Days []string `json:"days"` // on which it begins: mon … sun
	From string   `json:"from"` // HH:MM
	To   string   `json:"to"`   // HH:MM, no longer in it
}

var (
	weekdays  = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // by time.Weekday
	timeOfDay = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
)

// check reports what is wrong with a window whose fields begin with path.
func (w *Window) check(path string, bad func(field, message string, args ...any)) {
	unknown := slices.ContainsFunc(w.Days, func(d string) bool { return !slices.Contains(weekdays, d) })
	if len(w.Days) == 0 || len(w.Days) > len(weekdays) || unknown || len(sorted(w.Days)) < len(w.Days) {
		bad(path+"days", "must be some of mon, tue, wed, thu, fri, sat and sun, each once")
	}
	if !timeOfDay.MatchString(w.From) {
		bad(path+"from", "must be a time from 00:00 to 23:59")
	}
	if !timeOfDay.MatchString(w.To) {
		bad(path+"to", "must be a time from 00:00 to 23:59")
	}
}

// Quiet reports whether a moment is within the quiet hours.
func (s Settings) Quiet(at time.Time) bool {
	if len(s.QuietHours) == 0 {
		return false
	}
	wall := at.In(zoneOf(s.TimeZone))
	now, today := wall.Hour()*60+wall.Minute(), wall.Weekday()
	for _, w := range s.QuietHours {
		from, to := minuteOf(w.From), minuteOf(w.To)
		begun := w.on(today) && now >= from
		if from < to && begun && now < to || from >= to && (begun || w.on(today+6) && now < to) {
			return true
		}
	}
	return false
}

func (w Window) on(day time.Weekday) bool { return slices.Contains(w.Days, weekdays[day%7]) }

// minuteOf returns the minute of the day that a checked HH:MM names.
func minuteOf(s string) int {
	digit := func(i int) int { return int(s[i] - '0') }
	return (digit(0)*10+digit(1))*60 + digit(3)*10 + digit(4)
}

// nextMinute returns how long it is until a clock on a wall shows another minute:
// nowhere do they differ by less.
func nextMinute(now time.Time) time.Duration {
	return now.Truncate(time.Minute).Add(time.Minute).Sub(now)
}

const maxZoneName = 64

var zones sync.Map // of string to *time.Location; only names that there are

// knownZone reports whether there is a time zone of this name.
func knownZone(name string) bool {
	if _, known := zones.Load(name); known {
		return true
	}
	if name == "" || name == "Local" || len(name) > maxZoneName {
		return false
	}
	zone, err := time.LoadLocation(name)
	if err == nil {
		zones.Store(name, zone)
	}
	return err == nil
}

// zoneOf returns the time zone of settings that were checked: UTC for none.
func zoneOf(name string) *time.Location {
	if knownZone(name) {
		if zone, ok := zones.Load(name); ok {
			return zone.(*time.Location)
		}
	}
	return time.UTC
}
