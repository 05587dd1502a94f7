package devsync

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// groupsFor returns the caller's groups in which they may do p: the one named, or
// all. groups.ErrNoGroup, groups.ErrRole.
func (s *Service) groupsFor(ctx context.Context, c auth.Caller, group string, p auth.Permission) ([]string, error) {
	if group != "" {
		_, err := s.Groups.Authorize(ctx, c, group, p)
		return []string{group}, err
	}
	roles, err := s.Roles.RolesOf(ctx, c.UserID)
	if err != nil {
		return nil, err
	}
	found := []string{} // none is not any
	for g, role := range roles {
		if role.May(p) && c.Reaches(g) {
			found = append(found, g)
		}
	}
	slices.Sort(found)
	return found, nil
}

// Find returns the device of that id, in whichever Unicode form, in the group named, or else in the one of
// the caller's groups that knows it: ErrNoDevice, ErrAmbiguous, groups.ErrNoGroup.
// A pending one is there only for those who may let it in.
func (s *Service) Find(ctx context.Context, c auth.Caller, group, id string) (Device, error) {
	in, err := s.groupsFor(ctx, c, group, auth.View)
	if err != nil {
		return Device{}, err
	}
	id = norm.NFC.String(id)
	if in, err = s.Store.GroupsOfDevice(ctx, id, in); err != nil {
		return Device{}, err
	}
	var found []Device
	for _, g := range in {
		d, err := s.Store.Device(ctx, g, id)
		if err == nil && d.State == Pending {
			err = s.mayDecide(ctx, c, g)
		}
		if err == nil {
			found = append(found, d)
		} else if !errors.Is(err, ErrNoDevice) {
			return Device{}, err
		}
	}
	switch len(found) {
	case 0:
		return Device{}, ErrNoDevice
	case 1:
		return found[0], nil
	}
	return Device{}, ErrAmbiguous
}

// mayDecide returns ErrNoDevice to those who may not see pending devices.
func (s *Service) mayDecide(ctx context.Context, c auth.Caller, group string) error {
	_, err := s.Groups.Authorize(ctx, c, group, auth.ManageSettings)
	if fault.KindOf(err) == fault.Forbidden {
		return ErrNoDevice
	}
	return err
}

// Place is where a list of devices goes on; the zero one is its end.
type Place struct{ Device, Group string }

func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(p.Device, o.Device), cmp.Compare(p.Group, o.Group))
}

// List lists devices, by id and then group, after the one of q.After and q.Group:
// those of the group named, else of all of the caller's. Without states asked
// for, the active ones; pending ones only of groups where the caller may let them
// in. It returns where to go on; a search may find fewer than q.Limit, or none,
// before there.
func (s *Service) List(ctx context.Context, c auth.Caller, group string, q DeviceQuery) (found []Device, next Place, err error) {
	p := auth.View
	if slices.Contains(q.States, Pending) {
		p = auth.ManageSettings
	}
	if len(q.States) == 0 {
		q.States = []State{Active}
	}
	in, err := s.groupsFor(ctx, c, group, p)
	if err != nil {
		return nil, Place{}, err
	}
	for _, g := range in {
		page := q
		page.Group, page.Too = g, q.After != "" && g > q.Group
		page.Limit, page.Look = q.Limit+1, max(q.Limit, s.Look/len(in))
		some, looked, err := s.Store.Devices(ctx, page)
		if err != nil {
			return nil, Place{}, err
		}
		found = append(found, some...)
		if at := (Place{looked, g}); looked != "" && (next == Place{} || at.compare(next) < 0) {
			next = at
		}
	}
	slices.SortFunc(found, func(a, b Device) int { return a.place().compare(b.place()) })
	if next != (Place{}) { // beyond, not all groups were looked at
		found = slices.DeleteFunc(found, func(d Device) bool { return d.place().compare(next) > 0 })
	}
	if len(found) > q.Limit {
		found = found[:q.Limit]
		next = found[q.Limit-1].place()
	}
	return found, next, nil
}

func (d Device) place() Place { return Place{d.ID, d.Group} }

// Limits of what people say of a device (docs/http-api.md).
const (
	maxName = 64
	maxTags = 16
	maxTag  = 32
)

// Update changes a device.
func (s *Service) Update(ctx context.Context, c auth.Caller, group, id string, change Change) (Device, error) {
	d, err := s.Find(ctx, c, group, id)
	if err != nil {
		return Device{}, err
	}
	if _, err := s.Groups.Authorize(ctx, c, d.Group, auth.ManageSettings); err != nil {
		return Device{}, err
	}
	if err := change.validate(); err != nil {
		return Device{}, err
	}
	if err := s.Store.UpdateDevice(ctx, d.Group, d.ID, change, s.Now()); err != nil {
		return Device{}, err
	}
	if s.Changed != nil {
		s.Changed(d.Group, d.ID)
	}
	return s.Store.Device(ctx, d.Group, d.ID)
}

func (c *Change) validate() error {
	var errs []error
	if c.Name != nil {
		clean, err := fault.Text("body.name", *c.Name, 0, maxName)
		*c.Name = clean
		errs = append(errs, err)
	}
	if c.Tags != nil {
		if len(*c.Tags) > maxTags {
			errs = append(errs, fault.InvalidField("body.tags", "must have at most %d entries", maxTags))
		}
		for i, tag := range *c.Tags {
			clean, err := fault.Text("body.tags", tag, 1, maxTag)
			(*c.Tags)[i] = clean
			errs = append(errs, err)
		}
	}
	if c.State != nil && *c.State != Active && *c.State != Retired {
		errs = append(errs, fault.InvalidField("body.state", "must be active or retired"))
	}
	return fault.Join(errs...)
}

// History lists a device's events, newest first.
func (s *Service) History(ctx context.Context, c auth.Caller, q EventQuery) ([]Event, error) {
	d, err := s.Find(ctx, c, q.Group, q.Device)
	if err != nil {
		return nil, err
	}
	q.Group, q.Device = d.Group, d.ID
	return s.Store.EventsOf(ctx, q)
}

// Failing lists devices that fail, of the group named or of all of the caller's.
// q.Groups is filled in.
func (s *Service) Failing(ctx context.Context, c auth.Caller, group string, q FailingQuery) ([]Failing, error) {
	var err error
	if q.Groups, err = s.groupsFor(ctx, c, group, auth.View); err != nil {
		return nil, err
	}
	return s.Store.Failing(ctx, q)
}

// maxSums is how many hours or days one answer has.
const maxSums = 1000

// Sums adds up a device's events, or with an empty device the group's, by hours
// or days of device time, the oldest first.
func (s *Service) Sums(ctx context.Context, c auth.Caller, q SumQuery, days bool) ([]Sum, error) {
	if q.Device == "" {
		if _, err := s.Groups.Authorize(ctx, c, q.Group, auth.View); err != nil {
			return nil, err
		}
	} else {
		d, err := s.Find(ctx, c, q.Group, q.Device)
		if err != nil {
			return nil, err
		}
		q.Group, q.Device = d.Group, d.ID
	}
	step := time.Hour
	if days {
		step = 24 * time.Hour
	}
	if q.To.IsZero() {
		q.To = s.Now().Add(MaxAhead)
	}
	if q.From.IsZero() {
		q.From = q.To.Add(-maxSums * step)
	}
	if q.To.Sub(q.From) > (maxSums+1)*step {
		return nil, fault.InvalidField("query.from", "is more than %d hours or days before to", maxSums)
	}
	q.From, q.To = q.From.UTC().Truncate(step), q.To.UTC().Add(step-1).Truncate(step)
	sums, err := s.Store.Sums(ctx, q)
	if days {
		sums = ByDay(sums)
	}
	return sums, err
}

// exportPage is how many events are read at a time.
const exportPage = 1000

// Export returns the pages of the events of a device, newest first, or with an
// empty device of a group, by device id and device time. The right to see them is
// asked for at once, and again with each page.
func (s *Service) Export(ctx context.Context, c auth.Caller, q EventQuery) (iter.Seq2[[]Event, error], error) {
	if q.Device != "" {
		if _, err := s.Find(ctx, c, q.Group, q.Device); err != nil {
			return nil, err
		}
	} else if _, err := s.Groups.Authorize(ctx, c, q.Group, auth.View); err != nil {
		return nil, err
	}
	q.Limit = exportPage
	e := ExportQuery{Group: q.Group, From: q.From, To: q.To, Limit: exportPage}
	next := func() ([]Event, error) {
		if q.Device != "" {
			return s.History(ctx, c, q)
		}
		if _, err := s.Groups.Authorize(ctx, c, q.Group, auth.View); err != nil {
			return nil, err
		}
		return s.Store.GroupEvents(ctx, e)
	}
	return func(yield func([]Event, error) bool) {
		for more := true; more; {
			page, err := next()
			if !yield(page, err) || err != nil {
				return
			}
			if more = len(page) == exportPage; more {
				last := page[len(page)-1]
				q.Before, e.AfterDevice, e.After = last.Mark(), last.Device, last.Mark()
			}
		}
	}, nil
}

// Rules returns the rules of a group.
func (s *Service) Rules(ctx context.Context, c auth.Caller, group string) (Rules, error) {
	if _, err := s.Groups.Authorize(ctx, c, group, auth.View); err != nil {
		return Rules{}, err
	}
	return s.Store.RulesOf(ctx, group)
}

// SetRules replaces the rules of a group.
func (s *Service) SetRules(ctx context.Context, c auth.Caller, group string, r Rules) error {
	if _, err := s.Groups.Authorize(ctx, c, group, auth.ManageSettings); err != nil {
		return err
	}
	if err := r.Validate(); err != nil {
		return err
	}
	return s.Store.SetRules(ctx, group, r)
}

// Alerts lists a group's alerts, newest first.
func (s *Service) Alerts(ctx context.Context, c auth.Caller, q AlertQuery) ([]Alert, error) {
	if _, err := s.Groups.Authorize(ctx, c, q.Group, auth.View); err != nil {
		return nil, err
	}
	return s.Store.Alerts(ctx, q)
}
