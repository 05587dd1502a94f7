package queue

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	discard = slog.New(slog.DiscardHandler)
	pair    = tasks.Pair{Group: "g1", Kind: "echo"}
)

// each runs a test on the in-process Redis and on a real one.
func each(t *testing.T, test func(t *testing.T, r *Redis, q *Queue)) {
	run := func(url string) func(t *testing.T) {
		return func(t *testing.T) {
			r, err := Open(t.Context(), url, discard)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close() })
			flushAll(t, r.Client())
			test(t, r, New(r, discard))
		}
	}
	t.Run("embedded", run(""))
	url, _ := redistest.Start(t)
	t.Run("redis", run(url))
	url, _ = redistest.StartCluster(t)
	t.Run("cluster", run(url))
}

// onNodes calls do for Redis, or for each node of a cluster, one at a time.
func onNodes(t *testing.T, c redis.UniversalClient, do func(redis.Cmdable) error) {
	t.Helper()
	var err error
	if cluster, ok := c.(*redis.ClusterClient); ok {
		var one sync.Mutex
		err = cluster.ForEachMaster(t.Context(), func(_ context.Context, node *redis.Client) error {
			one.Lock()
			defer one.Unlock()
			return do(node)
		})
	} else {
		err = do(c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flushAll(t *testing.T, c redis.UniversalClient) {
	t.Helper()
	onNodes(t, c, func(node redis.Cmdable) error { return node.FlushAll(t.Context()).Err() })
}

func keysLike(t *testing.T, c redis.UniversalClient, pattern string) (all []string) {
	t.Helper()
	onNodes(t, c, func(node redis.Cmdable) error {
		keys, err := node.Keys(t.Context(), pattern).Result()
		all = append(all, keys...)
		return err
	})
	return all
}

// eventually waits for a condition that nothing signals.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func ticket(id string, pr tasks.Priority) tasks.Ticket {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return tasks.Ticket{Pair: pair, Priority: pr, Task: id, Attempt: 2, Stamp: now, RunAt: now}
}

func tickets(n int) []tasks.Ticket {
	ts := make([]tasks.Ticket, n)
	for i := range ts {
		ts[i] = ticket(strconv.Itoa(i), tasks.Normal)
	}
	return ts
}

func push(t *testing.T, q *Queue, ts ...tasks.Ticket) {
	t.Helper()
	if err := q.Push(t.Context(), ts...); err != nil {
		t.Fatal(err)
	}
}

// payloads reads the tickets' ids out of a lane's entries through asynq itself.
func ids(t *testing.T, r *Redis, name string, es []Entry) []string {
	t.Helper()
	var out []string
	ins := asynq.NewInspectorFromRedisClient(r.Client())
	for _, e := range es {
		info, err := ins.GetTaskInfo(name, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		tk, err := Decode(pair, tasks.Normal, info.Payload)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tk.Task)
	}
	return out
}

// Push leaves in Redis what asynq's own client would.
func TestPushWritesAsAsynqDoes(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		ctx, c := t.Context(), r.Client()
		for _, test := range []struct {
			name  string
			after time.Duration
		}{{"now", 0}, {"later", time.Hour}} {
			t.Run(test.name, func(t *testing.T) {
				tk := ticket("t1", tasks.High)
				tk.RunAt = tk.RunAt.Add(test.after).Truncate(time.Second)
				name := Name(pair, tasks.High)
				snapshot := func(enqueue func()) (fields []string, pending int64, scheduled []redis.Z, names []string) {
					flushAll(t, c)
					enqueue()
					keys := keysLike(t, c, key(name, "t:*"))
					if len(keys) != 1 {
						t.Fatalf("entries: %q", keys)
					}
					fields = slices.Sorted(maps.Keys(c.HGetAll(ctx, keys[0]).Val()))
					fields = append(fields, c.HGet(ctx, keys[0], "state").Val())
					scheduled = c.ZRangeWithScores(ctx, key(name, "scheduled"), 0, -1).Val()
					for i := range scheduled {
						if key(name, "t:"+scheduled[i].Member.(string)) != keys[0] {
							t.Fatalf("scheduled %v, entry %q", scheduled, keys[0])
						}
						scheduled[i].Member = nil
					}
					return fields, c.LLen(ctx, key(name, "pending")).Val(), scheduled, c.SMembers(ctx, allQueues).Val()
				}
				f1, p1, s1, n1 := snapshot(func() { push(t, q, tk) })
				f2, p2, s2, n2 := snapshot(func() {
					task := asynq.NewTask(taskType, []byte("{}"))
					if _, err := asynq.NewClientFromRedisClient(c).Enqueue(task, asynq.Queue(name), asynq.ProcessAt(tk.RunAt)); err != nil {
						t.Fatal(err)
					}
				})
				if !slices.Equal(f1, f2) || p1 != p2 || !slices.Equal(s1, s2) || !slices.Equal(n1, n2) {
					t.Errorf("ours %v %v %v %v, asynq's %v %v %v %v", f1, p1, s1, n1, f2, p2, s2, n2)
				}
			})
		}
	})
}

func TestPushKeepsTicketAndOrder(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		push(t, q, tickets(1200)...) // more than a portion
		taken, err := q.Take(t.Context(), pair, [Lanes]int{2, 1200, 2})
		if err != nil {
			t.Fatal(err)
		}
		got := ids(t, r, Name(pair, tasks.Normal), taken[1].Entries)
		for i, id := range got {
			if id != strconv.Itoa(i) {
				t.Fatalf("place %d holds %s", i, id)
			}
		}
		if len(got) != 1200 || taken[1].Left != 0 || len(taken[0].Entries)+len(taken[2].Entries) != 0 {
			t.Errorf("took %d, left %d, others %v %v", len(got), taken[1].Left, taken[0], taken[2])
		}
	})
}

// TestPushGivesUp: who pushes into a Redis that hangs holds up others, so that it
// counts as away long before go-redis has tried again and again.
func TestPushGivesUp(t *testing.T) {
	url, srv := redistest.Start(t)
	r, err := Open(t.Context(), url, discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	q := New(r, discard)
	srv.Freeze()
	began := time.Now()
	err = q.Push(t.Context(), tickets(1)...)
	took := time.Since(began)
	srv.Thaw()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != "queue_unavailable" || f.RetryAfter == 0 {
		t.Errorf("push: %v", err)
	}
	if took > 2*pushTime {
		t.Errorf("it took %s", took)
	}
	push(t, q, tickets(1)...)
}

// TestPushesShareARoundTrip: who comes while a push is under way goes with the next
// one, and all that go together are told the same.
func TestPushesShareARoundTrip(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		hold, trips := make(chan error), make(chan struct{}, 100)
		r.Client().AddHook(pipelines{"sadd", func() error { // each queue's name is written first
			trips <- struct{}{}
			return <-hold
		}})
		const callers = 20
		results := make(chan error, 1+callers)
		together := func(ts ...tasks.Ticket) { go func() { results <- q.Push(t.Context(), ts...) }() }
		together(ticket("first", tasks.Normal))
		<-trips
		for _, ts := range tickets(callers) {
			together(ts)
		}
		eventually(t, "the others stand in line", func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			return q.next != nil && len(q.next.tickets) == callers
		})
		hold <- nil
		if err := <-results; err != nil {
			t.Errorf("the first one: %v", err)
		}
		<-trips
		away := errors.New("no Redis")
		hold <- away
		for range callers {
			if err := <-results; !errors.Is(err, away) {
				t.Errorf("one of those who went together: %v", err)
			}
		}
		if len(trips) != 0 {
			t.Errorf("%d more round trips", len(trips))
		}
		close(hold)
		push(t, q, ticket("later", tasks.Normal))
	})
}

func TestDecode(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		want := ticket("some-id", tasks.Low)
		push(t, q, want)
		infos, err := asynq.NewInspectorFromRedisClient(r.Client()).ListPendingTasks(Name(pair, tasks.Low))
		if err != nil || len(infos) != 1 {
			t.Fatal(infos, err)
		}
		if got, err := Decode(pair, tasks.Low, infos[0].Payload); err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		if infos[0].MaxRetry < 1 || infos[0].Retention != 0 {
			t.Errorf("max retry %d, retention %v", infos[0].MaxRetry, infos[0].Retention)
		}
	})
	if _, err := Decode(pair, tasks.Low, []byte("no json")); err == nil {
		t.Error("no error for a payload that is not ours")
	}
}

func TestProcessAtIsRoundedUp(t *testing.T) {
	base := time.Date(2030, 1, 1, 0, 0, 7, 0, time.UTC)
	for _, test := range []struct{ in, want time.Duration }{
		{0, 0}, {time.Millisecond, time.Second}, {999 * time.Millisecond, time.Second}, {time.Second, time.Second},
	} {
		if got := dueSecond(base.Add(test.in)); !got.Equal(base.Add(test.want)) {
			t.Errorf("%v: %v", test.in, got)
		}
	}
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		tk := ticket("t", tasks.Normal)
		tk.RunAt = base.Add(300 * time.Millisecond)
		heard := listen(t, q)
		push(t, q, tk)
		z := r.Client().ZRangeWithScores(t.Context(), key(Name(pair, tasks.Normal), "scheduled"), 0, -1).Val()
		if len(z) != 1 || int64(z[0].Score) != base.Unix()+1 {
			t.Errorf("scheduled: %v", z)
		}
		if w := <-heard; !w.At.Equal(base.Add(time.Second)) || w.Lanes != [Lanes]bool{false, true, false} {
			t.Errorf("wake %v", w)
		}
		if next, err := q.NextDelayed(t.Context(), pair); err != nil || next.Unix() != base.Unix()+1 {
			t.Errorf("next delayed %v %v", next, err)
		}
	})
}

// A client kept over FLUSHALL would not name its queues again.
func TestQueuesAreNamedAgainAfterFlush(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		for range 2 {
			flushAll(t, r.Client())
			push(t, q, ticket("t", tasks.High))
			names, err := asynq.NewInspectorFromRedisClient(r.Client()).Queues()
			if err != nil || !slices.Equal(names, []string{Name(pair, tasks.High)}) {
				t.Errorf("queues %q, %v", names, err)
			}
		}
	})
}

func TestPutBackKeepsTheOrder(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		name := Name(pair, tasks.Normal)
		push(t, q, tickets(5)...)
		first, err := q.Take(t.Context(), pair, [Lanes]int{0, 3, 0})
		if err != nil || len(first[1].Entries) != 3 || first[1].Left != 2 {
			t.Fatal(first, err)
		}
		heard := listen(t, q)
		if err := q.PutBack(t.Context(), pair, first[1].Entries); err != nil {
			t.Fatal(err)
		}
		if w := <-heard; w.Lanes != [Lanes]bool{false, true, false} {
			t.Errorf("heard %v", w)
		}
		for _, left := range []string{"active", "lease"} {
			if n := r.Client().Exists(t.Context(), key(name, left)).Val(); n != 0 {
				t.Errorf("%s still there", left)
			}
		}
		again, err := q.Take(t.Context(), pair, [Lanes]int{0, 9, 0})
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(t, r, name, again[1].Entries); !slices.Equal(got, []string{"0", "1", "2", "3", "4"}) {
			t.Errorf("order %q", got)
		}
		for _, e := range again[1].Entries {
			if err := q.Finish(t.Context(), Handled{Queue: name, ID: e.ID}); err != nil {
				t.Fatal(err)
			}
		}
		if keys := keysLike(t, r.Client(), key(name, "*")); len(keys) != 0 {
			t.Errorf("left after the end: %q", keys)
		}
	})
}

func TestPutBackAfterFlushAddsNothing(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		push(t, q, tickets(2)...)
		taken, err := q.Take(t.Context(), pair, [Lanes]int{0, 2, 0})
		if err != nil {
			t.Fatal(err)
		}
		flushAll(t, r.Client())
		if err := q.PutBack(t.Context(), pair, taken[1].Entries); err != nil {
			t.Fatal(err)
		}
		if keys := keysLike(t, r.Client(), "*"); len(keys) != 0 {
			t.Errorf("keys %q", keys)
		}
	})
}

func TestTakeSurvivesScriptFlushAndOrphans(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		ctx, name := t.Context(), Name(pair, tasks.Normal)
		push(t, q, tickets(3)...)
		r.Client().RPush(ctx, key(name, "pending"), "orphan") // next out, without an entry
		for want := range 3 {
			r.Client().ScriptFlush(ctx)
			taken, err := q.Take(ctx, pair, [Lanes]int{1, 1, 1})
			if err != nil {
				t.Fatal(err)
			}
			if got := ids(t, r, name, taken[1].Entries); !slices.Equal(got, []string{strconv.Itoa(want)}) {
				t.Errorf("took %q", got)
			}
		}
		if n := r.Client().LLen(ctx, key(name, "active")).Val(); n != 3 {
			t.Errorf("active: %d", n)
		}
	})
}

func TestPausedQueueGivesNothing(t *testing.T) {
	each(t, func(t *testing.T, _ *Redis, q *Queue) {
		push(t, q, tickets(1)...)
		if err := q.Pause(t.Context(), pair, tasks.Normal); err != nil {
			t.Fatal(err)
		}
		taken, err := q.Take(t.Context(), pair, [Lanes]int{1, 1, 1})
		if err != nil || !taken[1].Paused || len(taken[1].Entries) != 0 || taken[0].Paused {
			t.Errorf("%v %v", taken, err)
		}
		states, err := q.States(t.Context(), pair)
		if err != nil || states[1] != (State{Len: 1, Paused: true}) {
			t.Errorf("states %v %v", states, err)
		}
		heard := listen(t, q)
		if err := q.Resume(t.Context(), pair, tasks.Normal); err != nil {
			t.Fatal(err)
		}
		<-heard
		if taken, err = q.Take(t.Context(), pair, [Lanes]int{0, 1, 0}); err != nil || len(taken[1].Entries) != 1 {
			t.Errorf("%v %v", taken, err)
		}
	})
}

func TestRecognize(t *testing.T) {
	k := func(suffixes ...string) (keys []string) {
		for _, s := range suffixes {
			keys = append(keys, key("g:k:high", s))
		}
		return keys
	}
	for _, test := range []struct {
		keys []string
		want Script
	}{
		{k("pending", "paused", "active", "lease"), Dequeue},
		{k("active", "lease", "t:1", "processed:2026-01-01", "processed"), Done},
		{k("scheduled", "pending"), Forward},
		{k("retry", "pending"), Forward},
		{k("t:1", "pending"), enqueueNow},
		{k("t:1", "scheduled"), enqueueLater},
		{k("pending"), OtherScript},
		{k("pending", "active", "paused", "lease"), OtherScript},
		{[]string{key("a", "t:1"), key("b", "pending")}, OtherScript},
		{[]string{"firmlight:{a}:t:1", "firmlight:{a}:pending"}, OtherScript},
		{nil, OtherScript},
	} {
		if got, _ := Recognize(test.keys); got != test.want {
			t.Errorf("%q: %d, want %d", test.keys, got, test.want)
		}
	}
}
