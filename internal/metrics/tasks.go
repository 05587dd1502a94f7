package metrics

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// Tasks returns s with its transitions counted: the store decides what happened,
// so that nothing counts twice.
func (m *Metrics) Tasks(s tasks.Store) tasks.Store { return countedTasks{s, m} }

type countedTasks struct {
	tasks.Store
	m *Metrics
}

// Insert implements tasks.Store.
func (s countedTasks) Insert(ctx context.Context, ts ...tasks.New) ([]tasks.Inserted, error) {
	out, err := s.Store.Insert(ctx, ts...)
	n := 0
	for _, i := range out {
		if !i.Existed && !i.Task.IsParent() {
			n++
		}
	}
	s.m.count(submitted, n)
	return out, err
}

// Claim implements tasks.Store.
func (s countedTasks) Claim(ctx context.Context, tr tasks.Transition) (tasks.Task, []byte, bool, error) {
	t, input, ok, err := s.Store.Claim(ctx, tr)
	if ok && err == nil {
		s.m.count(assigned, 1)
		s.m.dispatch.Observe(max(0, t.StartedAt.Sub(t.RunAt).Seconds()))
	}
	return t, input, ok, err
}

// attemptEnded counts how an attempt ended: with a result, or taken back.
func (m *Metrics) attemptEnded(t tasks.Task, tr tasks.Transition) {
	if !tr.Failover.IsZero() {
		m.lost[tr.Cause].Inc()
	}
	var outcome tasks.Status
	switch {
	case tr.Name == "succeed":
		outcome = tasks.Succeeded
	case tr.Name == "fail" && t.Status != tasks.Cancelled:
		outcome = tasks.Failed
	default:
		return
	}
	// The claim may have been by another server's clock.
	m.run[outcome].Observe(max(0, time.Since(t.StartedAt).Seconds()))
}

// Apply implements tasks.Store.
func (s countedTasks) Apply(ctx context.Context, tr tasks.Transition) (tasks.Task, bool, error) {
	t, ok, err := s.Store.Apply(ctx, tr)
	if !ok || err != nil || t.IsParent() {
		return t, ok, err
	}
	s.m.attemptEnded(t, tr)
	if t.Status.Ended() {
		s.m.ended(t.Status)
		return t, ok, err
	}
	for _, entry := range tr.History {
		switch entry.Event {
		case tasks.EvReassigned:
			s.m.count(reassigned, 1)
		case tasks.EvRetried, tasks.EvTimedOut:
			s.m.count(retried, 1)
		}
	}
	return t, ok, err
}
