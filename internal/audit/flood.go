package audit

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Refused attempts cost an attacker nothing, so that only some are kept: of one
// actor (or address, where nobody logged in) so many a minute, and of all so
// many a day. The rest is counted: the last of each in its minute stands for
// them, with LeftOut.
const (
	floodWindow  = time.Minute
	floodEach    = 10               // of one actor or address, in a window
	floodBurst   = 600              // of all, at once
	floodRefill  = 10 * time.Second // one more of all: 8,640 a day
	floodSources = 1000             // told apart in a window
)

// Words of the entry for attempts that are only counted.
const (
	ActionLeftOut  = "refused-attempts"
	OutcomeLeftOut = "left_out"
)

// flood holds refused attempts to the limits above.
type flood struct {
	mu      sync.Mutex // guards what follows
	sources map[string]*tally
	rest    int // left out, of further sources
	all     *rate.Limiter
}

// tally is one source's attempts in a window.
type tally struct {
	kept, left int
	last       Entry // of those left out
}

func newFlood() *flood {
	return &flood{sources: map[string]*tally{}, all: rate.NewLimiter(rate.Every(floodRefill), floodBurst)}
}

// admit reports whether a refused attempt is kept, and counts it if not.
func (f *flood) admit(e Entry, now time.Time) bool {
	key := source(e)
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.sources[key]
	if t == nil {
		if len(f.sources) >= floodSources {
			f.rest++
			return false
		}
		t = &tally{}
		f.sources[key] = t
	}
	if t.kept < floodEach && f.all.AllowN(now, 1) {
		t.kept++
		return true
	}
	t.left++
	t.last = e
	return false
}

// take ends the window and returns the entries that stand for what it left out.
func (f *flood) take(now time.Time) []Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Entry
	for _, t := range f.sources {
		switch {
		case t.left == 0:
		case f.all.AllowN(now, 1):
			t.last.LeftOut = t.left - 1
			out = append(out, t.last)
		default:
			f.rest += t.left
		}
	}
	clear(f.sources)
	if f.rest > 0 {
		out = append(out, Entry{ID: newID(), Action: ActionLeftOut, Outcome: OutcomeLeftOut, LeftOut: f.rest})
		f.rest = 0
	}
	return out
}

// source tells attempts apart: by whose token it was, else by address, of IPv6
// by the network that one customer has.
func source(e Entry) string {
	if e.TokenKind != "" {
		return e.Actor
	}
	addr, err := netip.ParseAddr(e.Address)
	if err == nil && addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return e.Address
}
