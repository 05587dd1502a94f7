package dispatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
)

func TestTaskReachesItsWorker(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.start()
		for i, pr := range tasks.Priorities {
			id := fmt.Sprint(i)
			b.submit(id, echo, pr)
			b.nextIs(id)
			b.slots.finish(1)
		}
		b.quiet(echo)
		keys := b.redis.Client().Keys(context.Background(), "asynq:{*}:[tal]*").Val()
		b.eventually("nothing is left in Redis", func() bool {
			keys = b.redis.Client().Keys(context.Background(), "asynq:{*}:[tal]*").Val()
			return len(keys) == 0
		})
	})
}

func TestBroadcastPartGoesByItsWorker(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine, other := echo, echo
		mine.Target, other.Target = "w1", "w2"
		b.slots.serve(mine, true)
		b.start()
		b.submit("theirs", other, tasks.Normal)
		b.submit("ours", mine, tasks.Normal)
		b.nextIs("ours")
		if b.consumer(other) != nil {
			t.Error("a consumer for a worker that is not here")
		}
	})
}

// A consumer stops when idle; the next task starts another.
func TestIdleConsumerStopsAndStartsAgain(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.idle = 50 * time.Millisecond
		b.start()
		for i := range 3 {
			id := fmt.Sprint(i)
			b.submit(id, echo, tasks.Normal)
			b.nextIs(id)
			b.slots.finish(1)
			b.eventually("the consumer has stopped", func() bool { return b.consumer(echo) == nil })
		}
	})
}

// Asynq fixes an entry's lease before the gate waits. However long the consumer
// was idle, what it is handed then must be leased from that moment on.
func TestLeaseAfterLongWait(t *testing.T) {
	if worst := standard.poll + longestPause; worst > 15*time.Second {
		t.Errorf("a dequeue may take %v of asynq's lease of 30 s", worst)
	}
	each(t, func(t *testing.T, b *bench) {
		b.d.times.poll = 10 * time.Millisecond // 30 s are six polls
		polls := countPolls(b)
		b.start()
		b.submit("warm", echo, tasks.Normal)
		b.nextIs("warm")
		b.slots.finish(1)
		before := polls.total()
		b.eventually("the gate has answered Nil many times", func() bool { return polls.total() > before+20 })
		block := make(chan struct{})
		b.store.hold(block)
		b.submit("late", echo, tasks.Normal)
		lease := "asynq:{" + queue.Name(echo, tasks.Normal) + "}:lease"
		b.eventually("it is leased", func() bool {
			z := b.redis.Client().ZRangeWithScores(context.Background(), lease, 0, -1).Val()
			return len(z) == 1 && int64(z[0].Score) >= time.Now().Add(28*time.Second).Unix()
		})
		close(block)
		b.nextIs("late")
	})
}

// At an idle consumer a task costs one question to one queue: no polling before
// and none of the other queues.
func TestOnePriorityRings(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.slots.add(9)
		b.start()
		b.submit("warm", echo, tasks.Normal)
		b.nextIs("warm")
		b.hearEverything()
		b.quiet(echo)
		polls := countPolls(b)
		for i, pr := range []tasks.Priority{tasks.Low, tasks.High, tasks.Low, tasks.Normal} {
			id := fmt.Sprint(i)
			b.submit(id, echo, pr)
			b.nextIs(id)
			b.quiet(echo)
		}
		if got := polls.byLane(); got != [queue.Lanes]int{1, 1, 2} {
			t.Errorf("questions by priority: %v", got)
		}
	})
}

func TestNothingLeavesRedisThatHasNoSlot(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const pairs, each = 50, 4
		var ps []tasks.Pair
		for i := range pairs {
			p := tasks.Pair{Group: fmt.Sprintf("g%d", i), Kind: "echo"}
			b.slots.serve(p, true)
			ps = append(ps, p)
		}
		b.start()
		for i, p := range ps {
			b.submitMany(fmt.Sprintf("p%d-", i), each, p, tasks.Priorities[i%3])
		}
		for done := range pairs * each {
			b.next()
			waiting := 0
			for i, p := range ps {
				waiting += b.len(p, tasks.Priorities[i%3])
			}
			// More is no harm: refill may take one on its way to the store for lost.
			if want := pairs*each - done - 1; waiting < want {
				t.Fatalf("after %d tasks %d wait in Redis, want %d", done+1, waiting, want)
			}
			b.slots.finish(1)
		}
		if b.slots.peak() != 1 {
			t.Errorf("%d slots at once of one", b.slots.peak())
		}
	})
}

func TestPausedQueue(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.start()
		if err := b.queue.Pause(context.Background(), echo, tasks.High); err != nil {
			t.Fatal(err)
		}
		b.submit("held", echo, tasks.High)
		b.submit("free", echo, tasks.Low)
		b.nextIs("free")
		b.slots.finish(1)
		b.quiet(echo)
		if n := b.len(echo, tasks.High); n != 1 {
			t.Fatalf("%d in the paused queue", n)
		}
		if err := b.queue.Resume(context.Background(), echo, tasks.High); err != nil {
			t.Fatal(err)
		}
		b.nextIs("held")
	})
}

// Stop interrupts a waiting dequeue: it takes no poll of 5 s.
func TestStopWhileWaiting(t *testing.T) {
	for _, slots := range []int{0, 1} { // for a slot, for the bell
		t.Run(fmt.Sprint("slots=", slots), func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				b.slots.add(slots - 1)
				b.start()
				b.submit("t", echo, tasks.Normal)
				b.running(echo)
				if slots == 1 {
					b.nextIs("t")
					b.slots.finish(1)
					b.quiet(echo)
				}
				began := time.Now()
				b.stop(b.d)
				if d := time.Since(began); d >= standard.poll-time.Second {
					t.Errorf("took %v", d)
				}
				if want := 1 - slots; b.len(echo, tasks.Normal) != want {
					t.Errorf("%d in the queue, want %d", b.len(echo, tasks.Normal), want)
				}
			})
		})
	}
}

// Buffered entries go back to the head of their queue, in order.
func TestStopWhileBuffering(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const total, extra = handlers + 100, 20
		b.slots.add(total)
		block := make(chan struct{})
		b.store.hold(block)
		b.start()
		b.submitMany("t", total, echo, tasks.Normal)
		c := b.running(echo)
		b.eventually("all handlers are busy and more is buffered", func() bool {
			c.gate.mu.Lock()
			defer c.gate.mu.Unlock()
			return len(c.gate.buffer) > 0 && len(c.gate.handed) == 0 && b.slots.out() == handlers+len(c.gate.buffer)
		})
		b.submitMany("u", extra, echo, tasks.Normal)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			b.stop(b.d)
		}()
		b.eventually("the buffer is back", func() bool { return b.len(echo, tasks.Normal) == total+extra-handlers })
		close(block)
		<-stopped
		for range handlers {
			b.next()
		}

		b.d = b.another()
		b.slots.finish(handlers)
		c = newConsumer(b.d, echo) // its gate, without asynq
		var got []string
		for range total + extra - handlers {
			msg, err := c.gate.next()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, msg)
		}
		for i, msg := range got {
			want := fmt.Sprintf(`"task":"t%d"`, handlers+i)
			if i >= total-handlers {
				want = fmt.Sprintf(`"task":"u%d"`, i-(total-handlers))
			}
			if !strings.Contains(msg, want) {
				t.Fatalf("place %d holds %q, want %s", i, msg, want)
			}
		}
		c.gate.close()
		c.gate.leftover()
	})
}

func TestStopWhileHandling(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		block := make(chan struct{})
		b.store.hold(block)
		b.start()
		b.submit("t", echo, tasks.Normal)
		b.eventually("it is being claimed", func() bool { return b.store.claimed() == 1 })
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			b.stop(b.d)
		}()
		b.eventually("the consumer is told to stop", func() bool { return b.consumer(echo) == nil })
		close(block)
		<-stopped
		b.nextIs("t")
		if n := b.len(echo, tasks.Normal); n != 0 {
			t.Errorf("%d back in the queue", n)
		}
	})
}

// What asynq does not come for in time goes back, and its slots are free.
func TestStaleBufferGoesBack(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.handOver = 50 * time.Millisecond
		const total = handlers + 50
		b.slots.add(total)
		block := make(chan struct{})
		b.store.hold(block)
		b.start()
		b.submitMany("t", total, echo, tasks.Normal)
		b.eventually("the rest waits in Redis", func() bool {
			return b.len(echo, tasks.Normal) == total-handlers && b.slots.out() == handlers
		})
		close(block)
		for range total {
			b.next()
		}
	})
}

func TestFlushAllInMidFlight(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.refill = 100 * time.Millisecond
		b.start()
		const total = 20
		var ts []tasks.Ticket
		for i := range total { // old enough to be missed at once
			ts = append(ts, b.store.insert(fmt.Sprint(i), echo, tasks.Normal, time.Now().Add(-3*time.Second)))
		}
		if err := b.queue.Push(context.Background(), ts...); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i := range total {
			if i == 5 {
				if err := b.redis.Client().FlushAll(context.Background()).Err(); err != nil {
					t.Fatal(err)
				}
			}
			got := b.next()
			if seen[got.ID] {
				t.Errorf("%s assigned twice", got.ID)
			}
			seen[got.ID] = true
			b.slots.finish(1)
		}
	})
}

func TestScriptFlushInMidFlight(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.start()
		for i := range 10 {
			if err := b.redis.Client().ScriptFlush(context.Background()).Err(); err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprint(i)
			b.submit(id, echo, tasks.Normal)
			b.nextIs(id)
			b.slots.finish(1)
		}
	})
}

// Redis dies with all it holds and comes back empty.
func TestRedisRestartInMidFlight(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if b.server == nil {
			return // the in-process one lives as long as we do
		}
		b.d.times.refill = 100 * time.Millisecond
		b.start()
		b.submit("a", echo, tasks.Normal)
		b.nextIs("a")
		b.slots.finish(1)
		b.server.Kill()
		b.store.insert("b", echo, tasks.Normal, time.Now().Add(-3*time.Second))
		b.server.Restart()
		b.nextIs("b")
		b.slots.finish(1)
		b.eventually("pushes work again", func() bool {
			return b.queue.Push(context.Background(), b.store.insert("c", echo, tasks.Normal, time.Now())) == nil
		})
		b.nextIs("c")
	})
}

// The bell may be lost: the queue is asked again in a while, all the same.
func TestLostBell(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.poll = 100 * time.Millisecond
		b.start()
		b.submit("warm", echo, tasks.Normal)
		b.nextIs("warm")
		b.slots.finish(1)
		b.quiet(echo)
		pushSilently(b, "t", tasks.Low)
		b.nextIs("t")
	})
}

func TestDelayedTask(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.idle = 20 * time.Millisecond // so that a consumer that runs now has stopped by then
		wakes := make(chan queue.Wake, 100)
		ctx, cancel := context.WithCancel(context.Background())
		done, heard := make(chan struct{}), make(chan struct{}, 10)
		go func() {
			defer close(done)
			b.queue.Listen(ctx, func(w queue.Wake) { wakes <- w }, func() { heard <- struct{}{} })
		}()
		defer func() { cancel(); <-done }()
		<-heard
		b.start()
		b.submit("now", echo, tasks.High)
		b.nextIs("now")
		b.slots.finish(1)
		<-wakes
		tk := b.store.insert("later", echo, tasks.Low, time.Now())
		runAt := time.Now().Add(1300 * time.Millisecond)
		b.store.mu.Lock()
		b.store.rows["later"].runAt, b.store.rows["later"].stamp = runAt, runAt
		b.store.mu.Unlock()
		tk.RunAt, tk.Stamp = runAt, runAt
		if err := b.queue.Push(context.Background(), tk); err != nil {
			t.Fatal(err)
		}
		if w := <-wakes; w.At.Before(runAt) || w.At.Nanosecond() != 0 {
			t.Errorf("the bell says %v, due is %v", w.At, runAt)
		}
		b.nextIs("later")
		if time.Now().Before(runAt) {
			t.Error("too early")
		}
		// The forwarder has told all servers.
		if w := <-wakes; !w.At.IsZero() || w.Lanes != [queue.Lanes]bool{false, false, true} {
			t.Errorf("wake %v", w)
		}
	})
}

// A consumer that stops leaves an alarm for what is delayed in its queues.
func TestRetiringConsumerSetsAlarm(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.idle = 20 * time.Millisecond
		b.start()
		b.submit("now", echo, tasks.Normal)
		b.nextIs("now")
		tk := b.store.insert("later", echo, tasks.Normal, time.Now())
		tk.RunAt = time.Now().Add(time.Hour)
		b.store.mu.Lock()
		b.store.rows["later"].runAt = tk.RunAt
		b.store.mu.Unlock()
		if err := b.queue.Push(context.Background(), tk); err != nil {
			t.Fatal(err)
		}
		b.slots.finish(1)
		b.eventually("an alarm", func() bool {
			b.d.mu.Lock()
			defer b.d.mu.Unlock()
			return b.d.consumers[echo] == nil && b.d.alarms[echo].at.Equal(dueSecond(tk.RunAt))
		})
	})
}

func dueSecond(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }

func TestConsumersFollowWorkers(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.slots.serve(echo, false)
		b.start()
		b.submit("t", echo, tasks.Normal)
		other := tasks.Pair{Group: "g2", Kind: "echo"}
		b.slots.serve(other, true)
		b.submit("o", other, tasks.Normal) // heard after the first
		b.nextIs("o")
		b.slots.finish(1)
		if b.consumer(echo) != nil {
			t.Fatal("a consumer without a worker")
		}
		b.slots.serve(echo, true)
		b.d.Changed([]string{"g1"}, []string{"echo"})
		b.nextIs("t")
		b.slots.finish(1)
		b.slots.serve(echo, false)
		b.eventually("the consumer stops", func() bool { return b.consumer(echo) == nil })
	})
}

// Work that no bell told of is found by looking.
func TestLookAround(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.look = 50 * time.Millisecond
		b.start()
		pushSilently(b, "t", tasks.Normal)
		b.nextIs("t")
	})
}

func TestStartFindsWhatWaits(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.submit("t", echo, tasks.Normal)
		b.start()
		b.nextIs("t")
	})
}

func TestSessionGoneBeforeAssign(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.slots.gone = 2
		b.start()
		b.submit("t", echo, tasks.Normal)
		got := b.next()
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		if got.ID != "t" || got.Attempt != 3 || b.store.unclaims != 2 {
			t.Errorf("%s attempt %d after %d unclaims", got.ID, got.Attempt, b.store.unclaims)
		}
	})
}

// While the store is away entries come back every second and are never given up.
func TestStoreAway(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.start()
		b.store.setAway(true)
		b.submit("t", echo, tasks.Normal)
		b.eventually("claims fail more often than asynq retries", func() bool { return b.store.claimed() >= 3 })
		b.store.setAway(false)
		b.nextIs("t")
		name := queue.Name(echo, tasks.Normal)
		if n := b.redis.Client().Exists(context.Background(), "asynq:{"+name+"}:archived").Val(); n != 0 {
			t.Error("asynq has archived it")
		}
	})
}

// An entry may stand twice, or for a task that is no longer wanted.
func TestUnwantedEntries(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.start()
		tk := b.store.insert("a", echo, tasks.Normal, time.Now())
		gone := tk
		gone.Task = "cancelled"
		if err := b.queue.Push(context.Background(), gone, tk, tk); err != nil {
			t.Fatal(err)
		}
		b.submit("b", echo, tasks.Normal)
		b.nextIs("a")
		b.slots.finish(1)
		b.nextIs("b")
		b.slots.finish(1)
		if n := b.store.claimed(); n != 4 {
			t.Errorf("%d claims", n)
		}
	})
}

func TestTwoServersShare(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.slots.add(7)
		other := b.another()
		if err := other.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer b.stop(other)
		<-other.listens
		b.start()
		const total = 400
		b.submitMany("t", total, echo, tasks.Normal)
		var got []string
		for range total {
			got = append(got, b.next().ID)
			b.slots.finish(1)
		}
		slices.Sort(got)
		if len(slices.Compact(got)) != total {
			t.Error("some came twice")
		}
		if b.slots.peak() > 8 {
			t.Errorf("%d of 8 slots taken", b.slots.peak())
		}
	})
}

func TestStopWithoutStart(t *testing.T) {
	b := newBench(t, "")
	b.stop(b.d)
	if err := b.d.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.stop(b.d) // nothing runs: goleak
}
