package workers_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// inBubble runs f with a hub on the embedded store and with a clock of its own.
func inBubble(t *testing.T, f func(t *testing.T, w *world), change ...func(*workers.HubOptions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, realStore(t), change...)
		defer w.stop()
		f(t, w)
	})
}

func TestWelcome(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := hello()
		h.Groups = []string{"g2"}
		h.Labels = map[string]string{"arch": "arm64"}
		_, welcome := w.connect(h)
		s := w.state(welcome.Session)
		if s.State != workers.Connected || s.Epoch != 1 || s.Owner != "u1" || s.Token != "tok1" || s.Server != "s1" ||
			s.Name != "pc" || s.Slots != 2 || !slices.Equal(s.Groups, h.Groups) || s.Labels["arch"] != "arm64" {
			t.Errorf("stored %+v", s)
		}
		if len(welcome.Resume) < 20 || strings.Contains(s.SecretHash, welcome.Resume) {
			t.Error("the secret is short, or not hashed")
		}
		if welcome.Worker != s.Worker || !slices.Equal(welcome.Groups, h.Groups) || welcome.PingMS != 2500 ||
			welcome.TimeoutMS != 7000 || welcome.GraceMS != 3000 || welcome.MaxMessageBytes != 4<<20 {
			t.Errorf("welcome %+v", welcome)
		}
		_, second := w.connect(hello())
		if second.Worker != welcome.Worker || second.Session == welcome.Session || len(second.Groups) != 2 {
			t.Errorf("a second session of the worker: %+v", second)
		}
		if got := w.hub.Kinds(); !slices.Equal(got["g1"], []string{"k", "l"}) || len(got) != 2 {
			t.Errorf("kinds %v", got)
		}
	})
}

func TestOpeningIsRefused(t *testing.T) {
	long := strings.Repeat("x", 65)
	tests := map[string]struct {
		frame string
		code  int
	}{
		"nothing in time":      {"", 4400},
		"no hello":             {`{"type":"pong"}`, 4400},
		"not JSON":             {`hello`, 4400},
		"second part not JSON": {`{"type":"hello","name":"a","kinds":["k"],"slots":1}` + "\nx", 4400},
		"no name":              {`{"type":"hello","kinds":["k"],"slots":1}`, 4400},
		"long name":            {`{"type":"hello","name":"` + long + `","kinds":["k"],"slots":1}`, 4400},
		"no kinds":             {`{"type":"hello","name":"a","kinds":[],"slots":1}`, 4400},
		"bad kind":             {`{"type":"hello","name":"a","kinds":["K"],"slots":1}`, 4400},
		"too many slots":       {`{"type":"hello","name":"a","kinds":["k"],"slots":1025}`, 4400},
		"running alone":        {`{"type":"hello","name":"a","kinds":["k"],"slots":1,"running":[{"task":"t","attempt":1}]}`, 4400},
		"another's group":      {`{"type":"hello","name":"a","kinds":["k"],"slots":1,"groups":["g1","g9"]}`, 4403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				start := time.Now()
				c := w.dial(alice)
				if tt.frame != "" {
					c.sendRaw(tt.frame)
				}
				if code := c.sock.closed(); code != tt.code {
					t.Errorf("closed with %d, want %d", code, tt.code)
				}
				if took := time.Since(start); (tt.frame == "") != (took == workers.Opening) {
					t.Errorf("closed after %v", took)
				}
				if len(w.hub.Snapshot()) > 0 {
					t.Error("there is a session")
				}
			})
		})
	}
}

func TestWork(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, welcome := w.connect(hello())
		task := w.assign("t1")
		a := expect[protocol.Assign](c)
		if a.Task != "t1" || a.Attempt != 1 || a.Kind != "k" || a.Group != "g1" || string(a.Input) != `{"n":1}` ||
			a.TimeoutMS != 60000 || !a.Deadline.Equal(task.Deadline.Truncate(time.Millisecond)) || a.Index != nil || a.Parent != "" {
			t.Errorf("assign %+v", a)
		}
		if !w.hub.Knows(welcome.Session)[ref(task)] {
			t.Error("the hub does not know the attempt")
		}
		w.assign("t2")
		b := expect[protocol.Assign](c)
		if w.hub.TryReserve(pair("g1", "k"), 1) != nil {
			t.Error("more assignments than slots")
		}
		c.result(a, protocol.Succeeded)
		if ack := expect[protocol.Ack](c); !ack.Accepted || ack.Task != "t1" || ack.Attempt != 1 {
			t.Errorf("ack %+v", ack)
		}
		c.result(a, protocol.Succeeded) // again: the ack may have been lost
		if ack := expect[protocol.Ack](c); !ack.Accepted {
			t.Errorf("second ack %+v", ack)
		}
		if got := len(w.hub.TryReserve(pair("g1", "k"), 9)); got != 1 {
			t.Errorf("%d slots free after one result sent twice", got)
		}
		if open := w.hub.Snapshot()[0].Open; len(open) != 1 || open[0].Task != b.Task {
			t.Errorf("open %v", open)
		}
	})
}

func TestLatePartsOfATaskKeepTheirOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := hello()
		h.Slots = 50
		c, _ := w.connect(h)
		var frame []protocol.Encoding
		want := map[string]string{}
		for i := range 50 {
			task := w.assign("t" + strings.Repeat("i", i))
			id := expect[protocol.Assign](c).Task
			frame = append(frame,
				protocol.Log{Task: id, Attempt: 1, Lines: []string{"one"}},
				protocol.Progress{Task: id, Attempt: 1, Message: "two"},
				protocol.Checkpoint{Task: id, Attempt: 1, Data: []byte("3")},
				protocol.Result{Task: id, Attempt: 1, Status: protocol.Succeeded, Output: []byte("4")})
			want[task.ID] = "log one,progress two,checkpoint 3,result"
		}
		c.send(frame...)
		for range 50 {
			expect[protocol.Ack](c)
		}
		got := map[string][]string{}
		for _, said := range w.tasks.said {
			words := strings.Fields(said)
			got[words[1]] = append(got[words[1]], strings.Join(append(words[:1], words[2:]...), " "))
		}
		for id, order := range want {
			if strings.Join(got[id], ",") != order {
				t.Errorf("%s: %v", id, got[id])
			}
		}
	})
}

func TestStoreAway(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, welcome := w.connect(hello())
		task := w.assign("t1")
		a := expect[protocol.Assign](c)
		w.tasks.setAway(errors.New("store away"))
		c.result(a, protocol.Succeeded)
		pass(10 * time.Second)
		if len(c.got) > 0 || !w.hub.Knows(welcome.Session)[ref(task)] {
			t.Error("a result was acknowledged that is not durable")
		}
		w.tasks.setAway(nil)
		c.result(a, protocol.Succeeded)
		if ack := expect[protocol.Ack](c); !ack.Accepted {
			t.Errorf("ack %+v", ack)
		}
	})
}

func TestSlowStoreIsNoSilence(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := hello()
		h.Slots = 1
		c, _ := w.connect(h)
		w.assign("t1")
		a := expect[protocol.Assign](c)
		w.tasks.during = make(chan struct{})
		c.result(a, protocol.Succeeded)
		for range 1000 { // more than the inbox holds: the reader has to wait
			go c.send(protocol.Progress{Task: "t1", Attempt: 1, Message: "x"})
		}
		pass(time.Minute)
		close(w.tasks.during)
		if ack := expect[protocol.Ack](c); !ack.Accepted {
			t.Errorf("ack %+v", ack)
		}
	})
}

func TestCancel(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := hello()
		h.Slots = 1
		c, _ := w.connect(h)
		task := w.assign("t1")
		a := expect[protocol.Assign](c)
		if !w.hub.Cancel(task, protocol.CancelTimeout) {
			t.Fatal("not found")
		}
		if got := expect[protocol.Cancel](c); got.Task != "t1" || got.Attempt != 1 || got.Reason != "timeout" {
			t.Errorf("cancel %+v", got)
		}
		if w.hub.TryReserve(pair("g1", "k"), 1) != nil {
			t.Error("the slot is free before the answer")
		}
		w.tasks.mu.Lock()
		clear(w.tasks.owners) // the attempt is taken away; its late result frees the slot
		w.tasks.mu.Unlock()
		c.result(a, protocol.Cancelled)
		if ack := expect[protocol.Ack](c); ack.Accepted || ack.Reason != protocol.StaleAttempt {
			t.Errorf("ack %+v", ack)
		}
		if w.hub.Cancel(task, protocol.CancelRequested) {
			t.Error("found an attempt that has ended")
		}
		slot := w.reserve("k")
		slot.Claiming("t2", 1)
		claimed := w.claimed(slot, "t2", 1)
		if !w.hub.Knows(claimed.Session)[ref(claimed)] || !w.hub.Cancel(claimed, protocol.CancelRequested) {
			t.Error("a claim in flight is not known")
		}
		if err := slot.Assign(claimed, nil, nil); err != nil {
			t.Fatal(err)
		}
		expect[protocol.Assign](c)
		if got := expect[protocol.Cancel](c); got.Task != "t2" || got.Reason != "requested" {
			t.Errorf("cancel %+v", got)
		}
	})
}

func TestCapacityChanges(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, welcome := w.connect(hello())
		p := pair("g1", "k")
		<-w.changes
		c.send(protocol.Slots{Slots: 5})
		<-w.changes
		got := w.hub.TryReserve(p, 9)
		if len(got) != 5 {
			t.Errorf("%d slots", len(got))
		}
		for _, slot := range got {
			slot.Release()
			slot.Release()
		}
		c.send(protocol.Slots{Slots: 0})
		<-w.changes
		if w.hub.TryReserve(p, 9) != nil || w.hub.Serves(p) {
			t.Error("a paused worker is offered tasks")
		}
		c.send(protocol.Slots{Slots: 1}, protocol.Bare{Type: protocol.TypeDrain})
		<-w.changes
		<-w.changes
		if w.hub.TryReserve(p, 9) != nil || len(w.hub.Workers()) > 0 {
			t.Error("a draining worker is offered tasks")
		}
		synctest.Wait()
		if s := w.state(welcome.Session); s.Slots != 1 || !s.Draining {
			t.Errorf("stored %+v", s)
		}
	})
}

func TestRejectedKindIsNotOffered(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, _ := w.connect(hello())
		w.assign("t1")
		c.result(expect[protocol.Assign](c), protocol.Rejected)
		expect[protocol.Ack](c)
		synctest.Wait()
		if w.hub.TryReserve(pair("g1", "l"), 1) == nil {
			t.Error("another kind is refused too")
		}
		start := time.Now()
		w.reserve("k")
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("offered again after %v", took)
		}
	})
}

func TestServerClosesWith(t *testing.T) {
	soon := alice
	tests := map[string]struct {
		do   func(w *world, c *client, session string)
		code int
	}{
		"revoked":      {func(w *world, _ *client, _ string) { w.hub.Revoke("tok1") }, 4401},
		"expired":      {func(*world, *client, string) { pass(time.Hour) }, 4401},
		"evicted":      {func(w *world, _ *client, s string) { w.hub.Evict(s, 2) }, 4409},
		"second hello": {func(_ *world, c *client, _ string) { c.send(hello()) }, 4400},
		"silence":      {func(_ *world, c *client, _ string) { c.mute() }, 4508},
		"too many messages": {func(_ *world, c *client, _ string) {
			c.sendRaw(strings.Repeat("{\"type\":\"pong\"}\n", 5001))
		}, 4429},
		"not its own any more": {func(w *world, _ *client, s string) {
			if ok, err := w.store.Part(context.Background(), s, 1, time.Now(), time.Now(), true); !ok || err != nil {
				w.t.Errorf("part: %v, %v", ok, err)
			}
			if err := w.hub.DropForeign(context.Background()); err != nil {
				w.t.Error(err)
			}
		}, 4500},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				soon.ExpiresAt = time.Now().Add(time.Hour)
				c := w.dial(soon)
				c.send(hello())
				welcome := expect[protocol.Welcome](c)
				w.hub.Evict(welcome.Session, 1)
				if err := w.hub.DropForeign(t.Context()); err != nil || len(w.hub.Snapshot()) != 1 {
					t.Fatalf("closed without a reason: %v", err)
				}
				tt.do(w, c, welcome.Session)
				if code := c.sock.closed(); code != tt.code {
					t.Errorf("closed with %d, want %d", code, tt.code)
				}
				synctest.Wait()
				if w.hub.Serves(pair("g1", "k")) || len(w.hub.Snapshot()) > 0 {
					t.Error("the session is still served")
				}
			})
		})
	}
}

func TestTooManyConnectionsOfAToken(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		first, _ := w.connect(hello())
		w.connect(hello())
		if code := w.dial(alice).sock.closed(); code != 4429 {
			t.Errorf("third connection closed with %d", code)
		}
		other := alice
		other.Token = "tok2"
		c := w.dial(other)
		c.send(hello())
		expect[protocol.Welcome](c)
		first.sock.leave(1000)
		synctest.Wait()
		w.connect(hello())
	}, func(o *workers.HubOptions) { o.PerToken = 2 })
}

func TestSlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		slow := newPipe(0) // nobody reads it: the welcome is stuck
		w.wg.Go(func() { w.hub.Serve(context.Background(), slow, alice) })
		other, _ := w.connect(hello())
		if err := slow.write(protocol.Encode(hello())); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the writer holds the welcome alone
		start := time.Now()
		for range 4200 { // each is answered with an error
			if slow.write([]byte(`{"type":"dance"}`)) != nil {
				break
			}
		}
		if code := slow.closed(); code != 4513 || time.Since(start) >= workers.WriteWait {
			t.Errorf("closed with %d after %v", code, time.Since(start))
		}
		w.assign("t1")
		expect[protocol.Assign](other)
	})
}

func TestStuckWriter(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		stuck := newPipe(0)
		w.wg.Go(func() { w.hub.Serve(context.Background(), stuck, alice) })
		if err := stuck.write(protocol.Encode(hello())); err != nil {
			t.Fatal(err)
		}
		for range 20 { // it is no silent one
			pass(time.Second)
			if stuck.write([]byte(`{"type":"pong"}`)) != nil {
				break
			}
		}
		if code := stuck.closed(); code != 4513 {
			t.Errorf("closed with %d", code)
		}
	})
}

// A session whose inputs pile up before its socket gets no more of them.
func TestInputsDoNotFillTheOutbox(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		sock := newPipe(0)
		w.wg.Go(func() { w.hub.Serve(context.Background(), sock, alice) })
		h := hello()
		h.Slots = 100
		if err := sock.write(protocol.Encode(h)); err != nil {
			t.Fatal(err)
		}
		input := []byte(`"` + strings.Repeat("x", 1<<19) + `"`)
		var given int
		slots, err := w.hub.Reserve(t.Context(), pair("g1", "k"), 1)
		for ; err == nil && slots != nil; slots = w.hub.TryReserve(pair("g1", "k"), 1) {
			given++
			err = slots[0].Assign(w.claimed(slots[0], "t"+strings.Repeat("i", given), 1), input, nil)
		}
		if err != nil || given < 2 || given > 4 {
			t.Fatalf("%d assigned before the worker read one: %v", given, err)
		}
		c := newClient(t, sock)
		expect[protocol.Welcome](c)
		for range given {
			expect[protocol.Assign](c)
		}
		w.reserve("k")
	})
}

func TestOnlyStalledServersReserveNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.connect(hello())
		w.reserve("k")
		w.hub.Stalled(true)
		if w.hub.TryReserve(pair("g1", "k"), 1) != nil {
			t.Error("reserved during a stall")
		}
		w.hub.Stalled(false)
		w.reserve("k")
	})
}

// flaky is a store that is away while down is set.
type flaky struct {
	workers.Store
	down atomic.Bool
}

var errDown = errors.New("store down")

func (f *flaky) Part(ctx context.Context, id string, epoch int64, until, lastHeard time.Time, byServer bool) (bool, error) {
	if f.down.Load() {
		return false, errDown
	}
	return f.Store.Part(ctx, id, epoch, until, lastHeard, byServer)
}

func (f *flaky) Open(ctx context.Context, s workers.Session) (workers.Session, error) {
	if f.down.Load() {
		return s, errDown
	}
	return f.Store.Open(ctx, s)
}
