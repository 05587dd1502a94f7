package notify

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Options are what a Service stands on.
type Options struct {
	Store  Store
	Groups Groups
	Live   Live
	Log    *slog.Logger
}

// Service writes notifications, and shows them to their users. It is safe for
// concurrent use.
type Service struct {
	Options
	wake chan struct{} // has a token while something waits

	mu      sync.Mutex // guards what follows
	waiting waiting
	quit    context.CancelFunc // of run; nil before Start
	end     context.CancelFunc // of what run writes
	wg      sync.WaitGroup
}

// New returns a Service that must be started.
func New(o Options) *Service {
	return &Service{Options: o, wake: make(chan struct{}, 1), waiting: newWaiting()}
}

// Start begins to write.
func (s *Service) Start(ctx context.Context) error {
	writes, end := context.WithCancel(context.WithoutCancel(ctx))
	running, quit := context.WithCancel(writes)
	s.mu.Lock()
	s.quit, s.end = quit, end
	s.mu.Unlock()
	s.wg.Go(func() { s.run(running, writes) })
	return nil
}

// Stop writes what waits, at most until ctx ends. It may be called twice, or
// without a Start.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	quit, end := s.quit, s.end
	s.quit, s.end = nil, nil
	s.mu.Unlock()
	if quit == nil {
		return nil
	}
	quit()
	defer context.AfterFunc(ctx, end)()
	s.wg.Wait()
	s.flush(ctx)
	end()
	return ctx.Err()
}

// List lists a user's notifications after a place, those that changed last first.
func (s *Service) List(ctx context.Context, user string, unread bool, after Place, limit int) ([]Notification, error) {
	return s.Store.List(ctx, user, unread, after, limit)
}

// Unread returns how many a user has not read.
func (s *Service) Unread(ctx context.Context, user string) (int, error) {
	unread, _, err := s.Store.Count(ctx, user)
	return unread, err
}

// Read marks those of a user's with these ids, or nil for all, and returns how
// many are still unread. Ids that are not there are passed over.
func (s *Service) Read(ctx context.Context, user string, ids []string) (unread int, err error) {
	n, err := s.Store.Read(ctx, user, ids)
	if err != nil {
		return 0, err
	}
	if n > 0 {
		s.fewer(user)
	}
	return s.Unread(ctx, user)
}

// Delete deletes one of a user's: ErrNone.
func (s *Service) Delete(ctx context.Context, user, id string) error {
	if err := s.Store.Delete(ctx, user, id); err != nil {
		return err
	}
	s.fewer(user)
	return nil
}

// UserSettings returns what a user does not want to hear of.
func (s *Service) UserSettings(ctx context.Context, user string) (Settings, error) {
	return s.Store.Settings(ctx, user)
}

// SetSettings replaces them; what it refuses names the fields. Groups that the
// user has left may stay in them.
func (s *Service) SetSettings(ctx context.Context, user string, set Settings) error {
	mine, err := s.Groups.RolesOf(ctx, user)
	if err != nil {
		return err
	}
	before, err := s.Store.Settings(ctx, user)
	if err != nil {
		return err
	}
	if err := set.validate(func(group string) bool { return mine[group] != "" || before.names(group) }); err != nil {
		return err
	}
	return s.Store.SetSettings(ctx, user, set)
}

// Forget deletes all that is kept for a user; call it when the user is deleted.
func (s *Service) Forget(ctx context.Context, user string) error {
	s.mu.Lock()
	s.waiting.forget(user)
	s.mu.Unlock()
	return s.Store.Forget(ctx, user)
}

// sweepPortion is how many one write of Sweep deletes.
const sweepPortion = 200

// Sweep deletes what has not changed for Keep.
func (s *Service) Sweep(ctx context.Context) error {
	before := now().Add(-Keep)
	for {
		n, err := s.Store.Expire(ctx, before, sweepPortion)
		if err != nil || n < sweepPortion {
			return err
		}
	}
}

// now is the time as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
