package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/internal/live"
)

const (
	watchedGroups = 100
	watchUsers    = 10 // each watches every group on a connection of its own
	watchBatch    = 20 // tasks of a request
	watchEvents   = 5000
	// As many people submit at once: fewer would send less where answers take longer,
	// and the rate would be a measure of that.
	watchSubmitters = 32
	stepsOfTask     = 3 // submitted, assigned, succeeded
	deafEach        = 10
	watchWarmUp     = 3 * time.Second
	watchRound      = 10 * time.Second
)

// watchers is P10: tasks at a fixed rate, spread over the groups, with nobody
// watching, with everybody, and with every tenth watcher not reading.
func (b *bench) watchers(ctx context.Context) ([]row, error) {
	s, err := b.startArena(ctx, realRedis)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if _, err := s.round(ctx, watchWarmUp); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	var results [3][]watchResult
	scenes := []string{"nobody watches", "all watch", fmt.Sprintf("one of %d does not read", deafEach)}
	for i := range b.rounds {
		for k, scene := range scenes {
			got, err := s.scene(ctx, pick(b.short, watchRound/5, watchRound), pick(k > 0, watchedGroups*watchUsers, 0), k > 1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", scene, err)
			}
			b.say("  round %d of %d: %s: %s steps/s, dispatch p50 %s ms, p99 %s ms, %s frames/s, server %s %% of a core%s", i+1, b.rounds, scene,
				number(got.steps), number(got.p50), number(got.p99), number(got.frames), number(got.core), remarked(s.tally.remarks()))
			results[k] = append(results[k], got)
		}
	}
	stages, err := b.stages(ctx, s.rig, "P10", taskStages, func() (time.Duration, error) {
		got, err := s.scene(ctx, watchRound, watchedGroups*watchUsers, false)
		return got.perTask(), err
	})
	if err != nil {
		return nil, err
	}
	return watchRows(scenes, results, stages), nil
}

// watchRows are a round's figures and what of them counts; stages is a note on all
// watching.
func watchRows(scenes []string, results [3][]watchResult, stages string) []row {
	line := func(k int, what, unit string, of func(watchResult) float64) row {
		values := make([]float64, len(results[k]))
		for i, r := range results[k] {
			values[i] = of(r)
		}
		return newRow("P10", scenes[k]+": "+what, unit, values...)
	}
	var rows, done []row
	for k := range scenes {
		steps := line(k, "steps of tasks", "/s", func(r watchResult) float64 { return r.steps })
		p50 := line(k, "request → assign, p50", "ms", func(r watchResult) float64 { return r.p50 })
		p99 := line(k, "request → assign, p99", "ms", func(r watchResult) float64 { return r.p99 })
		frames := line(k, "", "", func(r watchResult) float64 { return r.frames })
		core := line(k, "", "", func(r watchResult) float64 { return r.core })
		rows = append(rows, steps.note("%s frames/s to watchers, the server uses %s %% of a core", number(frames.Median), number(core.Median)), p50, p99)
		done = append(done, steps)
	}
	rows[3] = rows[3].note("%s", stages)
	return append(rows,
		against("P10", "steps/s with all watching / with nobody", done[1], done[0], 0.95),
		against("P10", fmt.Sprintf("steps/s, one of %d not reading / nobody watching", deafEach), done[2], done[0], 0.95))
}

// arena is a server with many groups, workers for all, and people who may watch.
type arena struct {
	*rig
	tally   *tally
	leave   func()
	groups  []string
	tokens  []string // of the watchers
	assigns sync.Map // task → time.Time
	frames  atomic.Int64
}

func (b *bench) startArena(ctx context.Context, on backend) (*arena, error) {
	r, err := b.start(ctx, on)
	if err != nil {
		return nil, err
	}
	s := &arena{rig: r, tally: &tally{}}
	s.tally.start()
	if err := s.fill(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *arena) stop() {
	if s.leave != nil {
		s.leave()
	}
	s.rig.stop()
}

// fill makes groups, people and workers.
func (s *arena) fill(ctx context.Context) error {
	var people []*kit.Client
	for i := range watchUsers {
		c, err := kit.Register(ctx, s.URL, fmt.Sprintf("watcher-%d", i), "bench-password")
		if err != nil {
			return err
		}
		people, s.tokens = append(people, c), append(s.tokens, c.Token)
	}
	for i := range watchedGroups {
		group, err := s.user.Group(ctx, fmt.Sprintf("Watched %d", i))
		if err != nil {
			return err
		}
		var link struct{ Code string }
		if err := s.user.Do(ctx, http.MethodPost, "/groups/"+group+"/invite-links",
			map[string]any{"max_uses": watchUsers, "role": "viewer"}, &link); err != nil {
			return err
		}
		for _, c := range people {
			if err := c.Do(ctx, http.MethodPost, "/invite-links/"+link.Code+"/join", nil, nil); err != nil {
				return err
			}
		}
		s.groups = append(s.groups, group)
	}
	var all []*loadWorker
	s.leave = func() {
		for _, w := range all {
			w.close()
		}
	}
	for i := range loadSockets {
		w, err := s.connectWorker(ctx, fmt.Sprintf("load-%d", i), loadKind, loadSlots, s.tally, func(task string, at time.Time) { s.assigns.Store(task, at) })
		if err != nil {
			return err
		}
		all = append(all, w)
	}
	return nil
}

// watchResult is one round.
type watchResult struct {
	steps, frames float64 // per second
	p50, p99      float64 // ms from the start of a request to the assign of its tasks
	core          float64 // % of one, that the server used
}

// perTask is the server's CPU for a task.
func (r watchResult) perTask() time.Duration {
	return time.Duration(r.core / 100 * stepsOfTask / r.steps * float64(time.Second))
}

// scene is a round with so many watchers, at most one for each person and group.
func (s *arena) scene(ctx context.Context, length time.Duration, watchers int, someDeaf bool) (watchResult, error) {
	var sockets []*websocket.Conn
	var reading sync.WaitGroup
	defer func() {
		for _, ws := range sockets {
			_ = ws.Close()
		}
		reading.Wait()
	}()
	for i := range watchers {
		ws, err := s.watch(ctx, s.tokens[i/watchedGroups], s.groups[i%watchedGroups])
		if err != nil {
			return watchResult{}, fmt.Errorf("watcher %d: %w", i, err)
		}
		sockets = append(sockets, ws)
		if !someDeaf || i%deafEach != 0 {
			reading.Go(func() { s.read(ws) })
		}
	}
	return s.round(ctx, length)
}

// watch opens a live connection that is subscribed to a group.
func (r *rig) watch(ctx context.Context, token, group string) (*websocket.Conn, error) {
	d := websocket.Dialer{Subprotocols: []string{live.Subprotocol}, HandshakeTimeout: 10 * time.Second}
	ws, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(r.URL, "http")+"/api/v1/live",
		http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","topics":["group:`+group+`"]}`)); err != nil {
		return nil, errors.Join(err, ws.Close())
	}
	_, frame, err := ws.ReadMessage()
	if err == nil && !strings.HasPrefix(string(frame), `{"type":"subscribed"`) {
		err = fmt.Errorf("got %.200s", frame)
	}
	if err != nil {
		return nil, errors.Join(err, ws.Close())
	}
	return ws, nil
}

// read counts frames until the connection ends.
func (s *arena) read(ws *websocket.Conn) {
	for {
		if _, _, err := ws.NextReader(); err != nil {
			return
		}
		s.frames.Add(1)
	}
}
