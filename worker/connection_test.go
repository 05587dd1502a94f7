package worker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

// gaps are the times between dials.
func (s *scripted) gaps() (gaps []time.Duration) {
	dials := s.times()
	for i := 1; i < len(dials); i++ {
		gaps = append(gaps, dials[i].Sub(dials[i-1]))
	}
	return gaps
}

func TestReconnectSchedule(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.refuse(func(try int) bool { return try > 1 && try < 40 })
		s.start(s.options(), map[string]Handler{"echo": echo})
		p := s.open()
		lost := time.Now()
		p.drop()
		s.open().drop()

		dials := s.times()[:40]
		for i, at := range dials[1:] {
			gap := at.Sub(dials[i])
			switch {
			case i == 0 && at != lost:
				t.Errorf("the first try came after %v", gap)
			case at.Sub(lost) < fastFor && gap > time.Second:
				t.Errorf("try %d, %v after the loss, came after %v", i, at.Sub(lost), gap)
			case gap > backoffMost:
				t.Errorf("try %d came after %v", i, gap)
			}
		}
		if total := dials[39].Sub(lost); total < time.Minute {
			t.Errorf("40 tries within %v: no backoff", total)
		}
	})
}

// A dial that hangs must not use up the grace.
func TestReconnectWhileDialsHang(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		opts := s.options()
		dial, hang := opts.DialContext, atomic.Bool{}
		opts.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if hang.Load() {
				s.mu.Lock()
				s.dials = append(s.dials, time.Now())
				s.mu.Unlock()
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return dial(ctx, network, addr)
		}
		s.start(opts, map[string]Handler{"echo": echo})
		p := s.open()
		hang.Store(true)
		p.drop()
		pass(fastFor)
		hang.Store(false)
		s.open().drop()
		for _, gap := range s.gaps()[:9] {
			if gap > time.Second {
				t.Errorf("a try came after %v", gap)
			}
		}
	})
}

func TestCloseCodes(t *testing.T) {
	tests := []struct {
		code        int
		final       bool
		least, most time.Duration // until the next try
	}{
		{code: protocol.CloseGoingAway, most: awayMost},
		{code: protocol.CloseTooLarge},
		{code: websocket.CloseInternalServerErr},
		{code: protocol.CloseInternal},
		{code: protocol.CloseSilent},
		{code: protocol.CloseSlow},
		{code: protocol.CloseTooMany, least: 5 * time.Second, most: 10 * time.Second},
		{code: protocol.CloseDisconnected, least: 5 * time.Second, most: 10 * time.Second},
		{code: protocol.CloseMalformed, final: true},
		{code: protocol.CloseUnauthorized, final: true},
		{code: protocol.CloseGroup, final: true},
		{code: protocol.CloseResumed, final: true},
		{code: 4499, final: true},
	}
	for _, tt := range tests {
		t.Run(strconv.Itoa(tt.code), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *scripted) {
				w := s.start(s.options(), map[string]Handler{"echo": echo, "wait": untilCancelled})
				p := s.open()
				p.send(assignment("t", 1, "wait", "1"))
				pass(time.Minute)
				closed := time.Now()
				p.closeWith(tt.code, "because")
				if tt.final {
					var end *ClosedError
					if err := w.ended(); !errors.As(err, &end) || end.Code != tt.code || !strings.Contains(err.Error(), "because") {
						t.Errorf("Run: %v", err)
					}
					return
				}
				again := s.next()
				if wait := time.Since(closed); wait < tt.least || wait > tt.most {
					t.Errorf("came back after %v", wait)
				}
				if want := []protocol.AttemptRef{{Task: "t", Attempt: 1}}; !reflect.DeepEqual(again.hello.Running, want) {
					t.Errorf("running: %v", again.hello.Running)
				}
				again.drop()
			})
		})
	}
}

// A server that welcomes and hangs up at once is not stormed.
func TestFlappingServer(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"echo": echo})
		for range 10 {
			s.open().drop()
		}
		atOnce, dials := time.Time{}, s.times()
		for i := range len(dials) - 1 {
			gap := dials[i+1].Sub(dials[i])
			if gap >= fastLeast {
				continue
			}
			if at := dials[i+1]; at.Sub(atOnce) < stableAfter {
				t.Errorf("try %d came at once, %v after another", i+2, at.Sub(atOnce))
			} else {
				atOnce = at
			}
		}
	})
}

func TestUpgradeRefused(t *testing.T) {
	for status, final := range map[int]bool{401: true, 403: true, 400: false, 429: false, 503: false, 302: false} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *scripted) {
				var tries atomic.Int32
				s.deny = func() int {
					if tries.Add(1) == 1 {
						return status
					}
					return 0
				}
				began := time.Now()
				w := s.start(s.options(), map[string]Handler{"echo": echo})
				if final {
					var refused *HandshakeError
					if err := w.ended(); !errors.As(err, &refused) || refused.Status != status || !strings.Contains(err.Error(), "not today") {
						t.Errorf("Run: %v", err)
					}
					return
				}
				s.open().drop()
				if wait := time.Since(began); status == 429 && wait < tooManyWait {
					t.Errorf("came back after %v", wait)
				}
			})
		})
	}
}

func TestSilentServerIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"echo": echo})
		p := s.next()
		p.send(protocol.Welcome{Session: "a", Resume: "b", TimeoutMS: 7000, MaxMessageBytes: 1 << 20})
		began := time.Now()
		again := s.next()
		if silent := time.Since(began); silent != 7*time.Second {
			t.Errorf("lost after %v", silent)
		}
		if again.hello.Session != "a" || again.hello.Resume != "b" {
			t.Errorf("hello: %s", again.helloRaw)
		}
		again.drop()
		p.drop()
	})
}

// Anything counts as life: also a WebSocket ping, and bytes of a frame that is
// not complete yet.
func TestSlowFrameIsLife(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"echo": echo})
		p := s.next()
		p.send(protocol.Welcome{Session: "a", Resume: "b", TimeoutMS: 3000})
		text := protocol.Encode(assignment("t", 1, "echo", `"slow"`))
		raw := p.ws.NetConn()
		header := []byte{0x81, 126, byte(len(text) >> 8), byte(len(text))}
		for _, part := range [][]byte{header, text[:20], text[20:40], text[40:]} {
			pass(2 * time.Second)
			if _, err := raw.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		p.finished("t", 1, protocol.Succeeded)
	})
}

func TestPongWhileHandlersAreBusy(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"wait": untilCancelled})
		p := s.next()
		p.send(protocol.Welcome{Session: "a", Resume: "b", TimeoutMS: 60_000})
		p.send(assignment("t1", 1, "wait", "1"), assignment("t2", 1, "wait", "1"))
		began := time.Now()
		p.send(protocol.Bare{Type: protocol.TypePing})
		p.receive(protocol.TypePong, &protocol.Bare{})
		if wait := time.Since(began); wait != 0 {
			t.Errorf("pong after %v", wait)
		}
	})
}

func TestNoWelcome(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"echo": echo})
		p := s.next()
		p.send(protocol.Bare{Type: protocol.TypePing})
		p.closed()
		p = s.next()
		began := time.Now()
		s.next() // the first one says nothing
		if wait := time.Since(began); wait < openTimeout || wait > openTimeout+backoffMost {
			t.Errorf("gave up after %v", wait)
		}
		p.drop()
	})
}

func TestMalformedFromServer(t *testing.T) {
	for name, frame := range map[string]string{"no JSON": "hello", "bad ack": `{"type":"ack","attempt":"one"}`} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *scripted) {
				s.start(s.options(), map[string]Handler{"echo": echo})
				p := s.open()
				if err := p.write([]byte(frame)); err != nil {
					t.Fatal(err)
				}
				p.closed()
				s.open().drop()
			})
		})
	}
}

func TestUnknownTypeFromServerIsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"echo": echo})
		p := s.open()
		if err := p.write([]byte(`{"type":"fanfare"}`)); err != nil {
			t.Fatal(err)
		}
		p.send(assignment("t", 1, "echo", "1"))
		p.finished("t", 1, protocol.Succeeded)
	})
}

func TestGroupsTakenAwayAreNotAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		opts := s.options()
		opts.Groups = []string{"g", "h"}
		w := s.start(opts, map[string]Handler{"echo": echo})
		p := s.open(func(m *protocol.Welcome) { m.Groups = []string{"g", "h"} })
		p.send(protocol.Groups{Groups: []string{"h"}})
		synctest.Wait()
		if got := w.Groups(); !reflect.DeepEqual(got, []string{"h"}) {
			t.Errorf("groups: %v", got)
		}
		p.drop()
		p = s.next()
		if !reflect.DeepEqual(p.hello.Groups, []string{"h"}) {
			t.Errorf("hello: %v", p.hello.Groups)
		}
		p.drop()
	})
}

func TestDrain(t *testing.T) {
	release := map[string]Handler{"wait": func(ctx context.Context, task *Task) (any, error) {
		pass(20 * time.Second)
		return 1, ctx.Err()
	}}
	t.Run("idle", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *scripted) {
			w := s.start(s.options(), release)
			p := s.open()
			synctest.Wait()
			w.drain()
			p.receive(protocol.TypeDrain, &protocol.Bare{})
			if code := p.closed(); code != protocol.CloseNormal {
				t.Errorf("closed with %d", code)
			}
			if err := w.ended(); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	})
	t.Run("finishes, over a reconnect, and takes nothing new", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *scripted) {
			w := s.start(s.options(), release)
			p := s.open()
			p.send(assignment("t", 1, "wait", "1"))
			synctest.Wait()
			w.drain()
			p.receive(protocol.TypeDrain, &protocol.Bare{})
			p.drop()
			p = s.open()
			p.receive(protocol.TypeDrain, &protocol.Bare{})
			p.send(assignment("new", 1, "wait", "1"))
			p.finished("new", 1, protocol.Rejected)
			p.finished("t", 1, protocol.Succeeded)
			if code := p.closed(); code != protocol.CloseNormal {
				t.Errorf("closed with %d", code)
			}
			if err := w.ended(); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	})
	t.Run("without a server", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *scripted) {
			s.refuse(func(int) bool { return true })
			w := s.start(s.options(), release)
			pass(time.Minute)
			w.drain()
			began := time.Now()
			if err := w.ended(); err != nil || time.Since(began) > 0 {
				t.Errorf("Run: %v after %v", err, time.Since(began))
			}
		})
	})
	t.Run("while the server says nothing", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *scripted) {
			w := s.start(s.options(), release)
			s.next()
			w.drain()
			began := time.Now()
			if err := w.ended(); err != nil || time.Since(began) > 0 {
				t.Errorf("Run: %v after %v", err, time.Since(began))
			}
		})
	})
}

func TestServerDrainKeepsWorkingUntilIdle(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"wait": untilCancelled})
		p := s.open()
		p.send(assignment("t", 1, "wait", "1"), protocol.Bare{Type: protocol.TypeDrain})
		pass(time.Minute)
		p.closeWith(protocol.CloseGoingAway, "")
		p = s.open()
		if len(p.hello.Running) != 1 || p.hello.Session != "session" {
			t.Errorf("hello: %s", p.helloRaw)
		}
		p.send(protocol.Cancel{Task: "t", Attempt: 1, Reason: protocol.CancelRequested})
		p.finished("t", 1, protocol.Cancelled)
	})
}

func TestStop(t *testing.T) {
	t.Run("with work", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *scripted) {
			w := s.start(s.options(), map[string]Handler{"wait": untilCancelled})
			p := s.open()
			p.send(assignment("t", 1, "wait", "1"))
			synctest.Wait()
			w.drain()
			p.receive(protocol.TypeDrain, &protocol.Bare{})
			w.Stop()
			w.Stop()
			if err := w.ended(); !errors.Is(err, ErrStopped) {
				t.Errorf("Run: %v", err)
			}
			if code := p.closed(); code != protocol.CloseGoingAway {
				t.Errorf("closed with %d", code)
			}
		})
	})
	t.Run("handler that does not listen", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *scripted) {
			w := s.start(s.options(), map[string]Handler{"deaf": func(context.Context, *Task) (any, error) {
				pass(time.Minute)
				return nil, nil
			}})
			p := s.open()
			p.send(assignment("t", 1, "deaf", "1"))
			synctest.Wait()
			began := time.Now()
			w.Stop()
			if err := w.ended(); !errors.Is(err, ErrStopped) || time.Since(began) > killWait+abortWait {
				t.Errorf("Run: %v after %v", err, time.Since(began))
			}
			pass(time.Minute) // for the handler's own end
		})
	})
	t.Run("before Run", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *scripted) {
			w := New(s.options())
			w.Handle("echo", echo)
			w.Stop()
			if err := s.run(w).ended(); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	})
}

func TestOptions(t *testing.T) {
	good := Options{Server: "http://x", Token: "t", Name: "n"}
	tests := map[string]struct {
		change func(*Options)
		kinds  []string
		want   string
	}{
		"no token":   {func(o *Options) { o.Token = "" }, []string{"k"}, "no token"},
		"no kinds":   {func(o *Options) {}, nil, "kinds"},
		"bad kind":   {func(o *Options) {}, []string{"K"}, "kinds"},
		"long name":  {func(o *Options) { o.Name = strings.Repeat("x", 65) }, []string{"k"}, "name"},
		"many slots": {func(o *Options) { o.Slots = 1025 }, []string{"k"}, "slots"},
		"no URL":     {func(o *Options) { o.Server = "localhost:8080" }, []string{"k"}, "URL"},
		"ftp":        {func(o *Options) { o.Server = "ftp://x" }, []string{"k"}, "http"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opts := good
			tt.change(&opts)
			w := New(opts)
			for _, k := range tt.kinds {
				w.Handle(k, echo)
			}
			if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

func TestSocketURL(t *testing.T) {
	for server, want := range map[string]string{
		"http://a":                   "ws://a/api/v1/worker",
		"https://a:8443/":            "wss://a:8443/api/v1/worker",
		"ws://a/base/":               "ws://a/base/api/v1/worker",
		"wss://u:p@a?x=1#f":          "wss://a/api/v1/worker",
		"http://a/api/v1/worker":     "ws://a/api/v1/worker",
		"http://[::1]:8080/api/v1//": "ws://[::1]:8080/api/v1//api/v1/worker",
	} {
		if got, err := socketURL(server); err != nil || got != want {
			t.Errorf("%s: %s, %v", server, got, err)
		}
	}
}

// The same over a real network and a real clock.
func TestOverTCP(t *testing.T) {
	done := make(chan protocol.Result, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		p := newPeer(t, ws)
		go p.read()
		p.receive(protocol.TypeHello, &p.hello)
		p.send(protocol.Welcome{Session: "a", Resume: "b", TimeoutMS: 7000}, assignment("t", 1, "echo", `{"a":[1]}`))
		done <- p.finished("t", 1, protocol.Succeeded)
		p.receive(protocol.TypeDrain, &protocol.Bare{})
		p.closed()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	w := New(Options{Server: server.URL, Token: "secret", Name: "tcp", Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	w.Handle("echo", echo)
	end := make(chan error, 1)
	go func() { end <- w.Run(ctx) }()
	if r := <-done; string(r.Output) != `{"a":[1]}` {
		t.Errorf("output: %s", r.Output)
	}
	cancel()
	if err := <-end; err != nil {
		t.Errorf("Run: %v", err)
	}
}
