package dispatch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// polls counts the questions to each queue of echo.
type polls struct {
	mu   sync.Mutex
	seen [queue.Lanes]int
}

// countPolls counts from now on. Call it while nothing connects.
func countPolls(b *bench) *polls {
	p := &polls{}
	b.redis.Client().AddHook(p)
	return p
}

func (p *polls) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (p *polls) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (p *polls) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		p.mu.Lock()
		for _, c := range cmds {
			for lane, pr := range tasks.Priorities {
				pending := "asynq:{" + queue.Name(echo, pr) + "}:pending"
				if c.Name() == "evalsha" && slices.Contains(c.Args(), any(pending)) {
					p.seen[lane]++
				}
			}
		}
		p.mu.Unlock()
		return next(ctx, cmds)
	}
}

func (p *polls) byLane() [queue.Lanes]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *polls) total() (n int) {
	for _, seen := range p.byLane() {
		n += seen
	}
	return n
}

// pushSilently enqueues without ringing.
func pushSilently(b *bench, id string, pr tasks.Priority) {
	b.tb.Helper()
	b.store.insert(id, echo, pr, time.Now())
	_, err := asynq.NewClientFromRedisClient(b.redis.Client()).Enqueue(
		asynq.NewTask("task", []byte(`{"task":"`+id+`"}`)), asynq.Queue(queue.Name(echo, pr)))
	if err != nil {
		b.tb.Fatal(err)
	}
}

func (b *bench) gate() *gate {
	g := newGate(b.queue, SlotsOf(b.slots), echo, b.d.times, discard)
	b.tb.Cleanup(func() {
		g.close()
		g.leftover()
	})
	return g
}

func TestSharesByWeight(t *testing.T) {
	b := newBench(t, "")
	g := b.gate()
	if got, _ := g.share(10); got != [queue.Lanes]int{6, 3, 1} {
		t.Errorf("of ten: %v", got)
	}
	var one [queue.Lanes]int
	for range 100 {
		got, _ := g.share(1)
		for i, n := range got {
			one[i] += n
		}
	}
	if one != [queue.Lanes]int{60, 30, 10} {
		t.Errorf("one by one: %v", one)
	}
	g.learn([queue.Lanes]int{1, 0, 0}, [queue.Lanes]uint64{}, [queue.Lanes]queue.Taken{})
	if got, _ := g.share(8); got != [queue.Lanes]int{0, 6, 2} {
		t.Errorf("the first is empty: %v", got)
	}
	g.ring([queue.Lanes]bool{true, false, false})
	if got, _ := g.share(10); got != [queue.Lanes]int{6, 3, 1} {
		t.Errorf("the first rang: %v", got)
	}
}

// A bell that rings while Redis is asked must not get lost.
func TestBellWhileAsking(t *testing.T) {
	b := newBench(t, "")
	g := b.gate()
	_, heard := g.share(3)
	g.ring([queue.Lanes]bool{false, true, false})
	g.learn([queue.Lanes]int{1, 1, 1}, heard, [queue.Lanes]queue.Taken{})
	if g.emptyFor() != 0 || g.idle(0) {
		t.Error("counts as empty")
	}
	if want, _ := g.share(3); want != [queue.Lanes]int{0, 3, 0} {
		t.Errorf("asks %v", want)
	}
}

// What is buffered came by weight, and in each queue in order.
func TestFetchOverThreeQueues(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.slots.add(19)
		b.submitMany("h", 4, echo, tasks.High)
		b.submitMany("n", 20, echo, tasks.Normal)
		b.submitMany("l", 20, echo, tasks.Low)
		g := b.gate()
		slots, err := g.slots.Reserve(context.Background(), echo, 20)
		if err != nil || len(slots) != 20 {
			t.Fatal(slots, err)
		}
		if err := g.fetch(slots); err != nil {
			t.Fatal(err)
		}
		var got [queue.Lanes]int
		for _, h := range g.buffer {
			got[h.entry.Lane]++
		}
		if got[0] != 4 || got[1] <= 2*got[2] || got[2] == 0 || len(g.buffer) != 20 {
			t.Errorf("fetched %v", got)
		}
		if g.batch != 40 {
			t.Errorf("asks for %d next", g.batch)
		}
	})
}

// Slots are asked for one at a time until it shows that there is more.
func TestAsksForFewSlotsAtFirst(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.slots.add(99)
		b.submitMany("t", 5, echo, tasks.Normal)
		g := b.gate()
		for range 5 {
			if _, err := g.next(); err != nil {
				t.Fatal(err)
			}
		}
		if b.slots.peak() > 8 {
			t.Errorf("%d slots for 5 tasks", b.slots.peak())
		}
		if n := b.slots.out(); n != 5 {
			t.Errorf("%d slots are out, 5 handed over", n)
		}
	})
}

func TestErrorsAreAnsweredWithAGrowingPause(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if b.server == nil {
			return // the in-process one does not go away
		}
		b.server.Kill()
		g := b.gate()
		for i := range 3 {
			if _, err := g.next(); err == nil || errors.Is(err, redis.Nil) {
				t.Fatalf("answers %v", err)
			}
			if want := firstPause << (i + 1); g.pause != want {
				t.Errorf("next pause %v, want %v", g.pause, want)
			}
		}
		if b.slots.out() != 0 {
			t.Error("a slot is kept")
		}
		b.server.Restart()
		b.submit("t", echo, tasks.Normal)
		b.eventually("it is taken", func() bool { _, err := g.next(); return err == nil })
		if g.pause != firstPause {
			t.Errorf("pause %v after success", g.pause)
		}
	})
}

func TestClosedGateTakesNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.slots.add(1)
		b.submitMany("t", 2, echo, tasks.Normal)
		g := b.gate()
		slots, err := g.slots.Reserve(context.Background(), echo, 1)
		if err != nil {
			t.Fatal(err)
		}
		taken, err := b.queue.Take(context.Background(), echo, [queue.Lanes]int{0, 1, 0})
		if err != nil {
			t.Fatal(err)
		}
		g.close()
		if _, err := g.next(); !errors.Is(err, redis.Nil) {
			t.Errorf("answers %v", err)
		}
		g.keep([]held{{taken[1].Entries[0], slots[0]}}) // was under way
		if n := b.len(echo, tasks.Normal); n != 2 || b.slots.out() != 0 {
			t.Errorf("%d in the queue, %d slots out", n, b.slots.out())
		}
	})
}
