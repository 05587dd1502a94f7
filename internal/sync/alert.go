package devsync

import (
	"net/url"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// Rules say when a group is told of its devices, and who may join them.
type Rules struct {
	Failures int // in a row that raise an alert
	// Silence raises an alert when a device has not reported for so long; 0: for
	// learnedTimes its usual interval.
	Silence    time.Duration
	Grace      time.Duration // on top of either
	Approval   bool          // new devices wait until an admin lets them in
	WebhookURL string        // empty: none
}

// DefaultRules are those of a group that has set none.
var DefaultRules = Rules{Failures: 3, Grace: 5 * time.Minute}

// Limits of rules (docs/http-api.md).
const (
	maxFailures = 100
	minSilence  = time.Minute
	maxSilence  = 30 * 24 * time.Hour
	maxGrace    = 24 * time.Hour
	maxWebhook  = 2048 // characters
)

// A learned silence is so many usual intervals, and never shorter than
// leastLearned; it is learned from enoughEvents.
const (
	learnedTimes = 4
	leastLearned = 15 * time.Minute
	enoughEvents = 5
)

// Validate reports every field that is wrong.
func (r *Rules) Validate() error {
	var errs []error
	bad := func(when bool, field, message string, args ...any) {
		if when {
			errs = append(errs, fault.InvalidField(field, message, args...))
		}
	}
	seconds := func(d time.Duration) int { return int(d / time.Second) }
	bad(r.Failures < 1 || r.Failures > maxFailures, "body.failures", "must be 1 to %d", maxFailures)
	bad(r.Silence != 0 && (r.Silence < minSilence || r.Silence > maxSilence),
		"body.silent_s", "must be %d to %d, or \"learned\"", seconds(minSilence), seconds(maxSilence))
	bad(r.Grace < 0 || r.Grace > maxGrace, "body.grace_s", "must be 0 to %d", seconds(maxGrace))
	if r.WebhookURL != "" {
		u, err := url.Parse(r.WebhookURL)
		bad(err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(r.WebhookURL) > maxWebhook,
			"body.webhook_url", "must be an http or https URL without a user, of at most %d characters", maxWebhook)
	}
	return fault.Join(errs...)
}

// Watch says when servers listened: a device is not silent while nobody does.
type Watch struct {
	At       time.Time // when Store.OpenSilent last looked; zero: never
	From, To time.Time // when nobody listened for the last time
}

// maxPause is how long OpenSilent may pause before that means that no server ran, or
// none had a store.
const maxPause = 2 * time.Minute

// Next is the watch at now.
func (w Watch) Next(now time.Time) Watch {
	if !w.At.IsZero() && now.Sub(w.At) > maxPause {
		w.From, w.To = w.At, now
	}
	w.At = now
	return w
}

// SilentAt returns when a device that stays silent raises an alert; the zero time
// for one whose silence is not known yet.
func (r *Rules) SilentAt(d *Device, w Watch) time.Time {
	limit := r.Silence
	if limit == 0 {
		if d.Totals.Events < enoughEvents || d.Interval == 0 {
			return time.Time{}
		}
		limit = max(learnedTimes*d.Interval, leastLearned)
	}
	at := d.LastSeen.Add(limit + r.Grace)
	if d.LastSeen.Before(w.To) && at.After(w.From) {
		at = at.Add(w.To.Sub(w.From))
	}
	return at
}

// AlertType is what is wrong with a device.
type AlertType string

const (
	AlertFailing AlertType = "failing" // so many failed syncs in a row
	AlertSilent  AlertType = "silent"  // no report for too long
)

// Alert is one streak of failures, or one silence, of a device.
type Alert struct {
	ID          string
	Group       string
	Type        AlertType
	Device      string
	Name        string    // of the device; read only
	Since       time.Time // first failure of the streak by device time; last report before a silence
	Streak      int       // of a failing device, the longest seen
	OpenedAt    time.Time
	RecoveredAt time.Time // zero: not yet
}

// News is an alert's opening or recovery that nobody was told of yet.
type News struct {
	Alert
	Recovered bool
}
