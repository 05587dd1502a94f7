package workers_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

func TestLoss(t *testing.T) {
	tests := map[string]struct {
		end   func(c *client)
		after time.Duration // until the tasks are taken back
		heard time.Duration // when the worker was last heard
		cause tasks.Cause
	}{
		"left with 1000":    {func(c *client) { c.sock.leave(1000) }, 0, 0, tasks.CauseWorkerLeft},
		"left with 1001":    {func(c *client) { c.sock.leave(1001) }, 0, 0, tasks.CauseWorkerLeft},
		"closed with 1005":  {func(c *client) { c.sock.leave(1005) }, 3 * time.Second, 0, ""},
		"closed with 1011":  {func(c *client) { c.sock.leave(1011) }, 3 * time.Second, 0, ""},
		"connection broken": {func(c *client) { c.sock.cut() }, 3 * time.Second, 0, ""},
		"silent":            {func(c *client) { c.mute() }, 10 * time.Second, 0, ""},
		"malformed frame":   {func(c *client) { c.sendRaw("x") }, 3 * time.Second, 0, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				c, welcome := w.connect(hello())
				w.assign("t1")
				expect[protocol.Assign](c)
				start := time.Now()
				tt.end(c)
				got := <-w.tasks.lost
				if got.session != welcome.Session || got.ByServer || got.Reason == "" || got.Cause != tt.cause {
					t.Errorf("lost %+v", got)
				}
				if took := got.at.Sub(start); took != tt.after {
					t.Errorf("lost after %v, want %v", took, tt.after)
				}
				if heard := got.LastHeard.Sub(start); heard != tt.heard {
					t.Errorf("last heard at %v, want %v", heard, tt.heard)
				}
				if s := w.state(welcome.Session); s.State != workers.Lost {
					t.Errorf("state %s", s.State)
				}
			})
		})
	}
}

func TestPings(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		sock := newPipe(0)
		w.wg.Go(func() { w.hub.Serve(context.Background(), sock, alice) })
		if err := sock.write(protocol.Encode(hello())); err != nil {
			t.Fatal(err)
		}
		var at []time.Duration
		start := time.Now()
		for {
			frame, err := sock.read()
			if err != nil {
				break
			}
			if string(frame) == `{"type":"ping"}` {
				at = append(at, time.Since(start))
			}
		}
		if got := fmt.Sprint(at); got != "[2.5s 5s]" {
			t.Errorf("pings at %s", got)
		}
		if silent := time.Since(start); silent != 7*time.Second || sock.closed() != 4508 {
			t.Errorf("closed after %v with %d", silent, sock.closed())
		}
	})
}

// TestPingsGoOutTogether: whenever a worker connected, its pings have a beat in common
// with others', and none comes later than it should.
func TestPingsGoOutTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		at := map[time.Duration]int{}
		start := time.Now()
		for i := range 3 {
			sock := newPipe(0)
			w.wg.Go(func() { w.hub.Serve(context.Background(), sock, alice) })
			if err := sock.write(protocol.Encode(hello())); err != nil {
				t.Fatal(err)
			}
			w.wg.Go(func() {
				for {
					frame, err := sock.read()
					if err != nil {
						return
					}
					if string(frame) == `{"type":"ping"}` {
						mu.Lock()
						at[time.Since(start)]++
						mu.Unlock()
					}
				}
			})
			<-time.After(time.Duration(i+1) * 20 * time.Millisecond)
		}
		<-time.After(6 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(at) != 2 || at[2500*time.Millisecond] != 3 || at[5*time.Second] != 3 {
			t.Errorf("pings at %v", at)
		}
	})
}

func TestAnyFrameCountsAsLife(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, _ := w.connect(hello())
		c.mute()
		for range 5 {
			pass(6 * time.Second)
			c.send(protocol.Slots{Slots: 1})
		}
		last := time.Now()
		if code := c.sock.closed(); code != 4508 || time.Since(last) != 7*time.Second {
			t.Errorf("closed with %d, %v after the last frame", code, time.Since(last))
		}
	})
}

// again is the hello of a worker that comes back.
func again(welcome protocol.Welcome, running ...protocol.AttemptRef) protocol.Hello {
	h := hello()
	h.Session, h.Resume, h.Running = welcome.Session, welcome.Resume, running
	return h
}

func TestResumeInGrace(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, welcome := w.connect(hello())
		kept, died := w.assign("kept"), w.assign("died")
		a := expect[protocol.Assign](c)
		expect[protocol.Assign](c)
		c.sock.cut()
		pass(2 * time.Second)
		if s := w.state(welcome.Session); s.State != workers.Grace || time.Until(s.Until) != time.Second {
			t.Errorf("in grace: %+v", s)
		}
		c, back := w.connect(again(welcome, ref(kept))) // the other assign died with the socket
		if back.Session != welcome.Session || back.Worker != welcome.Worker || len(back.Dropped) > 0 ||
			len(back.Resumed) != 1 || back.Resumed[0] != ref(kept) {
			t.Errorf("welcome %+v", back)
		}
		if s := w.state(welcome.Session); s.State != workers.Connected || s.Epoch != 2 {
			t.Errorf("resumed: %+v", s)
		}
		if known := w.hub.Knows(back.Session); !known[ref(kept)] || known[ref(died)] {
			t.Errorf("known %v", known)
		}
		if got := len(w.hub.TryReserve(pair("g1", "k"), 9)); got != 1 {
			t.Errorf("%d slots free beside the resumed attempt", got)
		}
		c.result(a, protocol.Succeeded)
		if ack := expect[protocol.Ack](c); !ack.Accepted {
			t.Errorf("ack %+v", ack)
		}
		pass(time.Minute)
		if len(w.tasks.lost) > 0 {
			t.Error("lost after a resume")
		}
	})
}

func TestResumeTooLate(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, welcome := w.connect(hello())
		task := w.assign("t1")
		a := expect[protocol.Assign](c)
		c.sock.cut()
		<-w.tasks.lost
		c, fresh := w.connect(again(welcome, ref(task)))
		if fresh.Session == welcome.Session || fresh.Worker != welcome.Worker || len(fresh.Resumed) > 0 ||
			len(fresh.Dropped) != 1 || fresh.Dropped[0] != ref(task) {
			t.Errorf("welcome %+v", fresh)
		}
		if got := len(w.hub.TryReserve(pair("g1", "k"), 9)); got != 1 {
			t.Fatalf("%d slots free beside the dropped attempt", got)
		}
		if w.hub.Knows(fresh.Session)[ref(task)] {
			t.Error("a dropped attempt counts as its session's")
		}
		c.send(protocol.Progress{Task: "t1", Attempt: 1}) // it has not stopped yet
		c.result(a, protocol.Cancelled)
		if ack := expect[protocol.Ack](c); ack.Accepted {
			t.Errorf("ack %+v", ack)
		}
		synctest.Wait()
		if w.hub.TryReserve(pair("g1", "k"), 9) == nil {
			t.Error("the answer did not free the slot")
		}
	})
}

func TestResumeNeedsTheSecret(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, welcome := w.connect(hello())
		task := w.assign("t1")
		expect[protocol.Assign](c)
		stolen := welcome
		stolen.Resume = "guess"
		_, thief := w.connect(again(stolen, ref(task)))
		if thief.Session == welcome.Session || len(thief.Resumed) > 0 {
			t.Errorf("welcome %+v", thief)
		}
		if !w.hub.Cancel(task, protocol.CancelRequested) {
			t.Error("the session lost its task")
		}
		expect[protocol.Cancel](c)
	})
}

func TestResumeOnAnotherConnection(t *testing.T) {
	var resumed []int64
	inBubble(t, func(t *testing.T, w *world) {
		old, welcome := w.connect(hello())
		task := w.assign("t1")
		a := expect[protocol.Assign](old)
		slot := w.reserve("k") // of the old connection
		claimed := w.claimed(slot, "t2", 1)
		c, _ := w.connect(again(welcome, ref(task)))
		if code := old.sock.closed(); code != 4409 {
			t.Errorf("old connection closed with %d", code)
		}
		if err := slot.Assign(claimed, nil, nil); !errors.Is(err, workers.ErrSessionGone) {
			t.Errorf("assign with the old epoch: %v", err)
		}
		pass(time.Minute)
		if len(w.tasks.lost) > 0 || len(w.hub.Snapshot()) != 1 {
			t.Error("the end of the old connection touched the session")
		}
		c.result(a, protocol.Succeeded)
		expect[protocol.Ack](c)
		if fmt.Sprint(resumed) != "[2]" {
			t.Errorf("OnResume: %v", resumed)
		}
	}, func(o *workers.HubOptions) {
		o.OnResume = func(_ string, epoch int64) { resumed = append(resumed, epoch) }
	})
}

// Exactly one of resume and lost wins, however close they are.
func TestResumeAgainstTheEndOfGrace(t *testing.T) {
	for _, off := range []time.Duration{-time.Millisecond, 0, time.Millisecond} {
		t.Run(off.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				c, welcome := w.connect(hello())
				task := w.assign("t1")
				expect[protocol.Assign](c)
				c.sock.cut()
				pass(3*time.Second + off)
				_, back := w.connect(again(welcome, ref(task)))
				synctest.Wait()
				resumed, lost := len(back.Resumed) == 1, len(w.tasks.lost) == 1
				if resumed == lost || resumed != (back.Session == welcome.Session) {
					t.Errorf("resumed %v, lost %v", resumed, lost)
				}
				if off != 0 && resumed != (off < 0) {
					t.Errorf("%v from the end of grace: resumed %v", off, resumed)
				}
			})
		})
	}
}

func TestLossWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{Store: realStore(t)}
		w := newWorld(t, store)
		defer w.stop()
		c, welcome := w.connect(hello())
		store.down.Store(true)
		c.sock.cut()
		if code := func() int { c := w.dial(alice); c.send(hello()); return c.sock.closed() }(); code != 4500 {
			t.Errorf("without a store a hello is answered with %d", code)
		}
		pass(time.Minute)
		if len(w.tasks.lost) > 0 {
			t.Fatal("lost without the store")
		}
		store.down.Store(false)
		back := time.Now()
		if got := <-w.tasks.lost; got.session != welcome.Session || got.at.Sub(back) > 5*time.Second || got.at.Sub(back) < 3*time.Second {
			t.Errorf("lost %v after the store was back", got.at.Sub(back))
		}
	})
}

func TestStop(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		idle := w.dial(alice)
		h := hello()
		h.Kinds = []string{"other"}
		idle.send(h)
		expect[protocol.Welcome](idle)
		finishes, _ := w.connect(hello())
		w.assign("t1")
		a := expect[protocol.Assign](finishes)
		w.assign("t2")
		b := expect[protocol.Assign](finishes)
		busyHello := hello()
		busyHello.Slots = 1
		busy, welcome := w.connect(busyHello)
		w.assign("t3")
		expect[protocol.Assign](busy)
		opening := w.dial(alice)
		synctest.Wait()

		start := time.Now()
		stopped := make(chan error)
		go func() { stopped <- w.hub.Stop(context.Background()) }()
		if code := idle.sock.closed(); code != 1001 || time.Since(start) > 0 {
			t.Errorf("idle: %d after %v", code, time.Since(start))
		}
		if code := opening.sock.closed(); code != 1001 {
			t.Errorf("opening: %d", code)
		}
		if code := w.dial(alice).sock.closed(); code != 1001 {
			t.Errorf("new connection: %d", code)
		}
		for _, c := range []*client{finishes, busy} {
			if got := expect[protocol.Bare](c); got.Type != protocol.TypeDrain {
				t.Errorf("told %s", got.Type)
			}
		}
		pass(time.Second)
		finishes.result(a, protocol.Succeeded)
		expect[protocol.Ack](finishes)
		finishes.result(b, protocol.Succeeded)
		expect[protocol.Ack](finishes)
		if code := finishes.sock.closed(); code != 1001 || time.Since(start) != time.Second {
			t.Errorf("finished: %d after %v", code, time.Since(start))
		}
		if err := <-stopped; err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("stopped after %v: %v", time.Since(start), err)
		}
		if s := w.state(welcome.Session); busy.sock.closed() != 1001 || s.State != workers.Grace || !s.ByServer {
			t.Errorf("busy: %d, %+v", busy.sock.closed(), s)
		}
		if len(w.tasks.lost) > 0 {
			t.Error("a stopping server took tasks back")
		}
	}, func(o *workers.HubOptions) { o.Drain = 5 * time.Second })
}

func TestStopWithoutStart(t *testing.T) {
	hub := workers.NewHub(workers.HubOptions{})
	for range 2 {
		if err := hub.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := hub.Start(t.Context()); err != nil {
		t.Error(err)
	}
	sock := newPipe(0)
	hub.Serve(t.Context(), sock, alice)
	if sock.closed() != 1001 {
		t.Error("a stopped hub serves")
	}
}

// TestWhoseLossIsNews: owners are told once of a worker that was lost, and not of
// what they, or the worker, or a server did.
func TestWhoseLossIsNews(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(w *world, c *client, welcome protocol.Welcome)
		told int
	}{
		"connection broken": {func(_ *world, c *client, _ protocol.Welcome) { c.sock.cut() }, 1},
		"silent":            {func(_ *world, c *client, _ protocol.Welcome) { c.mute() }, 1},
		"left":              {func(_ *world, c *client, _ protocol.Welcome) { c.sock.leave(1000) }, 0},
		"token revoked":     {func(w *world, _ *client, _ protocol.Welcome) { w.hub.Revoke("tok1") }, 0},
		"was draining": {func(_ *world, c *client, _ protocol.Welcome) {
			c.send(protocol.Bare{Type: protocol.TypeDrain})
			pass(time.Second)
			c.sock.cut()
		}, 0},
		"came back": {func(w *world, c *client, welcome protocol.Welcome) {
			c.sock.cut()
			pass(time.Second)
			w.connect(again(welcome))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan workers.Session, 10)
			inBubble(t, func(t *testing.T, w *world) {
				c, welcome := w.connect(hello())
				tt.end(w, c, welcome)
				pass(time.Minute)
				synctest.Wait()
				if len(told) != tt.told {
					t.Fatalf("told %d times, want %d", len(told), tt.told)
				}
				if tt.told == 0 {
					return
				}
				if s := <-told; s.Worker != welcome.Worker || s.Owner != "u1" || s.Name != "pc" {
					t.Errorf("told of %+v", s)
				}
			}, func(o *workers.HubOptions) { o.OnLost = func(s workers.Session) { told <- s } })
		})
	}
}
