package workers

import (
	"testing"
	"time"
)

// TestQuiet looks at single moments, in UTC. Berlin's clocks went from 02:00 to
// 03:00 on Sunday 2026-03-29 at 01:00 UTC, and from 03:00 back to 02:00 on Sunday
// 2026-10-25 at 01:00 UTC.
func TestQuiet(t *testing.T) {
	all := []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	nights := []Window{{Days: all, From: "22:00", To: "07:00"}}
	early := []Window{{Days: all, From: "02:15", To: "02:45"}}
	saturday := []Window{{Days: []string{"sat"}, From: "22:00", To: "07:00"}}
	tests := []struct {
		name    string
		windows []Window
		zone    string
		quiet   map[string]bool // by moment
	}{
		{"within a day", []Window{{Days: []string{"wed"}, From: "09:00", To: "17:30"}}, "", map[string]bool{
			"2026-07-15T08:59:59Z": false, "2026-07-15T09:00:00Z": true, "2026-07-15T17:29:59Z": true,
			"2026-07-15T17:30:00Z": false, "2026-07-16T12:00:00Z": false, "2026-07-14T12:00:00Z": false,
		}},
		{"over midnight", saturday, "", map[string]bool{
			"2026-07-18T21:59:00Z": false, "2026-07-18T22:00:00Z": true, "2026-07-19T06:59:00Z": true,
			"2026-07-19T07:00:00Z": false, "2026-07-19T23:00:00Z": false, "2026-07-18T03:00:00Z": false,
		}},
		{"a whole day", []Window{{Days: []string{"sat"}, From: "00:00", To: "00:00"}}, "", map[string]bool{
			"2026-07-17T23:59:00Z": false, "2026-07-18T00:00:00Z": true, "2026-07-18T23:59:00Z": true, "2026-07-19T00:00:00Z": false,
		}},
		{"a day from noon", []Window{{Days: []string{"sat"}, From: "12:00", To: "12:00"}}, "", map[string]bool{
			"2026-07-18T11:59:00Z": false, "2026-07-18T12:00:00Z": true, "2026-07-19T11:59:00Z": true, "2026-07-19T12:00:00Z": false,
		}},
		{"in another zone", nights, "Asia/Kathmandu", map[string]bool{ // UTC+05:45
			"2026-07-15T16:14:59Z": false, "2026-07-15T16:15:00Z": true, "2026-07-16T01:14:00Z": true, "2026-07-16T01:15:00Z": false,
		}},
		{"the day is the owner's", []Window{{Days: []string{"mon"}, From: "08:00", To: "09:00"}}, "Pacific/Auckland", map[string]bool{
			"2026-07-12T20:30:00Z": true, "2026-07-13T20:30:00Z": false,
		}},
		{"night to summer time", nights, "Europe/Berlin", map[string]bool{
			"2026-03-28T20:59:00Z": false, "2026-03-28T21:00:00Z": true, "2026-03-29T00:59:00Z": true,
			"2026-03-29T01:00:00Z": true, "2026-03-29T04:59:00Z": true, "2026-03-29T05:00:00Z": false, // 07:00 is one hour earlier
			"2026-03-29T19:59:00Z": false, "2026-03-29T20:00:00Z": true,
		}},
		{"night to winter time", nights, "Europe/Berlin", map[string]bool{
			"2026-10-24T19:59:00Z": false, "2026-10-24T20:00:00Z": true, "2026-10-25T00:30:00Z": true, "2026-10-25T01:30:00Z": true,
			"2026-10-25T05:00:00Z": true, "2026-10-25T05:59:00Z": true, "2026-10-25T06:00:00Z": false, // one hour longer
		}},
		{"in the hour that is skipped", early, "Europe/Berlin", map[string]bool{
			"2026-03-28T01:30:00Z": true, // the night before
			"2026-03-29T00:59:00Z": false, "2026-03-29T01:00:00Z": false, "2026-03-29T01:30:00Z": false, "2026-03-29T00:30:00Z": false,
			"2026-03-30T00:30:00Z": true, // the night after
		}},
		{"in the hour that comes twice", early, "Europe/Berlin", map[string]bool{
			"2026-10-25T00:14:00Z": false, "2026-10-25T00:15:00Z": true, "2026-10-25T00:44:00Z": true, "2026-10-25T00:45:00Z": false,
			"2026-10-25T01:14:00Z": false, "2026-10-25T01:15:00Z": true, "2026-10-25T01:44:00Z": true, "2026-10-25T01:45:00Z": false,
		}},
		{"begins in the skipped hour", []Window{{Days: []string{"sun"}, From: "02:30", To: "04:00"}}, "Europe/Berlin", map[string]bool{
			"2026-03-29T00:59:00Z": false, "2026-03-29T01:00:00Z": true, "2026-03-29T01:59:00Z": true, "2026-03-29T02:00:00Z": false,
		}},
		{"several", []Window{{Days: []string{"mon"}, From: "01:00", To: "02:00"}, {Days: all, From: "01:30", To: "03:00"}}, "", map[string]bool{
			"2026-07-13T01:00:00Z": true, "2026-07-13T02:30:00Z": true, "2026-07-14T01:00:00Z": false, "2026-07-14T01:30:00Z": true,
		}},
		{"none", nil, "Europe/Berlin", map[string]bool{"2026-07-13T01:00:00Z": false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Settings{QuietHours: tt.windows, TimeZone: tt.zone}
			for at, want := range tt.quiet {
				moment, err := time.Parse(time.RFC3339, at)
				if err != nil {
					t.Fatal(err)
				}
				if got := s.Quiet(moment); got != want {
					t.Errorf("%s: quiet %v", at, got)
				}
			}
		})
	}
}

// TestMinutesAreEverywhereTheSame: the hub looks at the clock at each full minute
// of UTC, which has to be one everywhere.
func TestMinutesAreEverywhereTheSame(t *testing.T) {
	for _, zone := range []string{"Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "America/St_Johns", "Africa/Monrovia"} {
		at := time.Date(2026, 7, 1, 12, 0, 17, 5, zoneOf(zone))
		next := at.Add(nextMinute(at))
		if zone != next.Location().String() || next.Second() != 0 || next.Nanosecond() != 0 || next.Minute() != 1 {
			t.Errorf("%s: %s", zone, next)
		}
	}
}

func TestSlotsInForce(t *testing.T) {
	two, none := 2, 0
	always := []Window{{Days: []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, From: "00:00", To: "00:00"}}
	for name, tt := range map[string]struct {
		settings Settings
		offered  int
		want     int
		idle     string
	}{
		"nothing set":         {Settings{}, 4, 4, ""},
		"capped":              {Settings{SlotsCap: &two}, 4, 2, ""},
		"cap above the offer": {Settings{SlotsCap: &two}, 1, 1, ""},
		"cap 0":               {Settings{SlotsCap: &none}, 4, 0, ""},
		"paused":              {Settings{Paused: true, SlotsCap: &two, QuietHours: always}, 4, 0, IdlePaused},
		"quiet":               {Settings{QuietHours: always}, 4, 0, IdleQuiet},
	} {
		if got := tt.settings.slots(tt.offered, time.Now()); got != tt.want {
			t.Errorf("%s: %d slots, want %d", name, got, tt.want)
		}
		if got := tt.settings.Idle(time.Now()); got != tt.idle {
			t.Errorf("%s: idle %q, want %q", name, got, tt.idle)
		}
	}
}
