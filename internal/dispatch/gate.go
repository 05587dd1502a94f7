package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/redis/go-redis/v9"
)

// weights of a pair's queues, in the order of tasks.Priorities.
var weights = [queue.Lanes]int{6, 3, 1}

const (
	maxFetch     = 64 // entries at once
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// gate is the Redis client of one asynq server. Asynq fetches by polling and
// knows nothing of capacity; the gate answers its dequeue script itself, and
// only when there is both work and a slot for it. The rules are those of "The
// gate" in docs/state-machine.md.
//
// Asynq calls from one goroutine and gets whatever is next in any of the pair's
// queues, whichever it asked for: the message names its queue.
type gate struct {
	redis.UniversalClient
	queue *queue.Queue
	slots Slots
	pair  tasks.Pair
	times times
	log   *slog.Logger

	finisher *finisher

	ctx   context.Context // ends with close
	end   context.CancelFunc
	bell  chan struct{} // has one when it rang since somebody last waited
	dry   chan struct{} // has one when a queue was found empty that was not known to be
	batch int           // slots to ask for next; of asynq's goroutine
	turns [queue.Lanes]int
	pause time.Duration // after an error; of asynq's goroutine

	mu     sync.Mutex // guards all below; never held while Redis or slots are asked
	closed bool
	lanes  [queue.Lanes]lane
	quiet  time.Time // since when all queues are empty; zero: not known to be
	buffer []held
	filled time.Time       // when buffer last got something
	handed map[string]Slot // by asynq's id, until the handler takes it
}

// lane is what is known of one queue.
type lane struct {
	rung    uint64    // the bell's counter
	heard   uint64    // what it was when the queue was last asked
	emptyAt time.Time // when it was found empty or paused; zero: it was not
	paused  bool
}

// held is an entry with the slot reserved for it.
type held struct {
	entry queue.Entry
	slot  Slot
}

func newGate(q *queue.Queue, slots Slots, p tasks.Pair, t times, log *slog.Logger) *gate {
	g := &gate{
		UniversalClient: q.Client(), queue: q, slots: slots, pair: p, times: t, log: log,
		bell: make(chan struct{}, 1), dry: make(chan struct{}, 1),
		batch: 1, pause: firstPause, handed: make(map[string]Slot), finisher: newFinisher(q, log),
	}
	g.ctx, g.end = context.WithCancel(context.Background())
	return g
}

// EvalSha answers those scripts that the gate stands in for.
func (g *gate) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return g.answer(ctx, keys, args, func() *redis.Cmd { return g.UniversalClient.EvalSha(ctx, sha, keys, args...) })
}

// Eval does the same for asynq's second try, when Redis does not know a script.
func (g *gate) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return g.answer(ctx, keys, args, func() *redis.Cmd { return g.UniversalClient.Eval(ctx, script, keys, args...) })
}

func (g *gate) answer(ctx context.Context, keys []string, args []any, run func() *redis.Cmd) *redis.Cmd {
	script, name := queue.Recognize(keys)
	switch script {
	case queue.Dequeue:
		reply := redis.NewCmd(ctx)
		msg, err := g.next()
		reply.SetErr(err)
		if err == nil {
			reply.SetVal(msg)
		}
		return reply
	case queue.Done:
		reply := redis.NewCmd(ctx)
		id, _ := args[0].(string)
		g.finisher.add(queue.Handled{Queue: name, ID: id})
		reply.SetVal("OK")
		return reply
	case queue.Forward:
		return g.forward(ctx, keys, name, run)
	}
	return run()
}

// forward spares Redis the script where nothing is due, which is nearly always,
// and wakes all servers where something was moved.
func (g *gate) forward(ctx context.Context, keys []string, name string, run func() *redis.Cmd) *redis.Cmd {
	first, err := g.ZRangeWithScores(ctx, keys[0], 0, 0).Result()
	if err == nil && (len(first) == 0 || int64(first[0].Score) > time.Now().Unix()) {
		reply := redis.NewCmd(ctx)
		reply.SetVal(int64(0))
		return reply
	}
	reply := run()
	if n, err := reply.Int(); err == nil && n > 0 {
		for _, pr := range tasks.Priorities {
			if queue.Name(g.pair, pr) != name {
				continue
			}
			if err := g.queue.Ring(ctx, g.pair, pr); err != nil { // ours at least
				var mine [queue.Lanes]bool
				mine[queue.Lane(pr)] = true
				g.ring(mine)
			}
		}
	}
	return reply
}

// next waits for the next message, at most times.poll; redis.Nil if there is none.
func (g *gate) next() (string, error) {
	ctx, cancel := context.WithTimeout(g.ctx, g.times.poll)
	defer cancel()
	for ctx.Err() == nil {
		if msg, ok := g.handOver(); ok {
			return msg, nil
		}
		if again := g.emptyFor(); again > 0 {
			g.await(ctx, again)
			continue
		}
		slots, err := g.slots.Reserve(ctx, g.pair, g.batch)
		if err != nil {
			g.await(ctx, g.times.poll) // mostly ctx itself; else asynq would spin
			continue
		}
		if err := g.fetch(slots); err != nil {
			g.await(ctx, g.pause)
			g.pause = min(2*g.pause, longestPause)
			return "", err
		}
		g.pause = firstPause
	}
	return "", redis.Nil
}

// await waits for the bell, ctx or d.
func (g *gate) await(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-g.bell:
	case <-ctx.Done():
	case <-t.C:
	}
}

// handOver gives the oldest buffered entry to asynq, and its slot to the
// handler that will come for it.
func (g *gate) handOver() (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.buffer) == 0 {
		return "", false
	}
	h := g.buffer[0]
	g.buffer = g.buffer[1:]
	g.handed[h.entry.ID] = h.slot
	return h.entry.Message, true
}

// slotOf returns the slot of a message that was handed over, once.
func (g *gate) slotOf(id string) (Slot, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.handed[id]
	delete(g.handed, id)
	return s, ok
}

// emptyFor returns how long all queues count as empty from now, 0 if one may
// hold something.
func (g *gate) emptyFor() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := g.times.poll
	for i := range g.lanes {
		left := g.lanes[i].emptyFor(g.times.poll)
		if left <= 0 {
			return 0
		}
		first = min(first, left)
	}
	return first
}

func (l *lane) emptyFor(atMost time.Duration) time.Duration {
	if l.emptyAt.IsZero() || l.heard != l.rung {
		return 0
	}
	return max(0, atMost-time.Since(l.emptyAt))
}

// fetch takes as many entries as there are slots, in rounds over the queues that
// may hold something, and releases the slots that were too many.
func (g *gate) fetch(slots []Slot) error {
	var (
		got []held
		err error
	)
	free := slots
	if g.ctx.Err() != nil { // closed meanwhile
		for _, s := range free {
			s.Release()
		}
		return nil
	}
	for len(free) > 0 && err == nil {
		want, heard := g.share(len(free))
		if want == ([queue.Lanes]int{}) {
			break
		}
		var taken [queue.Lanes]queue.Taken
		// Not g.ctx: what has left Redis must arrive, also while we are closing.
		taken, err = g.queue.Take(context.WithoutCancel(g.ctx), g.pair, want)
		for i := range taken {
			for _, e := range taken[i].Entries {
				got = append(got, held{e, free[0]})
				free = free[1:]
			}
		}
		if err == nil {
			g.learn(want, heard, taken)
		}
	}
	for _, s := range free {
		s.Release()
	}
	g.batch = 1
	if len(free) == 0 {
		g.batch = min(2*len(slots), maxFetch)
	}
	if len(got) > 0 {
		err = nil // hand over these first; the error will come again
	}
	g.keep(got)
	return err
}

// share divides n over the queues that may hold something, by weight and in
// turns, and returns their bells' counters.
func (g *gate) share(n int) (want [queue.Lanes]int, heard [queue.Lanes]uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	total := 0
	var open [queue.Lanes]bool
	for i := range g.lanes {
		heard[i] = g.lanes[i].rung
		if g.lanes[i].emptyFor(g.times.poll) == 0 {
			open[i] = true
			total += weights[i]
		}
	}
	if total == 0 {
		return want, heard
	}
	for range n { // smooth weighted round robin
		best := 0
		for i := range g.turns {
			if !open[i] {
				continue
			}
			g.turns[i] += weights[i]
			if !open[best] || g.turns[i] > g.turns[best] {
				best = i
			}
		}
		g.turns[best] -= total
		want[best]++
	}
	return want, heard
}

// learn notes which queues are empty now, as of the bell before they were asked.
func (g *gate) learn(want [queue.Lanes]int, heard [queue.Lanes]uint64, taken [queue.Lanes]queue.Taken) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	dried, all, some := false, true, false
	for i := range g.lanes {
		l := &g.lanes[i]
		if want[i] > 0 {
			wasEmpty := !l.emptyAt.IsZero()
			l.heard, l.emptyAt, l.paused = heard[i], time.Time{}, taken[i].Paused
			if taken[i].Paused || taken[i].Left == 0 {
				l.emptyAt = now
				dried = dried || !wasEmpty || len(taken[i].Entries) > 0
			}
			some = some || len(taken[i].Entries) > 0
		}
		all = all && !l.emptyAt.IsZero() && l.heard == l.rung
	}
	switch {
	case !all:
		g.quiet = time.Time{}
	case some || g.quiet.IsZero():
		g.quiet = now
	}
	if dried {
		signal(g.dry)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keep buffers what was fetched, or puts it back if the gate closed meanwhile.
func (g *gate) keep(got []held) {
	if len(got) == 0 {
		return
	}
	g.mu.Lock()
	closed := g.closed
	if !closed {
		g.buffer = append(g.buffer, got...)
		g.filled = time.Now()
	}
	g.mu.Unlock()
	if closed {
		g.putBack(got)
	}
}

// ring makes the gate ask those queues again.
func (g *gate) ring(lanes [queue.Lanes]bool) {
	if lanes == noLanes {
		return
	}
	g.mu.Lock()
	for i, rung := range lanes {
		if rung {
			g.lanes[i].rung++
		}
	}
	g.quiet = time.Time{}
	g.mu.Unlock()
	signal(g.bell)
}

// idle reports whether all queues have been empty for d, nothing is under way
// and nobody rang.
func (g *gate) idle(d time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.quiet.IsZero() && time.Since(g.quiet) >= d && len(g.buffer) == 0 && len(g.handed) == 0
}

// empties returns the queues that are known to be empty.
func (g *gate) empties() (empty [queue.Lanes]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.lanes {
		empty[i] = !g.lanes[i].emptyAt.IsZero() && !g.lanes[i].paused
	}
	return empty
}

// returnStale puts back what asynq did not come for in time: all its handlers
// are busy, another server may do better.
func (g *gate) returnStale() {
	g.mu.Lock()
	var stale []held
	if len(g.buffer) > 0 && time.Since(g.filled) >= g.times.handOver {
		stale, g.buffer = g.buffer, nil
	}
	g.mu.Unlock()
	g.putBack(stale)
}

// close makes the gate answer Nil from now on and puts its buffer back. It is
// called before asynq's Shutdown, which cannot interrupt a dequeue.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	rest := g.buffer
	g.buffer = nil
	g.mu.Unlock()
	g.end()
	g.putBack(rest)
}

// leftover releases slots of messages that no handler came for. It is called
// after asynq's Shutdown.
func (g *gate) leftover() {
	g.mu.Lock()
	slots := g.handed
	g.handed = make(map[string]Slot)
	g.mu.Unlock()
	for _, s := range slots {
		s.Release()
	}
}

func (g *gate) putBack(hs []held) {
	if len(hs) == 0 {
		return
	}
	entries := make([]queue.Entry, len(hs))
	for i, h := range hs {
		entries[i] = h.entry
		h.slot.Release()
	}
	if err := g.queue.PutBack(context.WithoutCancel(g.ctx), g.pair, entries); err != nil {
		g.log.Warn("entries not put back, refill will", "entries", len(hs), "error", err)
	}
}
