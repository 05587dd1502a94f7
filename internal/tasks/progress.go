package tasks

import (
	"context"
	"errors"
	"sync"
	"time"
)

// progressBook collects progress and writes the newest of each task once a
// second: a worker may report many times a second, the store need not know.
type progressBook struct {
	mu     sync.Mutex
	newest map[string]Task // by task id
}

func newProgressBook() *progressBook { return &progressBook{newest: map[string]Task{}} }

func (b *progressBook) note(t Task) {
	b.mu.Lock()
	b.newest[t.ID] = t
	b.mu.Unlock()
}

func (b *progressBook) forget(id string) {
	b.mu.Lock()
	delete(b.newest, id)
	b.mu.Unlock()
}

func (b *progressBook) take() []Task {
	b.mu.Lock()
	defer b.mu.Unlock()
	ts := make([]Task, 0, len(b.newest))
	for _, t := range b.newest {
		ts = append(ts, t)
	}
	clear(b.newest)
	return ts
}

// keepProgress writes what the book has taken since the last time.
func (s *Service) keepProgress(ctx context.Context) {
	err := inParallel(s.progress.take(), func(t Task) error {
		_, _, err := s.Store.Apply(ctx, noteProgress(t))
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.Logger.WarnContext(ctx, "progress not kept", "error", err)
	}
}

// noteProgress keeps what an attempt, or an open parent, last reported.
func noteProgress(t Task) Transition {
	tr := Transition{
		Name: "progress", Task: t.ID, If: owned(t),
		Set: []Assign{Set(ColPercent, t.Percent), Set(ColMessage, t.Message)},
	}
	if t.IsParent() {
		tr.If = Where{In(ColStatus, Unfinished...), Eq(ColGen, t.Gen)}
	}
	return tr
}

// maxParallel bounds how many store operations a sweep has under way: enough to
// share commits.
const maxParallel = 64

// inParallel calls f for each item, several at a time, and joins the errors.
func inParallel[T any](items []T, f func(T) error) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
		free = make(chan struct{}, maxParallel)
	)
	for _, it := range items {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			if err := f(it); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// progressEvery is how often progress reaches the store.
const progressEvery = time.Second
