package conformance

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/worker"
	"github.com/firmlight/firmlight/workload"
)

// memory is a network in memory: in a synctest bubble time costs nothing.
type memory struct {
	pipes  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory {
	return &memory{pipes: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.pipes:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.closed) }); return nil }
func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case m.pipes <- theirs:
		return ours, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type starter func(*memory) func(context.Context, Environment) (Program, error)

// failures plays all cases and returns the names of those that failed.
func failures(t *testing.T, start starter) (names []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		suite := Suite{Listener: m, Cases: Cases(), Start: start(m), Timeout: time.Minute, Parallel: 100}
		results, err := suite.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if !r.Passed() {
				names = append(names, r.Case.Name)
				t.Logf("%s: %s\n%s", r.Case.Name, r.Failure, r.details())
			}
		}
	})
	return names
}

// inProcess is a worker of the Go SDK.
type inProcess struct {
	*worker.Worker
	drain context.CancelFunc
	done  chan struct{}
}

func (p *inProcess) Drain() error          { p.drain(); return nil }
func (p *inProcess) Kill()                 { p.Stop(); <-p.done }
func (p *inProcess) Done() <-chan struct{} { return p.done }
func (p *inProcess) Output() string        { return "" }

func TestGoSDKPasses(t *testing.T) {
	failed := failures(t, func(m *memory) func(context.Context, Environment) (Program, error) {
		return func(_ context.Context, env Environment) (Program, error) {
			w := worker.New(worker.Options{Server: env.Server, Token: env.Token, Name: env.Name, Slots: env.Slots,
				Logger: slog.New(slog.DiscardHandler), DialContext: m.dial})
			for name, kind := range workload.Builtin(workload.Options{}) {
				w.Handle(name, worker.Builtin(kind))
			}
			ctx, drain := context.WithCancel(context.Background())
			p := &inProcess{Worker: w, drain: drain, done: make(chan struct{})}
			go func() {
				defer close(p.done)
				defer drain()
				_ = w.Run(ctx)
			}()
			return p, nil
		}
	})
	if len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
}

// A worker with a fault fails the cases of the rule that it breaks, and no
// others; without one it fails none. There is a fault for every case.
func TestPlantedFaults(t *testing.T) {
	final := []string{"close-4400", "close-4401", "close-4403", "close-4409", "close-4450"}
	faults := map[string][]string{
		"":                               nil,
		"resumes from the start":         {"hello"},
		"says hello twice":               {"one-hello"},
		"changes its name":               {"same-hello"},
		"keeps its first session":        {"newest-session"},
		"runs dropped attempts on":       {"dropped"},
		"never answers what was dropped": {"dropped-result"},
		"one object per frame":           {"several-objects", "order", "big-frame"},
		"closes on unknown types":        {"unknown-type"},
		"refuses unknown fields":         {"unknown-fields", "exact-names"},
		"names in any case":              {"exact-names"},
		"ignores max_message_bytes":      {"frame-limit"},
		"cannot echo null":               {"any-json"},
		"fails parts":                    {"optional-fields"},
		"one task at a time":             {"slots"},
		"fails unknown kinds":            {"rejected"},
		"would try bad input again":      {"failed"},
		"ignores cancel":                 {"order", "cancel", "timeout"},
		"cancels what is done":           {"cancel-crosses-result", "dropped-result"},
		"does not wait for acks":         {"resume", "dropped-result", "frame-limit", "stale-attempt", "lost-ack", "acks-in-any-order", "close-1009"},
		"sends a result once":            {"lost-ack"},
		"forgets results on reconnect":   {"resume", "dropped-result", "frame-limit", "stale-attempt", "acks-in-any-order", "close-1009"},
		"takes acks in order":            {"acks-in-any-order"},
		"lists acknowledged attempts":    {"resume", "unknown-fields", "dropped-result", "stale-attempt", "acks-in-any-order", "refused-result"},
		"keeps refused results":          {"dropped-result", "stale-attempt", "refused-result"},
		"leaves without groups":          {"groups"},
		"leaves on an error":             {"error", "unknown-fields"},
		"ends when the server drains":    {"server-drains"},
		"drains without a word":          {"worker-drains"},
		"pongs when idle":                {"ping"},
		"only pings are life":            {"any-frame-is-life"},
		"waits for ever":                 {"silent-server"},
		"tries seldom":                   {"keeps-trying"},
		"sends the same after 1009":      {"close-1009"},
		"reconnects after final codes":   final,
		"hurries after 4429":             {"close-4429", "close-4503"},
	}
	covered := map[string]bool{}
	for fault, want := range faults {
		for _, name := range want {
			covered[name] = true
		}
		t.Run(fault, func(t *testing.T) {
			got := failures(t, func(m *memory) func(context.Context, Environment) (Program, error) {
				return startModel(fault, m.dial)
			})
			if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
				t.Errorf("failed: %v, want %v", got, want)
			}
		})
	}
	for _, c := range Cases() {
		if !covered[c.Name] && !strings.HasPrefix(c.Name, "close-") {
			t.Errorf("no fault fails %s", c.Name)
		}
	}
}
