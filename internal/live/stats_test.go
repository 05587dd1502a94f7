package live

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

func TestStatsFollowChangesOfWatchedGroups(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	watched, broken := Topic{Group, newID()}, Topic{Group, newID()}
	asked := make(chan Topic, 10)
	stats := NewStats(s.hub, func(_ context.Context, t Topic) (any, error) {
		asked <- t
		if t == broken {
			return nil, errors.New("store away")
		}
		return map[string]int{"queued": 1}, nil
	}, 5*time.Millisecond, slog.New(slog.DiscardHandler))
	if err := stats.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer stats.Stop(t.Context())

	p := s.open("user=u")
	p.subscribe(watched.String(), broken.String())
	s.hub.TaskChanged(tasks.Task{ID: newID(), Group: newID()}) // watched by nobody
	for _, topic := range []Topic{broken, watched} {
		s.hub.TaskChanged(tasks.Task{ID: newID(), Group: topic.ID})
		if got := <-asked; got != topic {
			t.Errorf("asked for the figures of %s, want %s", got, topic)
		}
	}
	if m := p.until(TypeStats); m.Topic != watched.String() || string(m.Stats) != `{"queued":1}` {
		t.Errorf("got %+v, want the figures", m)
	}
	if err := stats.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(asked); n != 0 {
		t.Errorf("asked %d times more without a change", n)
	}
}

// TestStatsOfTheInstallation: they come by the clock, while somebody watches.
func TestStatsOfTheInstallation(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	asked := make(chan Topic, 1000)
	stats := NewStats(s.hub, func(_ context.Context, t Topic) (any, error) {
		asked <- t
		return map[string]int{"users": 1}, nil
	}, 5*time.Millisecond, slog.New(slog.DiscardHandler))
	if err := stats.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer stats.Stop(t.Context())

	p := s.open("user=u")
	group := Topic{Group, newID()}
	p.subscribe(group.String())
	s.hub.TaskChanged(tasks.Task{ID: newID(), Group: group.ID})
	if got := <-asked; got != group {
		t.Errorf("asked for the figures of %s: nobody watches them", got)
	}
	p.until(TypeStats)
	p.subscribe("admin")
	for range 2 {
		if m := p.until(TypeStats); m.Topic != "admin" || string(m.Stats) != `{"users":1}` {
			t.Errorf("got %+v, want the installation's figures", m)
		}
	}
}
