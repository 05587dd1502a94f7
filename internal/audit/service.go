package audit

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/background"
)

// Options is what a Service needs; everything is required unless said otherwise.
type Options struct {
	Store     Store
	Retention time.Duration
	Now       func() time.Time
	Log       *slog.Logger
	// Told, if set, hears of each entry once it is written, or could not be: what it
	// tells of has happened either way. It must not block.
	Told func(Entry)
}

// Service is the audit log of one server. It is safe for concurrent use.
type Service struct {
	opt    Options
	flood  *flood
	failed atomic.Int64
	loops  background.Loops
}

const (
	writeTime = 5 * time.Second // for one entry
	portion   = 200             // entries deleted or exported at a time
)

// NewService makes a Service that Start starts.
func NewService(o Options) *Service {
	return &Service{opt: o, flood: newFlood()}
}

// Start begins to write, at the end of each minute, what Record left out.
func (s *Service) Start(ctx context.Context) error {
	s.loops.Start(ctx, background.Every(floodWindow, func(ctx context.Context) {
		s.Flush(context.WithoutCancel(ctx)) // what it has taken must not be lost to a stop
	}))
	return nil
}

// Stop writes what is left, at most until ctx ends.
func (s *Service) Stop(ctx context.Context) error {
	s.loops.Stop()
	s.Flush(ctx)
	return nil
}

// Record writes an entry, whose ID it makes, and returns when it is durable or
// has failed: what happened stands either way, and the failure is logged. Too
// many refused attempts are counted instead (flood.go).
func (s *Service) Record(ctx context.Context, e Entry) {
	e.ID = newID()
	if e.Outcome == OK || s.flood.admit(e, s.opt.Now()) {
		s.write(ctx, e)
	}
}

// write goes on when the client has left.
func (s *Service) write(ctx context.Context, e Entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	if err := s.opt.Store.InsertEntry(ctx, e); err != nil {
		s.failed.Add(1)
		s.opt.Log.ErrorContext(ctx, "audit entry not written", "action", e.Action, "outcome", e.Outcome,
			"user_id", e.Actor, "target", e.Target, "request_id", e.RequestID, "error", err)
	}
	if s.opt.Told != nil {
		s.opt.Told(e)
	}
}

// Flush ends the minute of refused attempts: what was left out of it is written
// as a few entries with a count.
func (s *Service) Flush(ctx context.Context) {
	for _, e := range s.flood.take(s.opt.Now()) {
		if ctx.Err() == nil {
			s.write(ctx, e)
		}
	}
}

// Failed returns how many entries could not be written since the start.
func (s *Service) Failed() int64 { return s.failed.Load() }

// List returns what matches, newest first, those with an id below before.
func (s *Service) List(ctx context.Context, f Filter, before string, limit int) ([]Entry, error) {
	return s.opt.Store.Entries(ctx, f, before, limit)
}

// Export yields everything that matches, newest first, in pages; entries
// that come meanwhile are not in it. An error is the last thing it yields.
func (s *Service) Export(ctx context.Context, f Filter) iter.Seq2[[]Entry, error] {
	return func(yield func([]Entry, error) bool) {
		for before := ""; ; {
			page, err := s.opt.Store.Entries(ctx, f, before, portion)
			if !yield(page, err) || err != nil || len(page) < portion {
				return
			}
			before = page[len(page)-1].ID
		}
	}
}

// Prune deletes what is older than the retention, a little at a time; a cron job
// calls it.
func (s *Service) Prune(ctx context.Context) error {
	before := s.opt.Now().Add(-s.opt.Retention)
	for {
		n, err := s.opt.Store.DeleteEntries(ctx, before, portion)
		if err = errors.Join(err, ctx.Err()); err != nil || n < portion {
			return err
		}
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
