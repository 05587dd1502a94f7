package queue

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/redis/go-redis/v9"
)

func TestWindow(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		ctx := t.Context()
		q.Window = 10
		admits := func() bool { return q.Admits(ctx, pair, tasks.Normal) }
		for i := range 10 {
			if !admits() {
				t.Fatalf("full at %d", i)
			}
			push(t, q, tickets(1)...)
		}
		if admits() {
			t.Fatal("admits above its limit")
		}
		if !q.Admits(ctx, pair, tasks.High) {
			t.Error("another queue is full too")
		}
		other := New(r, discard) // another server
		other.Window = 10
		if _, err := q.Take(ctx, pair, [Lanes]int{0, 10, 0}); err != nil {
			t.Fatal(err)
		}
		if other.Admits(ctx, pair, tasks.Normal) {
			t.Error("the mark is not seen elsewhere")
		}
		q.window(Name(pair, tasks.Normal)).forget()
		if admits() {
			t.Error("admits again before a refill found nothing left")
		}
		if states, err := q.States(ctx, pair); err != nil || !states[1].Overflow || !q.Low(states[1]) {
			t.Errorf("states %v %v", states, err)
		}
		if err := q.MarkClear(ctx, pair, tasks.Normal); err != nil {
			t.Fatal(err)
		}
		if !admits() {
			t.Error("still full")
		}
		eventually(t, "the other server sees it", func() bool { return other.Admits(ctx, pair, tasks.Normal) })
	})
}

// Tasks for tomorrow do not close a queue to those for now.
func TestScheduledTasksTakeNoRoom(t *testing.T) {
	each(t, func(t *testing.T, _ *Redis, q *Queue) {
		q.Window = 2
		ts := tickets(3)
		for i := range ts {
			ts[i].RunAt = time.Now().Add(24 * time.Hour)
		}
		push(t, q, ts...)
		if !q.Admits(t.Context(), pair, tasks.Normal) {
			t.Error("full of tasks that are not due")
		}
	})
}

func TestWindowLooksSeldom(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		looks := 0
		r.Client().AddHook(pipelines{"exists", func() error { looks++; return nil }})
		w := q.window(Name(pair, tasks.High))
		for range 1000 {
			w.mu.Lock()
			if !w.looked.IsZero() {
				w.looked = time.Now().Add(time.Hour) // it is never time for another
			}
			w.mu.Unlock()
			if !q.Admits(t.Context(), pair, tasks.High) {
				t.Fatal("full")
			}
		}
		if looks != 1 {
			t.Errorf("%d looks", looks)
		}
	})
}

// pipelines calls sent before each pipeline that begins with the command, and does
// not send it after an error.
type pipelines struct {
	begin string
	sent  func() error
}

func (h pipelines) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h pipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h pipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if i := slices.IndexFunc(cmds, func(c redis.Cmder) bool { return c.Name() != "multi" }); i >= 0 && cmds[i].Name() == h.begin { // not the greeting of a new connection
			if err := h.sent(); err != nil {
				return err
			}
		}
		return next(ctx, cmds)
	}
}

// While Redis is away nothing is admitted, and what was refused is marked for
// refill once it is back.
func TestWindowWhileRedisIsAway(t *testing.T) {
	url, srv := redistest.Start(t)
	r, err := Open(t.Context(), url, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	q := New(r, discard)
	srv.Kill()
	if q.Admits(t.Context(), pair, tasks.Normal) {
		t.Error("admits without Redis")
	}
	if err := q.Push(t.Context(), ticket("t", tasks.Normal)); err == nil {
		t.Error("pushed without Redis")
	}
	srv.Restart()
	eventually(t, "Redis is back", func() bool { return r.Ping(t.Context()) == nil })
	eventually(t, "the mark is set", func() bool {
		q.Admits(t.Context(), pair, tasks.Normal)
		s, err := q.States(t.Context(), pair)
		return err == nil && s[1].Overflow
	})
	if err := q.MarkClear(t.Context(), pair, tasks.Normal); err != nil {
		t.Fatal(err)
	}
	if !q.Admits(t.Context(), pair, tasks.Normal) {
		t.Error("still closed")
	}
}

// A caller who has left is no outage, and what was accepted is pushed.
func TestCallerHasLeft(t *testing.T) {
	each(t, func(t *testing.T, _ *Redis, q *Queue) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if !q.Admits(ctx, pair, tasks.Normal) {
			t.Error("the queue counts as full")
		}
		if err := q.Push(ctx, ticket("t", tasks.Normal)); err != nil {
			t.Error(err)
		}
		if s, err := q.States(t.Context(), pair); err != nil || s[1] != (State{Len: 1}) {
			t.Errorf("state %v %v", s, err)
		}
	})
}

func TestManyWindowsAreForgotten(t *testing.T) {
	r, err := Open(t.Context(), "", discard)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	q := New(r, discard)
	for i := range manyWindows {
		q.window(strconv.Itoa(i))
	}
	q.window("one more")
	if n := len(q.windows); n != 1 {
		t.Errorf("%d windows kept", n)
	}
}

// A refill that took its time leaves nothing to wait for, and one that took too
// long leaves alone what is another's by now.
func TestRefillLockAfterALongRefill(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		take := func() func() {
			release, ok, err := q.RefillLock(t.Context(), pair, tasks.High)
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			return release
		}
		ttl := func() time.Duration {
			return r.Client().PTTL(t.Context(), ownKey(Name(pair, tasks.High), "refill")).Val()
		}
		long := take()
		began := time.Now()
		eventually(t, "a second is over", func() bool { return time.Since(began) >= refillEvery })
		long()
		if left := ttl(); left >= 0 {
			t.Errorf("stays %v after a refill of %v", left, refillEvery)
		}
		tooLong := take()
		r.Client().Del(t.Context(), ownKey(Name(pair, tasks.High), "refill")) // as its time does
		take()
		tooLong()
		if left := ttl(); left < refillEvery {
			t.Errorf("another's lock is left %v", left)
		}
	})
}

func TestRefillLock(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		began := time.Now()
		release, ok, err := q.RefillLock(t.Context(), pair, tasks.High)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, ok, _ := q.RefillLock(t.Context(), pair, tasks.High); ok {
			t.Error("two hold it")
		}
		if _, ok, _ := q.RefillLock(t.Context(), pair, tasks.Low); !ok {
			t.Error("another queue's is taken")
		}
		release()
		eventually(t, "the lock is free again", func() bool {
			_, ok, _ := q.RefillLock(t.Context(), pair, tasks.High)
			return ok
		})
		// The in-process clock is clockTick exact.
		if d := time.Since(began); d < refillEvery-2*clockTick {
			t.Errorf("free after %v already", d)
		}
		_, ok, _ = q.RefillLock(t.Context(), pair, tasks.Low)
		ttl := r.Client().PTTL(t.Context(), ownKey(Name(pair, tasks.Low), "refill")).Val()
		if !ok && (ttl <= 0 || ttl > refillLock) {
			t.Errorf("an abandoned lock lives %v", ttl)
		}
	})
}
