package devsync

import (
	"cmp"
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
)

// Service takes events in and answers questions about devices. It is safe for
// concurrent use.
type Service struct {
	Options
	pace *pace
}

// Options are what a Service needs; all are required unless said otherwise.
type Options struct {
	Store      Store
	Groups     *groups.Service
	Roles      auth.Memberships
	DeviceRate float64  // events a second that one device may report to this server; 0: no bound
	Look       int      // at how many devices a request looks that searches, over all groups; 0: DefaultLook
	Tellers    []Teller // in order; may be empty
	// Changed, if set, is told which devices of a group have reported or were changed. It must not
	// block.
	Changed func(group string, devices ...string)
	Now     func() time.Time
}

// DefaultLook is at how many devices a request looks that searches.
const DefaultLook = 10_000

// NewService makes a Service.
func NewService(o Options) *Service {
	o.Look = cmp.Or(o.Look, DefaultLook)
	return &Service{Options: o, pace: newPace(o.DeviceRate)}
}

// ErrWrongDevice refuses an event of another device than the token's.
var ErrWrongDevice = fault.New(fault.Forbidden, "wrong_device", "The token belongs to another device.")

// Check makes an event of what a device sent with its token: a fault that names
// the wrong fields, ErrWrongDevice, or one of kind TooMany above the device's rate.
func (s *Service) Check(c auth.Caller, r *Report) (Event, error) {
	now := s.Now()
	e, err := r.Event(now)
	if err != nil {
		return Event{}, err
	}
	if c.DeviceID != "" && c.DeviceID != e.Device {
		return Event{}, ErrWrongDevice
	}
	if wait := s.pace.take(c.Groups[0], e.Device, now); wait > 0 {
		return Event{}, &fault.Error{
			Kind: fault.TooMany, Code: "device_rate", Detail: "The device reports too often.", RetryAfter: wait,
		}
	}
	return e, nil
}

// Append keeps events that Check let through, of the one group of the caller's
// token. It returns one for each; with an error those before it.
func (s *Service) Append(ctx context.Context, c auth.Caller, events ...Event) ([]Stored, error) {
	stored, err := s.Store.Append(ctx, c.Groups[0], events)
	if s.Changed != nil {
		for _, e := range stored {
			if !e.Repeat {
				s.Changed(c.Groups[0], e.Device)
			}
		}
	}
	return stored, err
}

// pace bounds the events of each device.
type pace struct {
	perSecond rate.Limit

	mu      sync.Mutex
	devices map[[2]string]*rate.Limiter // by group and device; guarded by mu
}

// maxPaced bounds the memory; when it is reached all begin anew.
const maxPaced = 200_000

func newPace(perSecond float64) *pace {
	return &pace{perSecond: rate.Limit(perSecond), devices: make(map[[2]string]*rate.Limiter)}
}

// take returns how long the device has to wait, zero if it need not.
func (p *pace) take(group, device string, now time.Time) time.Duration {
	if p.perSecond <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := [2]string{group, device}
	l := p.devices[key]
	if l == nil {
		if len(p.devices) >= maxPaced {
			clear(p.devices)
		}
		l = rate.NewLimiter(p.perSecond, max(1, int(p.perSecond)))
		p.devices[key] = l
	}
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}
