package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// disturb lets one thing after another go wrong: in random order each of them,
// then again. The server that has run the cluster's jobs so far is killed first, so
// that they move in any run.
func (m *many) disturb(ctx context.Context, over func() bool) {
	all := m.troubles()
	m.kill(ctx, 0)
	for !over() && ctx.Err() == nil {
		for _, i := range m.rnd.Perm(len(all)) {
			if over() || ctx.Err() != nil {
				return
			}
			pause(ctx, m.upTo(500, 2500))
			all[i](ctx)
		}
	}
}

// troubles are what may go wrong. What is stopped or cut off for long is given up
// by the others, and what comes back soon is not.
func (m *many) troubles() []func(context.Context) {
	all := []func(context.Context){
		m.killServer, m.stopServer, m.drainServer, m.killWorker, m.stopWorker, m.flush, m.killRedis, m.stopRedisLine, m.stopStoreLine, m.stopWorkerLine,
	}
	if m.store.StandIn {
		all = append(all, m.killStore, m.stopStore)
	}
	if m.servers[0].plug != nil {
		all = append(all, m.unplug)
	}
	return all
}

// upTo is a random time between two numbers of milliseconds.
func (m *many) upTo(least, most int) time.Duration {
	return time.Duration(least+m.rnd.IntN(most-least)) * time.Millisecond
}

func (m *many) anyServer() (*member, string) { return m.server(m.rnd.IntN(len(m.servers))) }

func (m *many) server(i int) (*member, string) { return m.servers[i], fmt.Sprint("server ", i, " ") }

// restart starts a server as whatever looks after it does: one that the store does
// not answer in time ends, and is started again.
func (m *many) restart(ctx context.Context, s *member) {
	for within := time.Now().Add(2 * time.Minute); ; {
		err := s.Restart()
		if err == nil {
			return
		}
		if time.Now().After(within) {
			m.t.Fatal(err)
		}
		m.t.Logf("a server did not start, and is started again: %v", err)
		s.Kill()
		pause(ctx, time.Second)
	}
}

func (m *many) killServer(ctx context.Context) { m.kill(ctx, m.rnd.IntN(len(m.servers))) }

func (m *many) kill(ctx context.Context, server int) {
	s, name := m.server(server)
	s.Kill()
	m.note(name+"killed", "")
	pause(ctx, m.upTo(0, 3000))
	m.restart(ctx, s)
}

func (m *many) stopServer(ctx context.Context) {
	s, name := m.anyServer()
	must(m.t, s.Signal(syscall.SIGSTOP))
	m.note(name+"stopped (SIGSTOP)", "")
	pause(ctx, m.upTo(500, 10_000))
	must(m.t, s.Signal(syscall.SIGCONT))
}

// drainServer stops a server in order. That it says what of its stop went wrong (a
// store that is slow after it was stopped) is right; that it does not end is not.
func (m *many) drainServer(ctx context.Context) {
	s, name := m.anyServer()
	err := s.Stop(time.Minute)
	var status *exec.ExitError
	if errors.As(err, &status) {
		m.t.Logf("%sended with an error: %v", name, err)
	} else {
		must(m.t, err)
	}
	m.note(name+"drained", "")
	m.restart(ctx, s)
}

func (m *many) killRedis(ctx context.Context) {
	m.redis.Kill()
	m.note("Redis killed", "")
	pause(ctx, m.upTo(0, 4000))
	m.redis.Restart()
}

func (m *many) killStore(ctx context.Context) {
	m.store.Kill()
	m.note("store killed", "")
	pause(ctx, m.upTo(0, 3000))
	must(m.t, m.store.Restart())
}

func (m *many) stopStore(ctx context.Context) {
	must(m.t, m.store.Freeze())
	m.note("store stopped (SIGSTOP)", "")
	pause(ctx, m.upTo(500, 10_000))
	must(m.t, m.store.Thaw())
}

func (m *many) stopRedisLine(ctx context.Context) {
	s, name := m.anyServer()
	m.cut(ctx, s.redis, name+"cut off from Redis", "")
}

func (m *many) stopStoreLine(ctx context.Context) {
	s, name := m.anyServer()
	m.cut(ctx, s.store, name+"cut off from the store", "")
}

func (m *many) stopWorkerLine(ctx context.Context) {
	name := m.anyWorker()
	m.cut(ctx, m.lines[name], "worker cut off", name)
}

func (m *many) cut(ctx context.Context, line *relay, what, worker string) {
	line.cut()
	m.note(what, worker)
	pause(ctx, m.upTo(1000, 14_000))
	line.heal()
}

// unplug takes a server from the network of all others.
func (m *many) unplug(ctx context.Context) {
	s, name := m.anyServer()
	must(m.t, s.plug(false))
	m.note(name+"unplugged", "")
	pause(ctx, m.upTo(1000, 14_000))
	must(m.t, s.plug(true))
}
