package devsync

import (
	"context"
	"time"
)

// Teller hears of alerts. Each is asked again until it returns nil.
type Teller interface {
	Tell(ctx context.Context, n News, r Rules) error
}

// tellPage is how many pieces of news are told at a time.
const tellPage = 100

// TellNews tells what opened and recovered; a cron job on one server calls it.
func (s *Service) TellNews(ctx context.Context) error {
	news, err := s.Store.News(ctx, tellPage)
	if err != nil {
		return err
	}
	for _, n := range news {
		rules, err := s.Store.RulesOf(ctx, n.Group)
		if err != nil {
			return err
		}
		for _, t := range s.Tellers {
			if err := t.Tell(ctx, n, rules); err != nil {
				return err // told again next time; those before hear of it twice
			}
		}
		if err := s.Store.Told(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// OpenSilent opens alerts of devices that are silent for too long; a cron job on
// one server calls it.
func (s *Service) OpenSilent(ctx context.Context) error {
	_, err := s.Store.OpenSilent(ctx, s.Now().UTC().Truncate(time.Millisecond))
	return err
}

// dropPortions bounds one call of DropOld.
const dropPortions = 1000

// DropOld removes events older than keep, by device time, in small portions; a
// cron job on one server calls it.
func (s *Service) DropOld(ctx context.Context, keep time.Duration) error {
	before := s.Now().Add(-keep)
	for range dropPortions {
		more, err := s.Store.DropEvents(ctx, before)
		if err != nil || !more {
			return err
		}
	}
	return nil
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
