package worker

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

// schedule decides when to connect again (section 6): at once, then at least
// once a second for 10 s, so that the server's grace is met, then with
// exponential backoff and full jitter.
type schedule struct {
	lost  time.Time // when the run of tries began
	once  bool      // there was a connection before
	began time.Time // the try under way, or the last one
	tries int       // since lost
	slow  int       // of them, with backoff
}

// newSchedule starts as if a connection had just been lost and the first try,
// the one at once, were under way.
func newSchedule(now time.Time) schedule { return schedule{lost: now, tries: 1} }

// begin starts a try and says how long it may take. In the fast phase that is
// short, so that one that hangs does not use up the grace.
func (s *schedule) begin(now time.Time) time.Duration {
	s.began = now
	if s.once && now.Sub(s.lost) < fastFor {
		return fastDial
	}
	return openTimeout
}

// pause is the time to wait after a connection ended, or could not be made,
// because of err.
func (s *schedule) pause(now time.Time, welcomed bool, err error) time.Duration {
	least := leastPause(err)
	if welcomed && (!s.once || now.Sub(s.lost) >= stableAfter) {
		*s = schedule{lost: now.Add(least), once: true}
	}
	s.tries++
	switch {
	case s.tries == 1:
		return least
	case now.Sub(s.lost) < fastFor:
		return max(least, s.began.Add(between(fastLeast, fastMost)).Sub(now), 0)
	default:
		top := min(backoffBase<<min(s.slow, 10), backoffMost)
		s.slow++
		return max(least, between(0, top))
	}
}

func leastPause(err error) time.Duration {
	code := 0
	var closed *websocket.CloseError
	var refused *HandshakeError
	if errors.As(err, &closed) {
		code = closed.Code
	}
	tooMany := errors.As(err, &refused) && refused.Status == http.StatusTooManyRequests
	switch {
	case code == protocol.CloseGoingAway || errors.Is(err, errServerDrains):
		return between(0, awayMost)
	case code == protocol.CloseTooMany || code == protocol.CloseDisconnected || tooMany:
		return between(tooManyWait, 2*tooManyWait)
	}
	return 0
}

// final returns the error that ends Run, or nil if err is worth another try.
func final(err error) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) && closed.Code >= 4000 && !protocol.Reconnects(closed.Code) {
		return &ClosedError{Code: closed.Code, Reason: closed.Text}
	}
	var refused *HandshakeError
	if errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden) {
		return refused
	}
	return nil
}

func between(least, most time.Duration) time.Duration {
	return least + rand.N(most-least)
}
