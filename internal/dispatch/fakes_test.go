package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/tasks"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	discard = slog.New(slog.DiscardHandler)
	echo    = tasks.Pair{Group: "g1", Kind: "echo"}
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// each runs a test on the in-process Redis and on a real one.
func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Run("embedded", func(t *testing.T) { test(t, newBench(t, "")) })
	t.Run("redis", func(t *testing.T) {
		url, srv := redistest.Start(t)
		b := newBench(t, url)
		b.server = srv
		test(t, b)
	})
}

// bench is a dispatcher with a store and workers of which a test sees all.
type bench struct {
	tb     testing.TB
	redis  *queue.Redis
	queue  *queue.Queue
	server *redistest.Server // nil in process
	store  *fakeStore
	slots  *fakeSlots
	d      *Dispatcher
}

func newBench(tb testing.TB, url string) *bench {
	r, err := queue.Open(context.Background(), url, discard)
	if err != nil {
		tb.Fatal(err)
	}
	b := &bench{tb: tb, redis: r, queue: queue.New(r, discard)}
	b.store = &fakeStore{queue: b.queue, rows: map[string]*row{}, refilled: make(chan refill, 1000)}
	b.slots = &fakeSlots{free: 1, pairs: map[tasks.Pair]bool{echo: true}, assigned: make(chan tasks.Task, 100_000)}
	b.slots.cond.L = &b.slots.mu
	b.d = b.another()
	tb.Cleanup(func() {
		b.stop(b.d)
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
		if n := b.slots.out(); n != 0 {
			tb.Errorf("%d slots never given back or assigned", n)
		}
	})
	return b
}

// another returns a second server on the same Redis, store and workers.
func (b *bench) another() *Dispatcher {
	d := New(Options{Queue: b.queue, Slots: SlotsOf(b.slots), Tasks: b.store, Server: "s", Logger: discard})
	d.times.tick = 20 * time.Millisecond // only how fine the others are
	return d
}

// start starts the dispatcher and waits until it hears the doorbell.
func (b *bench) start() {
	b.tb.Helper()
	if err := b.d.Start(context.Background()); err != nil {
		b.tb.Fatal(err)
	}
	<-b.d.listens
}

func (b *bench) stop(d *Dispatcher) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range 2 { // the second does nothing
		if err := d.Stop(ctx); err != nil {
			b.tb.Fatal("stop:", err)
		}
	}
}

// submit inserts a task and pushes it, as tasks.Service does.
func (b *bench) submit(id string, p tasks.Pair, pr tasks.Priority) {
	b.tb.Helper()
	tk := b.store.insert(id, p, pr, time.Now())
	if err := b.queue.Push(context.Background(), tk); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *bench) submitMany(prefix string, n int, p tasks.Pair, pr tasks.Priority) {
	b.tb.Helper()
	ts := make([]tasks.Ticket, n)
	for i := range ts {
		ts[i] = b.store.insert(fmt.Sprintf("%s%d", prefix, i), p, pr, time.Now())
	}
	if err := b.queue.Push(context.Background(), ts...); err != nil {
		b.tb.Fatal(err)
	}
}

// next waits for a task to be assigned.
func (b *bench) next() tasks.Task {
	b.tb.Helper()
	select {
	case t := <-b.slots.assigned:
		return t
	case <-time.After(patience):
		b.tb.Fatal("nothing assigned")
		return tasks.Task{}
	}
}

func (b *bench) nextIs(id string) {
	b.tb.Helper()
	if t := b.next(); t.ID != id {
		b.tb.Fatalf("assigned %s, want %s", t.ID, id)
	}
}

// eventually waits for a condition that nothing signals.
func (b *bench) eventually(what string, ok func() bool) {
	b.tb.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			b.tb.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func (b *bench) consumer(p tasks.Pair) *consumer {
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	return b.d.consumers[p]
}

// running waits for p's consumer.
func (b *bench) running(p tasks.Pair) *consumer {
	b.tb.Helper()
	b.eventually("a consumer", func() bool { return b.consumer(p) != nil })
	return b.consumer(p)
}

// quiet waits until p's consumer knows that all its queues are empty.
func (b *bench) quiet(p tasks.Pair) *consumer {
	b.tb.Helper()
	b.eventually("a consumer that found everything empty", func() bool {
		c := b.consumer(p)
		return c != nil && c.gate.idle(0)
	})
	return b.consumer(p)
}

// hearEverything waits until every bell that has rung is heard.
func (b *bench) hearEverything() {
	b.tb.Helper()
	last := tasks.Pair{Group: "last", Kind: "bell"}
	b.slots.serve(last, true)
	if err := b.queue.Ring(context.Background(), last, tasks.High); err != nil {
		b.tb.Fatal(err)
	}
	b.running(last)
}

func (b *bench) len(p tasks.Pair, pr tasks.Priority) int {
	b.tb.Helper()
	s, err := b.queue.States(context.Background(), p)
	if err != nil {
		b.tb.Fatal(err)
	}
	return s[queue.Lane(pr)].Len
}

// row is a task in fakeStore.
type row struct {
	id      string
	pair    tasks.Pair
	pr      tasks.Priority
	stamp   time.Time
	runAt   time.Time
	attempt int
	running bool
}

type refill struct {
	pr     tasks.Priority
	before time.Time
	n      int
}

// fakeStore is the task service over a map.
type fakeStore struct {
	queue    *queue.Queue
	refilled chan refill
	pushed   func() // if set, called by a refill when it has pushed

	mu       sync.Mutex
	rows     map[string]*row
	order    []*row // of insertion
	away     bool
	paused   map[tasks.Pair]bool
	block    chan struct{} // claims wait for it
	claims   int
	unclaims int
}

var errAway = errors.New("store away")

// insert adds a waiting task; a zero stamp is overflow.
func (s *fakeStore) insert(id string, p tasks.Pair, pr tasks.Priority, stamp time.Time) tasks.Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := time.Millisecond
	r := &row{id: id, pair: p, pr: pr, stamp: stamp.UTC().Truncate(ms), runAt: time.Now().UTC().Truncate(ms)}
	s.rows[id], s.order = r, append(s.order, r)
	return r.ticket()
}

func (r *row) ticket() tasks.Ticket {
	return tasks.Ticket{Pair: r.pair, Priority: r.pr, Task: r.id, Attempt: r.attempt, Stamp: r.stamp, RunAt: r.runAt}
}

func (s *fakeStore) Claim(ctx context.Context, tk tasks.Ticket, _ tasks.Owner) (tasks.Claimed, bool, error) {
	s.mu.Lock()
	block := s.block
	s.claims++
	s.mu.Unlock()
	if block != nil {
		<-block
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return tasks.Claimed{}, false, errAway
	}
	r := s.rows[tk.Task]
	if r == nil || r.running || r.attempt != tk.Attempt {
		return tasks.Claimed{}, false, nil
	}
	r.running = true
	r.attempt++
	return tasks.Claimed{Task: tasks.Task{ID: tk.Task, Group: r.pair.Group, Kind: r.pair.Kind, Target: r.pair.Target, Priority: r.pr, Attempt: r.attempt}}, true, nil
}

func (s *fakeStore) Unclaim(ctx context.Context, t tasks.Task) error {
	s.mu.Lock()
	s.unclaims++
	r := s.rows[t.ID]
	r.running = false
	tk := r.ticket()
	s.mu.Unlock()
	return s.queue.Push(ctx, tk)
}

func (s *fakeStore) Refill(ctx context.Context, p tasks.Pair, pr tasks.Priority, before time.Time, limit int) (int, error) {
	return s.refill(ctx, p, pr, before, limit, true)
}

func (s *fakeStore) Restamp(ctx context.Context, p tasks.Pair, pr tasks.Priority, before time.Time, limit int) (int, error) {
	return s.refill(ctx, p, pr, before, limit, false)
}

func (s *fakeStore) refill(ctx context.Context, p tasks.Pair, pr tasks.Priority, before time.Time, limit int, never bool) (int, error) {
	s.mu.Lock()
	var ts []tasks.Ticket
	for _, r := range s.order {
		if len(ts) == limit {
			break
		}
		if r.pair == p && r.pr == pr && !r.running && (never || !r.stamp.IsZero()) && (r.stamp.IsZero() || r.stamp.Before(before)) {
			r.stamp = time.Now().UTC().Truncate(time.Millisecond)
			ts = append(ts, r.ticket())
		}
	}
	s.mu.Unlock()
	select {
	case s.refilled <- refill{pr, before, len(ts)}:
	default:
	}
	err := s.queue.Push(ctx, ts...)
	if s.pushed != nil {
		s.pushed()
	}
	return len(ts), err
}

func (s *fakeStore) DuePairs(_ context.Context, groups, kinds []string) ([]tasks.DuePair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []tasks.DuePair
	for _, g := range groups {
		for _, k := range kinds {
			for _, r := range s.rows {
				if r.pair.Group == g && r.pair.Kind == k && !r.running {
					out = append(out, tasks.DuePair{Pair: r.pair, RunAt: r.runAt})
				}
			}
		}
	}
	return out, nil
}

func (s *fakeStore) Paused(context.Context) ([]tasks.Pair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []tasks.Pair
	for p, paused := range s.paused {
		if paused {
			out = append(out, p)
		}
	}
	if s.away {
		return nil, errAway
	}
	return out, nil
}

// pause pauses or resumes a queue in the store; nobody is told.
func (s *fakeStore) pause(p tasks.Pair, paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused == nil {
		s.paused = map[tasks.Pair]bool{}
	}
	s.paused[p] = paused
}

func (s *fakeStore) setAway(away bool) {
	s.mu.Lock()
	s.away = away
	s.mu.Unlock()
}

// fakeSlots is a hub with one worker.
type fakeSlots struct {
	mu       sync.Mutex
	cond     sync.Cond
	free     int
	reserved int
	most     int // reserved and assigned at once
	busy     int
	pairs    map[tasks.Pair]bool
	gone     int // Assigns to come that find the session gone
	assigned chan tasks.Task
}

func (f *fakeSlots) Reserve(ctx context.Context, p tasks.Pair, n int) ([]*fakeSlot, error) {
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		f.cond.Broadcast()
		f.mu.Unlock()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.free == 0 || !f.pairs[p] {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f.cond.Wait()
	}
	var got []*fakeSlot
	for f.free > 0 && len(got) < n {
		f.free--
		f.reserved++
		got = append(got, &fakeSlot{f: f})
	}
	f.most = max(f.most, f.reserved+f.busy)
	return got, nil
}

func (f *fakeSlots) Serves(p tasks.Pair) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pairs[p]
}

func (f *fakeSlots) Kinds() map[string][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string][]string{}
	for p, ok := range f.pairs {
		if ok {
			out[p.Group] = append(out[p.Group], p.Kind)
		}
	}
	return out
}

func (f *fakeSlots) serve(p tasks.Pair, ok bool) {
	f.mu.Lock()
	f.pairs[p] = ok
	f.cond.Broadcast()
	f.mu.Unlock()
}

// finish frees n slots: their tasks have ended, or there are more workers.
func (f *fakeSlots) finish(n int) {
	f.mu.Lock()
	f.busy -= n
	f.free += n
	f.cond.Broadcast()
	f.mu.Unlock()
}

// add gives the worker n more slots.
func (f *fakeSlots) add(n int) {
	f.mu.Lock()
	f.free += n
	f.cond.Broadcast()
	f.mu.Unlock()
}

func (f *fakeSlots) out() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reserved
}

// peak is how many slots were reserved or busy at once.
func (f *fakeSlots) peak() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

type fakeSlot struct {
	f       *fakeSlots
	claimed string
	done    bool
}

func (s *fakeSlot) Owner() tasks.Owner { return tasks.Owner{Server: "s", Session: "x", Worker: "w"} }

func (s *fakeSlot) Claiming(task string, attempt int) {
	s.claimed = fmt.Sprintf("%s/%d", task, attempt)
}

func (s *fakeSlot) leave() {
	if s.done {
		panic("a slot was used twice")
	}
	s.done = true
	s.f.reserved--
}

func (s *fakeSlot) Assign(t tasks.Task, _, _ []byte) error {
	if want := fmt.Sprintf("%s/%d", t.ID, t.Attempt); s.claimed != want {
		panic("claiming said " + s.claimed + ", assigned " + want)
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.leave()
	if s.f.gone > 0 {
		s.f.gone--
		s.f.free++
		s.f.cond.Broadcast()
		return errors.New("session gone")
	}
	s.f.busy++
	s.f.assigned <- t
	return nil
}

func (s *fakeSlot) Release() {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.leave()
	s.f.free++
	s.f.cond.Broadcast()
}

// hold makes claims wait until c is closed.
func (s *fakeStore) hold(c chan struct{}) {
	s.mu.Lock()
	s.block = c
	s.mu.Unlock()
}

func (s *fakeStore) claimed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims
}
