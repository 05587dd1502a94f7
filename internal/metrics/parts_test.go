package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/tasks"
)

func (m *Metrics) text(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return w.Body.String()
}

func (m *Metrics) want(t *testing.T, lines ...string) {
	t.Helper()
	got := m.text(t)
	for _, l := range lines {
		if !strings.Contains(got, "\n"+l+"\n") {
			t.Errorf("no %q", l)
		}
	}
}

// answers is how often Redis answered.
func (m *Metrics) answers(t *testing.T) (n int) {
	t.Helper()
	_, rest, _ := strings.Cut(m.text(t), "\nfirmlight_redis_seconds_count{outcome=\"ok\"} ")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRedis: an answer counts as one also where it is none or a refusal; a server
// that is gone does not.
func TestRedis(t *testing.T) {
	m := New(slog.New(slog.DiscardHandler))
	_, server := redistest.Start(t)
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1, Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer client.Close()
	client.AddHook(m.Redis())
	ctx := t.Context()
	p := client.Pipeline()
	pipe := func() {
		p.Set(ctx, "k", "v", 0)
		p.Get(ctx, "k")
		if _, err := p.Exec(ctx); err != nil {
			t.Fatal(err)
		}
	}
	pipe()
	if err := client.Get(ctx, "k").Err(); err != nil { // pipelines have a connection of their own, which each opens
		t.Fatal(err)
	}
	before := m.answers(t)
	if err := client.Get(ctx, "none").Err(); !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	if err := client.EvalSha(ctx, "unknown", nil).Err(); err == nil {
		t.Fatal("an unknown script ran")
	}
	pipe()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := client.Get(gone, "k").Err(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := m.answers(t) - before; n != 3 {
		t.Errorf("%d answers, want 3", n)
	}
	m.want(t, `firmlight_redis_seconds_count{outcome="error"} 0`)
	server.Kill()
	if err := client.Get(ctx, "k").Err(); err == nil {
		t.Fatal("Redis answers after it was killed")
	}
	if n := m.answers(t) - before; n != 3 {
		t.Errorf("%d answers after it was killed, want 3", n)
	}
	m.want(t, `firmlight_redis_seconds_count{outcome="error"} 1`)
}

// TestOldest: paused queues and those in which nothing is due do not count; where
// the store does not answer the others of its metrics are there.
func TestOldest(t *testing.T) {
	now := time.Now()
	queues := []tasks.QueueState{
		{Oldest: now.Add(-time.Hour), PausedAt: now}, {}, {Oldest: now.Add(-90 * time.Second)}, {Oldest: now.Add(-time.Second)},
	}
	var away error
	m := New(slog.New(slog.DiscardHandler))
	m.Watch(Parts{
		Workers: func() Workers { return Workers{} }, Clients: func() int { return 0 },
		WriteDelay: func() time.Duration { return 0 }, Writes: func() (int64, int64) { return 0, 0 },
		Unaudited: func() int64 { return 0 }, Spans: func() (int64, int64) { return 5, 3 }, Redis: func(context.Context) error { return nil },
		Tasks:  func(context.Context) (Tasks, error) { return Tasks{Queued: 7}, nil },
		Queues: func(context.Context) ([]tasks.QueueState, error) { return queues, away },
	})
	const queued, oldest = `firmlight_tasks{status="queued"} 7`, "\nfirmlight_queue_oldest_seconds "
	m.want(t, queued, "firmlight_trace_spans_sent_total 5", "firmlight_trace_spans_dropped_total 3")
	_, rest, _ := strings.Cut(m.text(t), oldest)
	var age float64
	if _, err := fmt.Sscan(rest, &age); err != nil || age < 90 || age > 1000 {
		t.Errorf("%g s, %v: not the oldest of those that wait", age, err)
	}
	queues = nil
	m.want(t, "firmlight_queue_oldest_seconds 0")
	away = errors.New("away")
	m.want(t, queued)
	if strings.Contains(m.text(t), oldest) {
		t.Error("an age, though the store is away")
	}
}
