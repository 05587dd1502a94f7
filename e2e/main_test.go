// Package e2e runs the real programs as processes and looks at them from the
// outside only: HTTP, WebSocket, signals.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/internal/redistest"
)

var (
	bins       kit.Binaries
	testWorker string
	firmlight  string // the command line
)

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "firmlight-e2e")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		bins, err = kit.Build(context.Background(), dir, true)
	}
	testWorker = filepath.Join(dir, "testworker")
	if err == nil {
		err = kit.BuildPackage(context.Background(), "e2e/testworker", testWorker, true)
	}
	firmlight = filepath.Join(dir, "firmlight")
	if err == nil {
		err = kit.BuildPackage(context.Background(), "cmd/firmlight", firmlight, true)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// cluster is a running server with a group of its user, and workers.
type cluster struct {
	*kit.Server
	*kit.Client
	t     testing.TB
	group string
	token string
}

// start runs a server with a user, a group and a worker token.
func start(t testing.TB, env ...string) *cluster {
	t.Helper()
	return startBinary(t, bins.Server, env...)
}

func startBinary(t testing.TB, server string, env ...string) *cluster {
	t.Helper()
	s, err := kit.StartServer(server, t.TempDir(), env, nil)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Stop(20 * time.Second); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("what the server complained of:\n%s", s.Complaints())
		}
	})
	return introduce(t, s)
}

// introduce makes a user, a group and a worker token.
func introduce(t testing.TB, s *kit.Server) *cluster {
	t.Helper()
	ctx := t.Context()
	c, err := kit.Register(ctx, s.URL, "ada", "a long password")
	must(t, err)
	cl := &cluster{Server: s, Client: c, t: t}
	cl.group, err = c.Group(ctx, "Analytical engines")
	must(t, err)
	cl.token, err = c.NewToken(ctx, "worker")
	must(t, err)
	// Access tokens end after 15 minutes; an API token does not.
	api, err := c.NewToken(ctx, "api")
	must(t, err)
	c.Token = api
	return cl
}

// worker starts a worker with the built-in kinds; it is stopped with the test.
func (c *cluster) worker(name string, slots int, args ...string) *kit.Process {
	c.t.Helper()
	p, err := kit.StartWorker(bins.Worker, c.Server.URL, c.token, name, slots, args, nil)
	must(c.t, err)
	c.t.Cleanup(p.Kill)
	return p
}

// testWorker starts a worker of kind "work".
func (c *cluster) testWorker(name string, slots int) *kit.Process {
	c.t.Helper()
	return c.testWorkerAt(c.Server.URL, name, slots)
}

// testWorkerAt starts one that connects to another URL than the server's.
func (c *cluster) testWorkerAt(url, name string, slots int) *kit.Process {
	c.t.Helper()
	p, err := kit.StartProcess(testWorker, nil, []string{
		"FIRMLIGHT_SERVER=" + url, "FIRMLIGHT_TOKEN=" + c.token, "NAME=" + name, fmt.Sprint("SLOTS=", slots),
	}, nil)
	must(c.t, err)
	c.t.Cleanup(p.Kill)
	return p
}

// submit submits a task that must be accepted.
func (c *cluster) submit(spec map[string]any) kit.Task {
	c.t.Helper()
	t, err := c.offer(spec)
	must(c.t, err)
	return t
}

// offer submits a task, again while the store is behind, as every client should. Any
// other refusal is returned: nothing was to be away.
func (c *cluster) offer(spec map[string]any) (kit.Task, error) {
	for {
		t, err := c.Submit(c.t.Context(), c.group, spec)
		var p *kit.Problem
		if !errors.As(err, &p) || p.Code != "busy" {
			return t, err
		}
		pause(c.t.Context(), time.Second)
	}
}

// wait waits for a task's end and expects a status.
func (c *cluster) wait(id, status string) kit.Task {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	t, err := c.Wait(ctx, id)
	must(c.t, err)
	if t.Status != status {
		c.t.Fatalf("task %s (%s) is %s, want %s: %+v", t.ID, t.Kind, t.Status, status, t.Error)
	}
	return t
}

// redises are the two kinds of Redis that everything must work on.
func redises(t *testing.T, f func(t *testing.T, env ...string)) {
	t.Run("in-process Redis", func(t *testing.T) { f(t) })
	t.Run("real Redis", func(t *testing.T) {
		url, _ := redistest.Start(t)
		f(t, "FIRMLIGHT_REDIS_URL="+url)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok says true.
func eventually(t testing.TB, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s", patience, what)
		case <-tick.C:
		}
	}
}
