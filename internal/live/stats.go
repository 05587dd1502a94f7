package live

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/firmlight/firmlight/internal/background"
)

// Stats sends a group's figures to those who watch it, soon after something of
// it changed, and the installation's to those who watch Admin. It costs nothing
// for what nobody watches.
type Stats struct {
	hub    *Hub
	figure func(ctx context.Context, t Topic) (any, error)
	every  time.Duration
	log    *slog.Logger
	loops  background.Loops
}

// StatsInterval is between two stats events of one topic.
const StatsInterval = 2 * time.Second

// NewStats returns what sends stats events on hub; figure returns the figures of
// a group, or of Admin, as JSON shows them.
func NewStats(hub *Hub, figure func(ctx context.Context, t Topic) (any, error), every time.Duration, log *slog.Logger) *Stats {
	return &Stats{hub: hub, figure: figure, every: every, log: log}
}

// Start begins to send.
func (s *Stats) Start(ctx context.Context) error {
	s.loops.Start(ctx, background.Every(s.every, func(ctx context.Context) {
		for _, t := range s.hub.takeChanged() {
			s.send(ctx, t)
		}
		if all := (Topic{Kind: Admin}); s.hub.Watched(all) {
			s.send(ctx, all)
		}
	}))
	return nil
}

// Stop ends it; it may be called twice, or without Start.
func (s *Stats) Stop(context.Context) error {
	s.loops.Stop()
	return nil
}

// send delivers on this server only: each counts for its own watchers.
func (s *Stats) send(ctx context.Context, t Topic) {
	ctx, cancel := context.WithTimeout(ctx, rightsTimeout)
	defer cancel()
	v, err := s.figure(ctx, t)
	if err != nil {
		s.log.DebugContext(ctx, "no figures for a stats event", "topic", t.String(), "error", err)
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		s.log.ErrorContext(ctx, "figures cannot be encoded", "error", err)
		return
	}
	s.hub.deliver(Event{Type: TypeStats, Topics: []Topic{t}, Key: "stats", Data: b})
}
