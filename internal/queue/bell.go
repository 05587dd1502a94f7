package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/redis/go-redis/v9"
)

// channel carries the doorbell to all servers.
const channel = "firmlight:wake"

// Wake says that there is something in a pair's queues, or will be.
type Wake struct {
	Pair  tasks.Pair
	Lanes [Lanes]bool // which of its queues
	At    time.Time   // when; zero: now
}

// String is the wake as published: group, kind, target or -, the queues by
// their first letters, and the time in Unix milliseconds or 0.
func (w Wake) String() string {
	var b strings.Builder
	target := w.Pair.Target
	if target == "" {
		target = "-"
	}
	b.WriteString(w.Pair.Group + " " + w.Pair.Kind + " " + target + " ")
	for i, rung := range w.Lanes {
		if rung {
			b.WriteByte(tasks.Priorities[i][0])
		}
	}
	at := int64(0)
	if !w.At.IsZero() {
		at = w.At.UnixMilli()
	}
	b.WriteString(" " + strconv.FormatInt(at, 10))
	return b.String()
}

func parseWake(s string) (Wake, error) {
	f := strings.Fields(s)
	if len(f) != 5 {
		return Wake{}, fmt.Errorf("queue: not a wake: %q", s)
	}
	w := Wake{Pair: tasks.Pair{Group: f[0], Kind: f[1], Target: strings.TrimPrefix(f[2], "-")}}
	for i, pr := range tasks.Priorities {
		w.Lanes[i] = strings.Contains(f[3], string(pr)[:1])
	}
	at, err := strconv.ParseInt(f[4], 10, 64)
	if err != nil {
		return Wake{}, fmt.Errorf("queue: not a wake: %w", err)
	}
	if at != 0 {
		w.At = time.UnixMilli(at).UTC()
	}
	return w, nil
}

// bells collects what to ring: per pair once for now and once for the earliest
// time to come.
type bells map[bellKey]Wake

type bellKey struct {
	pair  tasks.Pair
	later bool
}

func (b bells) add(p tasks.Pair, pr tasks.Priority, at time.Time) {
	k := bellKey{p, !at.IsZero()}
	w, ok := b[k]
	if !ok || at.Before(w.At) {
		w.Pair, w.At = p, at
	}
	w.Lanes[Lane(pr)] = true
	b[k] = w
}

func (b bells) wakes() []Wake {
	ws := make([]Wake, 0, len(b))
	for _, w := range b {
		ws = append(ws, w)
	}
	return ws
}

// Ring wakes the servers that have workers for a pair's queue.
func (q *Queue) Ring(ctx context.Context, p tasks.Pair, prs ...tasks.Priority) error {
	w := Wake{Pair: p}
	for _, pr := range prs {
		w.Lanes[Lane(pr)] = true
	}
	return q.ring(ctx, w)
}

func (q *Queue) ring(ctx context.Context, ws ...Wake) error {
	if len(ws) == 1 {
		return q.client.Publish(ctx, channel, ws[0].String()).Err()
	}
	_, err := q.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, w := range ws {
			p.Publish(ctx, channel, w.String())
		}
		return nil
	})
	return err
}

// Of the one pub/sub connection. A silent one is asked after quietAfter and
// given up after twice that.
const (
	quietAfter   = 3 * time.Second
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// Listen calls heard for every wake until ctx ends, and missed each time that
// it has connected anew: what was rung before is unknown then. Both are called
// from one goroutine and must not block.
func (q *Queue) Listen(ctx context.Context, heard func(Wake), missed func()) {
	pause := firstPause
	for ctx.Err() == nil {
		connected, err := q.listenOnce(ctx, heard, missed)
		if connected {
			pause = firstPause
		}
		if ctx.Err() != nil {
			return
		}
		q.log.WarnContext(ctx, "doorbell lost, connecting again", "error", err, "pause", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// listenOnce serves one connection to its end.
func (q *Queue) listenOnce(ctx context.Context, heard func(Wake), missed func()) (connected bool, err error) {
	sub := q.client.Subscribe(ctx, channel)
	// A read does not heed ctx. The connection goes either way, with or without error.
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		stop()
		_ = sub.Close()
	}()
	asked := false
	for {
		m, err := sub.ReceiveTimeout(ctx, quietAfter)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout() && !asked:
			if err := sub.Ping(ctx); err != nil {
				return connected, err
			}
			asked = true
			continue
		case err != nil:
			return connected, err
		}
		asked = false
		switch m := m.(type) {
		case *redis.Subscription: // ours, or go-redis's own after it connected again
			connected = true
			missed()
		case *redis.Message:
			w, err := parseWake(m.Payload)
			if err != nil {
				q.log.WarnContext(ctx, "doorbell", "error", err)
				continue
			}
			heard(w)
		}
	}
}
