package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	mixedBatch    = 100 // tasks, every half second
	mixedEvents   = 50  // sync events, four times a second
	mixedDevices  = 1000
	mixedWatchers = 20
)

// mixed is everything at once: single tasks that are timed, batches, sync events,
// lists, watchers, and now and then a fault.
type mixed struct {
	*rig
	device string // token
	tally  *tally

	mu                     sync.Mutex // guards what follows
	workers                []*loadWorker
	sockets                []*websocket.Conn
	began                  map[string]time.Time // tasks that were submitted alone
	submits, lists, assign []float64            // ms since the last look
	tasks, events, pages   int
	faults                 faults
}

type faults struct{ workers, watchers, flushes int }

func (f faults) String() string {
	return fmt.Sprintf("%d workers cut off, %d times half of the watchers gone, Redis emptied %d times", f.workers, f.watchers, f.flushes)
}

func (r *rig) startMixed(ctx context.Context) (*mixed, error) {
	m := &mixed{rig: r, tally: &tally{}, began: map[string]time.Time{}}
	m.tally.start()
	var err error
	if m.device, err = r.deviceToken(ctx); err != nil {
		return nil, err
	}
	for range loadSockets {
		if err = m.join(ctx); err != nil {
			break
		}
	}
	if err == nil {
		err = m.watchAll(ctx)
	}
	if err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

func (m *mixed) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ws := range m.sockets {
		_ = ws.Close()
	}
	for _, w := range m.workers {
		go func() { _ = w.ws.Close() }() // its reader may wait for the lock
	}
}

// join connects a worker.
func (m *mixed) join(ctx context.Context) error {
	w, err := m.connectWorker(ctx, "soak", loadKind, loadSlots, m.tally, m.assigned)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.workers = append(m.workers, w)
	return nil
}

// assigned is called by the workers' readers.
func (m *mixed) assigned(task string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if began, ok := m.began[task]; ok { // else it came before the answer: too quick to tell, or of a batch
		m.assign = append(m.assign, millis(at.Sub(began)))
		delete(m.began, task)
	}
}

// watchAll connects as many watchers as are missing.
func (m *mixed) watchAll(ctx context.Context) error {
	for {
		m.mu.Lock()
		n := len(m.sockets)
		m.mu.Unlock()
		if n == mixedWatchers {
			return nil
		}
		ws, err := m.watch(ctx, m.api.Token, m.group)
		if err != nil {
			return fmt.Errorf("watcher: %w", err)
		}
		m.mu.Lock()
		m.sockets = append(m.sockets, ws)
		m.mu.Unlock()
		go func() {
			for _, _, err := ws.NextReader(); err == nil; _, _, err = ws.NextReader() {
			} // until it is closed
		}()
	}
}

// run loads the server until ctx ends.
func (m *mixed) run(ctx context.Context, faultEvery time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, part := range []struct {
		every time.Duration
		do    func(context.Context, *conn) error
	}{
		{50 * time.Millisecond, m.single},
		{500 * time.Millisecond, m.many},
		{250 * time.Millisecond, m.report},
		{200 * time.Millisecond, m.list},
		{faultEvery, m.fault},
	} {
		all.Go(func() {
			if err := m.each(ctx, part.every, part.do); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// each calls do again and again, on a connection of its own.
func (m *mixed) each(ctx context.Context, every time.Duration, do func(context.Context, *conn) error) error {
	c, err := m.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for pause(ctx, every) {
		if err := do(ctx, c); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (m *mixed) single(_ context.Context, c *conn) error {
	began := time.Now()
	a, err := c.do(m.request("/groups/"+m.group+"/tasks", loadTask))
	if err := a.want(http.StatusAccepted, err); err != nil {
		return fmt.Errorf("single: %w", err)
	}
	_, rest, _ := bytes.Cut(a.body, []byte(`"id":"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.submits = append(m.submits, millis(time.Since(began)))
	m.began[string(id)] = began
	m.tasks++
	return nil
}

var manyBody = `{"tasks":[` + loadTask + strings.Repeat(","+loadTask, mixedBatch-1) + `]}`

func (m *mixed) many(ctx context.Context, c *conn) error {
	if _, err := c.submitBatch(ctx, m.request("/groups/"+m.group+"/tasks:batch", manyBody), checkEntries(mixedBatch)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks += mixedBatch
	return nil
}

func (m *mixed) report(_ context.Context, c *conn) error {
	m.mu.Lock()
	first := m.events
	m.mu.Unlock()
	var body strings.Builder
	at := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	for i := first; i < first+mixedEvents; i++ {
		fmt.Fprintf(&body, `,{"device_id":"device-%06d","timestamp":%q,"total_files_synced":12,"total_errors":%d,"internet_speed":10.5}`,
			i%mixedDevices, at, max(0, i%20-18))
	}
	p := m.post("/sync-events", "["+body.String()[1:]+"]")
	p.token = m.device
	a, err := c.do(p.bytes())
	if err := a.want(http.StatusMultiStatus, err); err != nil {
		return fmt.Errorf("sync events: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events += mixedEvents
	return nil
}

func (m *mixed) list(ctx context.Context, _ *conn) error {
	began := time.Now()
	if err := m.api.Do(ctx, http.MethodGet, "/groups/"+m.group+"/tasks?limit=50", nil, nil); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists = append(m.lists, millis(time.Since(began)))
	m.pages++
	return nil
}

// fault does the next of three: a worker is cut off and another one comes, half of
// the watchers go and others come, Redis loses everything.
func (m *mixed) fault(ctx context.Context, _ *conn) error {
	m.mu.Lock()
	f := m.faults
	m.mu.Unlock()
	switch {
	case f.workers == f.flushes:
		m.mu.Lock()
		w := m.workers[0]
		m.workers = m.workers[1:]
		m.faults.workers++
		m.mu.Unlock()
		_ = w.ws.NetConn().Close()
		return m.join(ctx)
	case f.watchers == f.flushes:
		m.mu.Lock()
		for _, ws := range m.sockets[:mixedWatchers/2] {
			_ = ws.Close()
		}
		m.sockets = m.sockets[mixedWatchers/2:]
		m.faults.watchers++
		m.mu.Unlock()
		return m.watchAll(ctx)
	}
	m.mu.Lock()
	m.faults.flushes++
	m.mu.Unlock()
	_, err := redisSays(m.redisAddress, "FLUSHALL")
	return err
}

// times returns what was measured since the last call.
func (m *mixed) times() (submits, assigns, lists []float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	submits, assigns, lists = m.submits, m.assign, m.lists
	m.submits, m.assign, m.lists = nil, nil, nil
	for task, began := range m.began {
		if time.Since(began) > stallLimit { // it was assigned before its answer was read
			delete(m.began, task)
		}
	}
	return submits, assigns, lists
}

// kept is how many rows the server has been given.
func (m *mixed) kept() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tasks + m.events
}

func (m *mixed) sum() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("%s tasks, %s sync events, %s pages", number(float64(m.tasks)), number(float64(m.events)), number(float64(m.pages)))
}
