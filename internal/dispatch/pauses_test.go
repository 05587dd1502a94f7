package dispatch

import (
	"context"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// pause pauses or resumes a queue, and tells the dispatcher as a server does.
func (b *bench) pause(p tasks.Pair, paused bool) {
	b.tb.Helper()
	b.store.pause(p, paused)
	b.d.PausesChanged()
	b.eventually("the dispatcher knows", func() bool {
		b.d.mu.Lock()
		defer b.d.mu.Unlock()
		return b.d.paused[p] == paused
	})
}

// nothingOf lets every way to a consumer pass by and wants none for p.
func (b *bench) nothingOf(p tasks.Pair) {
	b.tb.Helper()
	b.d.wake(p, allLanes)
	b.d.setAlarm(p, time.Now())
	b.d.Changed([]string{p.Group}, []string{p.Kind})
	b.hearEverything()
	b.eventually("news are looked at", func() bool {
		b.d.mu.Lock()
		defer b.d.mu.Unlock()
		return len(b.d.news) == 0 && len(b.d.alarms) == 0
	})
	b.d.look(map[string]map[string]bool{p.Group: {p.Kind: true}})
	if b.consumer(p) != nil {
		b.tb.Fatal("a paused queue has a consumer")
	}
	select {
	case t := <-b.slots.assigned:
		b.tb.Fatalf("assigned %s of a paused queue", t.ID)
	default:
	}
}

func TestPause(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.start()
		b.submit("first", echo, tasks.Normal)
		b.nextIs("first") // and its slot stays busy: what runs goes on
		b.slots.add(1)
		c := b.quiet(echo)
		b.pause(echo, true)
		<-c.gone
		b.submit("waits", echo, tasks.High)
		b.nothingOf(echo)
		if n := b.len(echo, tasks.High); n != 1 {
			t.Errorf("%d in the queue, want the one that waits", n)
		}
		other := tasks.Pair{Group: echo.Group, Kind: "other"}
		b.slots.serve(other, true)
		b.submit("beside", other, tasks.Normal)
		b.nextIs("beside")
		b.slots.finish(1)
		b.pause(echo, false)
		b.nextIs("waits")
	})
}

// TestPauseStopsWhatIsBuffered: what has left Redis and is not handed over yet
// goes back.
func TestPauseStopsWhatIsBuffered(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		held := make(chan struct{})
		b.store.hold(held)
		b.slots.add(1000)
		b.start()
		b.submitMany("t", 2*handlers, echo, tasks.Normal)
		b.eventually("claims under way", func() bool { return b.store.claimed() >= handlers })
		c := b.consumer(echo)
		b.pause(echo, true)
		close(held)
		<-c.gone
		started := b.store.claimed()
		for range started {
			b.next()
		}
		b.nothingOf(echo)
		if n := b.len(echo, tasks.Normal); n != 2*handlers-started {
			t.Errorf("%d claimed, %d in the queue, of %d", started, n, 2*handlers)
		}
		b.store.hold(nil)
		b.pause(echo, false)
		for range 2*handlers - started {
			b.next()
		}
	})
}

func TestPausedFromTheStart(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.look = 10 * time.Millisecond
		b.store.pause(echo, true)
		b.submit("t", echo, tasks.Normal)
		b.start()
		b.nothingOf(echo)
		b.pause(echo, false)
		b.nextIs("t")
	})
}

// TestPauseWithoutTelling: the store is asked also when nobody could tell, and
// what it said last holds while it is away.
func TestPauseWithoutTelling(t *testing.T) {
	b := newBench(t, "")
	b.d.times.pauses = 10 * time.Millisecond
	b.start()
	b.submit("first", echo, tasks.Normal)
	b.nextIs("first")
	b.slots.finish(1)
	b.quiet(echo)
	b.store.pause(echo, true)
	b.eventually("no consumer", func() bool { return b.consumer(echo) == nil })
	b.store.setAway(true)
	b.submit("t", echo, tasks.Normal)
	b.nothingOf(echo)
	b.store.setAway(false)
	b.store.pause(echo, false)
	b.nextIs("t")
}

// TestPauseHoldsForTargets: a queue is over all targets, and no other kind's.
func TestPauseHoldsForTargets(t *testing.T) {
	b := newBench(t, "")
	part := tasks.Pair{Group: echo.Group, Kind: echo.Kind, Target: "w"}
	b.slots.serve(part, true)
	b.start()
	b.pause(echo, true)
	b.submit("part", part, tasks.Normal)
	b.nothingOf(part)
	b.pause(echo, false)
	b.nextIs("part")
}

// TestPauseOutlivesRedis: Redis forgets everything meanwhile.
func TestPauseOutlivesRedis(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.refill = 50 * time.Millisecond
		b.start()
		b.pause(echo, true)
		b.store.insert("t", echo, tasks.Normal, time.Now().Add(-3*time.Second)) // stamped before the flush
		if err := b.redis.Client().FlushAll(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		b.nothingOf(echo)
		b.pause(echo, false)
		b.nextIs("t")
	})
}

// TestStartWithoutStore: a server that does not know what is paused starts nothing.
func TestStartWithoutStore(t *testing.T) {
	b := newBench(t, "")
	b.store.setAway(true)
	if err := b.d.Start(context.Background()); err == nil {
		t.Error("started")
	}
}
