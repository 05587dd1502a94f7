package dispatch

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
)

// times are the periods of docs/state-machine.md; tests shorten them.
type times struct {
	poll       time.Duration // a queue counts as empty, a dequeue waits, at most
	handOver   time.Duration // buffered entries not handed over go back after it
	idle       time.Duration // a consumer without work stops
	tick       time.Duration // how often a consumer looks after itself
	refill     time.Duration // of a dry queue
	refillBusy time.Duration // of another
	audit      time.Duration
	look       time.Duration // at pairs without a consumer
	pauses     time.Duration // how often the store is asked what is paused
}

var standard = times{
	poll: 5 * time.Second, handOver: 5 * time.Second, idle: 30 * time.Second, tick: time.Second / 4,
	refill: 5 * time.Second, refillBusy: time.Second, audit: time.Minute, look: 5 * time.Second,
	pauses: 500 * time.Millisecond, // holds everywhere within a second, also without Redis
}

// lookGroups is how many groups one look in turns takes.
const lookGroups = 200

// Options of a Dispatcher; all are needed.
type Options struct {
	Queue  *queue.Queue
	Slots  Slots
	Tasks  Tasks
	Server string // this server's id, for the log
	Logger *slog.Logger
}

// Dispatcher runs a consumer for every pair that has work and a worker here.
type Dispatcher struct {
	queue *queue.Queue
	slots Slots
	tasks Tasks
	log   *slog.Logger
	times times

	ctx     context.Context
	end     context.CancelFunc
	wg      sync.WaitGroup // goroutines and stopping consumers
	listens chan struct{}  // closed when the doorbell is first connected
	once    sync.Once
	changed chan struct{} // has one when news is not empty
	pauses  chan struct{} // has one when queues were paused or resumed

	mu        sync.Mutex // guards all below; no call out of the package under it but starting a consumer
	started   bool
	stopped   bool
	consumers map[tasks.Pair]*consumer
	alarms    map[tasks.Pair]alarm
	paused    map[tasks.Pair]bool        // queues, as the store said last
	news      map[string]map[string]bool // groups → kinds to look at
	turn      int                        // of the look in turns
}

// alarm wakes a pair when its earliest delayed entry is due.
type alarm struct {
	at    time.Time
	timer *time.Timer
}

// New returns a Dispatcher that Start starts.
func New(o Options) *Dispatcher {
	d := &Dispatcher{
		queue: o.Queue, slots: o.Slots, tasks: o.Tasks, times: standard,
		log:     o.Logger.With("component", "dispatch", "server", o.Server),
		listens: make(chan struct{}), changed: make(chan struct{}, 1), pauses: make(chan struct{}, 1),
		consumers: make(map[tasks.Pair]*consumer),
		alarms:    make(map[tasks.Pair]alarm),
		news:      make(map[string]map[string]bool),
	}
	d.ctx, d.end = context.WithCancel(context.Background())
	return d
}

// Start begins to listen and to look for work, once it knows what is paused. An
// error is the store's.
func (d *Dispatcher) Start(ctx context.Context) error {
	if err := d.readPauses(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.started || d.stopped {
		return nil
	}
	d.started = true
	d.wg.Add(3)
	go func() {
		defer d.wg.Done()
		d.queue.Listen(d.ctx, d.heard, d.missed)
	}()
	go func() {
		defer d.wg.Done()
		d.lookAround()
	}()
	go func() {
		defer d.wg.Done()
		d.watchPauses()
	}()
	return nil
}

// Stop stops all consumers: what they hold goes back to its queue. Once it has
// returned nothing of the dispatcher runs. If ctx ends first the rest of the
// stop goes on by itself.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.stopped = true
	for p, a := range d.alarms {
		a.timer.Stop()
		delete(d.alarms, p)
	}
	for p, c := range d.consumers {
		delete(d.consumers, p)
		d.stopConsumer(c)
	}
	d.mu.Unlock()
	d.end()
	done := make(chan struct{})
	go func() {
		d.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stopConsumer stops c in the background. d.mu is held.
func (d *Dispatcher) stopConsumer(c *consumer) {
	d.wg.Add(1)
	go func() {
		defer d.wg.Done()
		c.stop()
	}()
}

// heard handles one wake.
func (d *Dispatcher) heard(w queue.Wake) {
	if w.At.After(time.Now()) {
		d.setAlarm(w.Pair, w.At)
		return
	}
	d.wake(w.Pair, w.Lanes)
}

var (
	allLanes = [queue.Lanes]bool{true, true, true}
	noLanes  [queue.Lanes]bool // a consumer that runs is left alone: it has its bell, and refill
)

// missed follows a connection of the doorbell: what was rung before is unknown.
func (d *Dispatcher) missed() {
	d.once.Do(func() { close(d.listens) })
	d.mu.Lock()
	all := slices.Collect(maps.Values(d.consumers))
	d.mu.Unlock()
	for _, c := range all {
		c.gate.ring(allLanes)
	}
	for group, kinds := range d.slots.Kinds() {
		d.Changed([]string{group}, kinds)
	}
}

// wake rings a pair's consumer, or starts one if there is a worker for it here.
func (d *Dispatcher) wake(p tasks.Pair, lanes [queue.Lanes]bool) {
	serves := d.slots.Serves(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped || d.paused[queueOf(p)] {
		return
	}
	if c := d.consumers[p]; c != nil {
		c.gate.ring(lanes)
		return
	}
	if !serves {
		return
	}
	c := newConsumer(d, p)
	if err := c.start(d.retire); err != nil {
		d.log.Error("consumer not started", "error", err)
		return
	}
	d.consumers[p] = c
}

// retire stops a consumer that has had no work for a while, or no worker. A
// bell either rings before this and is seen, or after and starts another one.
func (d *Dispatcher) retire(c *consumer) bool {
	serves := d.slots.Serves(c.pair)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped || d.consumers[c.pair] != c { // it is being stopped
		return false
	}
	if serves && !c.gate.idle(d.times.idle) {
		return false
	}
	delete(d.consumers, c.pair)
	d.wg.Add(1)
	go func() {
		defer d.wg.Done()
		c.stop()
		next, err := d.queue.NextDelayed(d.ctx, c.pair)
		if err == nil && !next.IsZero() {
			d.setAlarm(c.pair, next)
		}
	}()
	return true
}

// setAlarm wakes p at a time. Only the earliest is kept; the consumer that it
// starts sees to the others.
func (d *Dispatcher) setAlarm(p tasks.Pair, at time.Time) {
	if !d.slots.Serves(p) {
		return // whoever connects later looks at what is due
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.alarms[p]
	if d.stopped || d.consumers[p] != nil || ok && !at.Before(old.at) {
		return
	}
	if ok {
		old.timer.Stop()
	}
	a := alarm{at: at}
	a.timer = time.AfterFunc(time.Until(at), func() {
		d.mu.Lock()
		if d.alarms[p].at.Equal(at) {
			delete(d.alarms, p)
		}
		d.mu.Unlock()
		d.wake(p, noLanes)
	})
	d.alarms[p] = a
}

// Changed tells that workers for these groups and kinds have come: their due
// pairs are looked at, at once. It does not block.
func (d *Dispatcher) Changed(groups, kinds []string) {
	d.mu.Lock()
	for _, g := range groups {
		if d.news[g] == nil {
			d.news[g] = make(map[string]bool, len(kinds))
		}
		for _, k := range kinds {
			d.news[g][k] = true
		}
	}
	d.mu.Unlock()
	signal(d.changed)
}

// lookAround finds work that no bell told of.
func (d *Dispatcher) lookAround() {
	tick := time.NewTicker(d.times.look)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-d.changed:
			d.mu.Lock()
			news := d.news
			d.news = make(map[string]map[string]bool)
			d.mu.Unlock()
			d.look(news)
		case <-tick.C:
			d.look(d.nextTurn())
		}
	}
}

// nextTurn returns the next groups, and their kinds that have workers but no
// consumer.
func (d *Dispatcher) nextTurn() map[string]map[string]bool {
	served := d.slots.Kinds()
	groups := slices.Sorted(maps.Keys(served))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turn >= len(groups) {
		d.turn = 0
	}
	groups = groups[d.turn:min(len(groups), d.turn+lookGroups)]
	d.turn += len(groups)
	out := make(map[string]map[string]bool, len(groups))
	for _, g := range groups {
		out[g] = make(map[string]bool, len(served[g]))
		for _, k := range served[g] {
			out[g][k] = true // also where a consumer runs: a part of a broadcast may have none
		}
	}
	return out
}

// look starts consumers for what is due.
func (d *Dispatcher) look(at map[string]map[string]bool) {
	groups := slices.Collect(maps.Keys(at))
	for part := range slices.Chunk(groups, lookGroups) {
		kinds := make(map[string]bool)
		for _, g := range part {
			maps.Copy(kinds, at[g])
		}
		due, err := d.tasks.DuePairs(d.ctx, part, slices.Collect(maps.Keys(kinds)))
		if err != nil {
			if d.ctx.Err() == nil {
				d.log.Warn("due pairs", "error", err)
			}
			return // the next look is near
		}
		for _, p := range due {
			d.found(p)
		}
	}
}

// found handles a pair that waits in the store.
func (d *Dispatcher) found(p tasks.DuePair) {
	if p.RunAt.After(time.Now()) {
		d.setAlarm(p.Pair, p.RunAt)
	} else {
		d.wake(p.Pair, noLanes)
	}
}
