package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"
)

const echoBytes = 400 // about an assign

// limit is a part of an idle dispatch without anything around it.
type limit struct {
	what string
	once func(ctx context.Context) error
	end  func()
}

// limits measures the parts as P5 does the whole: one after the other, each on an idle
// machine.
func (b *bench) limits(ctx context.Context) ([]row, error) {
	var rows []row
	for _, start := range []func(context.Context) (limit, error){b.bareHandler, b.bareRedis, b.bareCommit, bareEcho} {
		l, err := start(ctx)
		if err != nil {
			return rows, err
		}
		rows, err = b.measure(ctx, l, rows)
		l.end()
		if err != nil {
			return rows, fmt.Errorf("%s: %w", l.what, err)
		}
	}
	return rows, nil
}

func (b *bench) measure(ctx context.Context, l limit, rows []row) ([]row, error) {
	var p50, p99 []float64
	for range b.rounds {
		times := make([]float64, pick(b.short, 100, 500))
		for i := range times {
			began := time.Now()
			if err := l.once(ctx); err != nil {
				return rows, err
			}
			times[i] = millis(time.Since(began))
			pause(ctx, idlePause)
		}
		p50, p99 = append(p50, percentile(times, 50)), append(p99, percentile(times, 99))
	}
	r := newRow("P5", "limit: "+l.what+", p50", "ms", p50...)
	return append(rows, r.note("p99 %s ms", number(newRow("", "", "", p99...).Median))), nil
}

// bareHandler is a request with a task, answered by net/http alone.
func (b *bench) bareHandler(context.Context) (limit, error) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	address := strings.TrimPrefix(s.URL, "http://")
	c, err := dial(address)
	if err != nil {
		s.Close()
		return limit{}, err
	}
	request := post{address, "/", "token", loadTask}.bytes()
	return limit{
		what: "a request to a bare handler",
		once: func(context.Context) error { _, err := c.do(request); return err },
		end:  func() { c.Close(); s.Close() },
	}, nil
}

// bareRedis is a command to Redis and its answer.
func (b *bench) bareRedis(ctx context.Context) (limit, error) {
	dir, err := b.temp("redis")
	if err != nil {
		return limit{}, err
	}
	s, address, err := startRedis(ctx, dir)
	if err != nil {
		return limit{}, err
	}
	c := redis.NewClient(&redis.Options{Addr: address})
	return limit{
		what: "a round trip to Redis",
		once: func(ctx context.Context) error { return c.Ping(ctx).Err() },
		end:  func() { _ = c.Close(); s.Kill() },
	}, nil
}

// bareCommit is a row that is on the disk.
func (b *bench) bareCommit(ctx context.Context) (limit, error) {
	a, err := b.startAlone(ctx, false)
	if err != nil {
		return limit{}, err
	}
	return limit{
		what: "one row committed to SQLite",
		once: func(ctx context.Context) error {
			a.sent++
			_, err := a.db.ExecContext(ctx, aloneInsert, a.sent, aloneFirst+a.sent, 0, 12, 0, 3500)
			return err
		},
		end: a.stop,
	}, nil
}

// bareEcho is a message as long as an assign, there and back over a WebSocket.
func bareEcho(ctx context.Context) (limit, error) {
	var up websocket.Upgrader
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // answered
		}
		defer ws.Close()
		for {
			kind, data, err := ws.ReadMessage()
			if err != nil || ws.WriteMessage(kind, data) != nil {
				return
			}
		}
	}))
	ws, resp, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		s.Close()
		return limit{}, err
	}
	_ = resp.Body.Close()
	message := []byte(strings.Repeat("x", echoBytes))
	return limit{
		what: "an echo over a WebSocket",
		once: func(context.Context) error {
			err := ws.WriteMessage(websocket.TextMessage, message)
			if err == nil {
				_, _, err = ws.ReadMessage()
			}
			return err
		},
		end: func() { _ = ws.Close(); s.Close() },
	}, nil
}
