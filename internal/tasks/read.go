package tasks

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// Get returns a task; ErrNotFound for an unknown id.
func (s *Service) Get(ctx context.Context, id string) (Task, error) { return s.Store.Get(ctx, id) }

// ListFilter narrows a group's tasks; empty fields do not filter.
type ListFilter struct {
	Group         string
	Status        Status
	Kind          string
	Q             string // words of the title, or an id
	Worker        string // id; parts are listed too, since parents have no worker
	Member        string // who submitted
	CreatedAfter  time.Time
	CreatedBefore time.Time
}

func (f ListFilter) where() Where {
	w := Where{Eq(ColGroup, f.Group)}
	if f.Worker == "" {
		w = append(w, Eq(ColParent, ""))
	}
	text := func(c Column, v string) {
		if v != "" {
			w = append(w, Eq(c, v))
		}
	}
	text(ColKind, f.Kind)
	text(ColWorker, f.Worker)
	text(ColCreatedBy, f.Member)
	if f.Status != "" {
		w = append(w, Eq(ColStatus, f.Status))
	}
	if f.Q != "" {
		w = append(w, Cond{ColTitle, OpWords, f.Q})
	}
	if !f.CreatedAfter.IsZero() {
		w = append(w, Gt(ColCreatedAt, f.CreatedAfter))
	}
	if !f.CreatedBefore.IsZero() {
		w = append(w, Lt(ColCreatedAt, f.CreatedBefore))
	}
	return w
}

// List returns a group's tasks, newest first, with the cursor of the next page
// (empty at the end). It stays right while tasks arrive: ids sort by creation.
func (s *Service) List(ctx context.Context, f ListFilter, cursor string, limit int) ([]Task, string, error) {
	w := f.where()
	if cursor != "" {
		w = append(w, Lt(ColID, cursor))
	}
	ts, err := s.Store.Find(ctx, Query{Where: w, Sort: []Sort{{ColID, true}}, Limit: limit + 1})
	if err != nil || len(ts) <= limit {
		return ts, "", err
	}
	ts = ts[:limit]
	return ts, ts[limit-1].ID, nil
}

// Children returns a parent's parts by index, those after the given one (-1: all).
func (s *Service) Children(ctx context.Context, parent string, after, limit int) ([]Task, error) {
	return s.Store.Find(ctx, Query{
		Where: Where{Eq(ColParent, parent), Gt(ColIndex, after)}, Sort: []Sort{{Column: ColIndex}}, Limit: limit,
	})
}

// ChildCounts counts a parent's parts by status.
func (s *Service) ChildCounts(ctx context.Context, parent string) (map[Status]int, error) {
	return s.Store.CountByStatus(ctx, parent)
}

// Input returns what a task was given; where inputs were, the array of them.
// ErrDropped after its retention.
func (s *Service) Input(ctx context.Context, t Task) (json.RawMessage, error) {
	return s.Payloads.Input(ctx, t.ID)
}

// Output returns a task's result: ErrNoResult before the end, ErrDropped after
// its retention.
func (s *Service) Output(ctx context.Context, t Task) (json.RawMessage, error) {
	if !t.DroppedAt.IsZero() {
		return nil, ErrDropped
	}
	if t.Status != Succeeded {
		return nil, ErrNoResult
	}
	return s.Payloads.Output(ctx, t.ID)
}

// Logs returns lines after a sequence number, and how many were dropped.
func (s *Service) Logs(ctx context.Context, id string, after int64, limit int) ([]LogLine, int64, error) {
	return s.Payloads.Log(ctx, id, after, limit)
}

// Timeline returns all that happened to a task, oldest first: what its history
// kept, and what its row still says.
func (s *Service) Timeline(ctx context.Context, t Task) ([]Entry, error) {
	history, err := s.Payloads.History(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	es := append([]Entry{{At: t.CreatedAt, Event: EvSubmitted}}, history...)
	known := slices.ContainsFunc(history, func(e Entry) bool { return e.Event == EvAssigned && e.Attempt == t.Attempt })
	if t.Attempt > 0 && !known {
		es = append(es, Entry{
			At: t.StartedAt, Event: EvAssigned, Attempt: t.Attempt, Worker: t.WorkerName, Session: t.Session,
		})
	}
	if t.Status.Ended() {
		e := Entry{At: t.FinishedAt, Event: Event(t.Status), Attempt: t.Attempt}
		if t.Attempt > 0 {
			e.Worker, e.Session = t.WorkerName, t.Session
		}
		if t.Error != nil {
			e.Detail = t.Error.Code + ": " + t.Error.Message
		}
		es = append(es, e)
	}
	if !t.DroppedAt.IsZero() {
		es = append(es, Entry{At: t.DroppedAt, Event: EvDropped})
	}
	slices.SortStableFunc(es, func(a, b Entry) int { return a.At.Compare(b.At) })
	return es, nil
}

// MaxWorkerDays is how many rows of a worker's history are shown at most, the newest.
const MaxWorkerDays = 10_000

// WorkerHistory returns what a worker did today and on the days before, newest
// first: so many days (UTC), at most MaxWorkerDays rows.
func (s *Service) WorkerHistory(ctx context.Context, worker string, days int) ([]WorkerDay, error) {
	const day = 24 * time.Hour
	return s.Counts.WorkerDays(ctx, worker, now().Truncate(day).Add(-time.Duration(days-1)*day), MaxWorkerDays)
}

// GroupStats are a group's figures over a window.
type GroupStats struct {
	Counts  map[Status]int // unfinished ones now; ended ones in the window
	Members []MemberStats
	Wait    Histogram
	Run     Histogram
	Step    time.Duration
	Series  []Period // of Step, oldest first, where something ended
}

// Windows up to these are cut into minutes and hours, longer ones into longStep.
const (
	shortWindow = 2 * time.Hour
	midWindow   = 48 * time.Hour
	longStep    = 6 * time.Hour
)

// series returns what ended in a group within a window, step by step.
func (s *Service) series(ctx context.Context, group string, window time.Duration) (step time.Duration, ps []Period, err error) {
	read := s.Counts.Hours
	switch {
	case window <= shortWindow:
		step, read = time.Minute, s.Counts.Minutes
	case window <= midWindow:
		step = time.Hour
	default:
		step = longStep
	}
	ps, err = read(ctx, group, now().Add(-window).Truncate(step))
	return step, inSteps(ps, step), err
}

// Stats returns a group's figures over the last window, to the hour.
func (s *Service) Stats(ctx context.Context, group string, window time.Duration) (GroupStats, error) {
	if window <= 0 {
		return GroupStats{}, fault.InvalidField("window", "must be 1h, 24h or 7d")
	}
	members, h, err := s.Counts.Stats(ctx, group, now().Add(-window))
	if err != nil {
		return GroupStats{}, err
	}
	counts, err := s.Counts.Depth(ctx, group)
	if err != nil {
		return GroupStats{}, err
	}
	step, series, err := s.series(ctx, group, window)
	if err != nil {
		return GroupStats{}, err
	}
	for _, m := range members {
		counts[Succeeded] += int(m.Succeeded)
		counts[Failed] += int(m.Failed)
		counts[Cancelled] += int(m.Cancelled)
	}
	return GroupStats{Counts: counts, Members: members, Wait: h.Wait, Run: h.Run, Step: step, Series: series}, nil
}
