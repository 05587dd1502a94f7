package devsync

import (
	"context"
	"time"
)

// Teller hears of alerts. Each is asked again until it returns nil.
type Teller interface {
	Tell(ctx context.Context, n News, r Rules) error
}

// tellPage is how many pieces of news are read at a time.
const tellPage = 100

// TellNews tells what opened and recovered; a cron job on one server calls it.
func (s *Service) TellNews(ctx context.Context) error {
	for {
		news, err := s.Store.News(ctx, tellPage)
		if err != nil {
			return err
		}
		for _, n := range news {
			if err := s.tell(ctx, n); err != nil {
				return err // told again next time; those before hear of it twice
			}
		}
		if len(news) < tellPage {
			return nil
		}
	}
}

func (s *Service) tell(ctx context.Context, n News) error {
	rules, err := s.Store.RulesOf(ctx, n.Group)
	if err != nil {
		return err
	}
	for _, t := range s.Tellers {
		if err := t.Tell(ctx, n, rules); err != nil {
			return err
		}
	}
	return s.Store.Told(ctx, n)
}

// OpenSilent opens alerts of devices that are silent for too long; a cron job on
// one server calls it.
func (s *Service) OpenSilent(ctx context.Context) error {
	_, err := s.Store.OpenSilent(ctx, s.Now().UTC().Truncate(time.Millisecond))
	return err
}

// DropOld removes events older than keep, by device time, in small portions until
// ctx ends; a cron job on one server calls it. It goes by whole hours, so that a
// device is looked at once for all its events of an hour.
func (s *Service) DropOld(ctx context.Context, keep time.Duration) error {
	before := s.Now().Add(-keep).Truncate(time.Hour)
	for {
		more, err := s.Store.DropEvents(ctx, before)
		if err != nil || !more {
			return err
		}
	}
}

// Forget removes the devices of a group that was deleted.
func (s *Service) Forget(ctx context.Context, group string) error {
	for {
		more, err := s.Store.DeleteDevices(ctx, group)
		if err != nil || !more {
			return err
		}
	}
}
