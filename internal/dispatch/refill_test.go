package dispatch

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
)

// idleConsumer returns a consumer whose goroutines do not run.
func (b *bench) idleConsumer() *consumer {
	c := newConsumer(b.d, echo)
	b.tb.Cleanup(func() {
		c.gate.close()
		c.end()
	})
	return c
}

func (b *bench) refills() (out []refill) {
	for {
		select {
		case r := <-b.store.refilled:
			out = append(out, r)
		default:
			return out
		}
	}
}

// Above its window a queue only overflows into the store, and everything leaves
// in the order in which it was submitted.
func TestOverflowAndRefillKeepTheOrder(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.queue.Window = 20
		b.d.times.refill, b.d.times.refillBusy = 100*time.Millisecond, 100*time.Millisecond
		const total = 60
		inserted := 0
		submit := func() {
			id := fmt.Sprint(inserted)
			inserted++
			if b.queue.Admits(context.Background(), echo, tasks.Normal) {
				b.submit(id, echo, tasks.Normal)
			} else {
				b.store.insert(id, echo, tasks.Normal, time.Time{})
			}
		}
		for range 50 {
			submit()
		}
		if n := b.len(echo, tasks.Normal); n != 20 {
			t.Fatalf("the window holds %d", n)
		}
		b.start()
		for i := range total {
			b.nextIs(fmt.Sprint(i))
			b.slots.finish(1)
			if i < 10 {
				submit() // there is room, but not their turn
			}
		}
		b.eventually("the mark is gone", func() bool {
			s, err := b.queue.States(context.Background(), echo)
			return err == nil && !s[1].Overflow
		})
		if !b.queue.Admits(context.Background(), echo, tasks.Normal) {
			t.Error("still closed")
		}
	})
}

func TestWhatRefillAsksFor(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := context.Background()
		b.queue.Window = 4
		for _, test := range []struct {
			name     string
			entries  int
			overflow bool
			paused   bool
			want     bool // asks the store
			due      bool // also for stamped ones
		}{
			{"empty", 0, false, false, true, true},
			{"empty, marked", 0, true, false, true, true},
			{"empty, paused", 0, false, true, false, false},
			{"some", 1, false, false, false, false},
			{"low, marked", 1, true, false, true, false},
			{"half full, marked", 2, true, false, false, false},
		} {
			t.Run(test.name, func(t *testing.T) {
				b.redis.Client().FlushAll(ctx)
				b.refills()
				b.submitMany(test.name, test.entries, echo, tasks.Low)
				c := b.idleConsumer()
				s := queue.State{Len: test.entries, Overflow: test.overflow, Paused: test.paused}
				if _, err := c.refillQueue(ctx, tasks.Low, s); err != nil {
					t.Fatal(err)
				}
				got := b.refills()
				if (len(got) > 0) != test.want {
					t.Fatalf("asked: %v", got)
				}
				if test.want && (got[0].pr != tasks.Low || got[0].before.IsZero() == test.due) {
					t.Errorf("asked for %v", got[0])
				}
				if age := time.Since(got0(got).before); test.due && (age < missingAfter || age > missingAfter+5*time.Second) {
					t.Errorf("misses what is older than %v", age)
				}
			})
		}
	})
}

// What workers take while a refill is at it makes room for more.
func TestRefillGoesOnWhileWorkersTake(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.queue.Window = 2 * refillPortion
		for i := range 3 * refillPortion {
			b.store.insert(fmt.Sprint(i), echo, tasks.Normal, time.Time{})
		}
		c := b.idleConsumer()
		overflows := queue.State{Len: 1, Overflow: true}
		if _, err := c.refillQueue(t.Context(), tasks.Normal, overflows); err != nil {
			t.Fatal(err)
		}
		if got := b.refills(); len(got) != 1 || b.len(echo, tasks.Normal) != refillPortion {
			t.Fatalf("filled above the half: %v, %d", got, b.len(echo, tasks.Normal))
		}
		b.redis.Client().FlushAll(t.Context())
		b.store.pushed = func() {
			if _, err := b.queue.Take(t.Context(), echo, [queue.Lanes]int{1: refillPortion}); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.refillQueue(t.Context(), tasks.Normal, overflows); err != nil {
			t.Fatal(err)
		}
		if got := b.refills(); len(got) < 2 {
			t.Errorf("refilled %v", got)
		}
	})
}

func got0(rs []refill) refill {
	if len(rs) == 0 {
		return refill{}
	}
	return rs[0]
}

// One server at a time, and at most once a second.
func TestRefillUnderLock(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := context.Background()
		var one, two *consumer
		b.eventually("all of it within the second", func() bool { // a stall frees the locks
			b.redis.Client().FlushAll(ctx)
			one, two = b.idleConsumer(), b.idleConsumer()
			began := time.Now()
			release, ok, err := b.queue.RefillLock(ctx, echo, tasks.High)
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			one.refill(ctx)
			whileLocked := b.refills()
			release()
			two.refill(ctx)
			again := b.refills()
			if time.Since(began) > time.Second/2 { // the in-process clock is no more exact
				return false
			}
			if len(whileLocked) != 2 || whileLocked[0].pr == tasks.High || whileLocked[1].pr == tasks.High {
				t.Errorf("while one is locked: %v", whileLocked)
			}
			if !one.asked[0].IsZero() || one.asked[1].IsZero() {
				t.Error("what another server refills waits for more than a tick")
			}
			if len(again) != 0 {
				t.Errorf("again within the second: %v", again)
			}
			return true
		})
		b.eventually("its turn comes", func() bool {
			one.asked, two.asked = [queue.Lanes]time.Time{}, [queue.Lanes]time.Time{}
			one.refill(ctx)
			two.refill(ctx)
			return len(b.refills()) > 0
		})
	})
}

// A crash between insert and push, or between dequeue and claim: the task is in
// the store only.
func TestDryConsumerFindsWhatIsMissing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.store.insert("lost", echo, tasks.High, time.Now().Add(-3*time.Second))
		b.start()
		b.nextIs("lost")
	})
}

// A queue that never runs dry: what is due and stamped well before the last
// entry out is not in it.
func TestAgeAudit(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.d.times.audit = 100 * time.Millisecond
		b.start()
		began := time.Now()
		b.store.insert("lost", echo, tasks.Normal, began.Add(-auditSlack-time.Millisecond))
		b.submitMany("t", 3000, echo, tasks.Normal)
		b.store.insert("recent", echo, tasks.Normal, time.Now())
		b.next()
		b.slots.finish(1)
		b.eventually("the lost one is put back", func() bool {
			select {
			case <-b.slots.assigned:
				b.slots.finish(1)
			default:
			}
			for _, r := range b.refills() {
				if r.n > 0 {
					if r.n != 1 || r.pr != tasks.Normal {
						t.Errorf("put back %v", r)
					}
					return true
				}
			}
			return false
		})
		if b.len(echo, tasks.Normal) == 0 {
			t.Error("the queue had run dry")
		}
	})
}

// While a queue overflows the audit brings what it has lost, and nothing that
// waits outside its window.
func TestAuditOfAnOverflowingQueue(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := context.Background()
		b.queue.Window = 2
		b.submitMany("t", 2, echo, tasks.Normal)
		if b.queue.Admits(ctx, echo, tasks.Normal) {
			t.Fatal("the queue does not overflow")
		}
		b.store.insert("outside", echo, tasks.Normal, time.Time{})
		b.store.insert("lost", echo, tasks.Normal, time.Now().Add(-time.Hour))
		c := b.idleConsumer()
		c.stamps.out(queue.Lane(tasks.Normal), time.Now())
		c.auditAge(ctx)
		if n := b.len(echo, tasks.Normal); n != 3 {
			t.Errorf("the queue holds %d, want 2 and the lost one", n)
		}
	})
}

func TestAuditNeedsMovement(t *testing.T) {
	b := newBench(t, "")
	c := b.idleConsumer()
	c.auditAge(context.Background())
	if got := b.refills(); len(got) != 0 {
		t.Errorf("asked %v", got)
	}
	stamp := time.Now().Add(-time.Hour)
	c.stamps.out(queue.Lane(tasks.Low), stamp)
	c.auditAge(context.Background())
	if got := b.refills(); len(got) != 1 || got[0].pr != tasks.Low || !got[0].before.Equal(stamp.Add(-auditSlack)) {
		t.Errorf("asked %v", got)
	}
}
