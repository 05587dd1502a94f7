package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/protocol"
)

const (
	idleBuffer    = 512 // bytes of each of our sockets' buffers: their memory is not what is measured
	idlePerToken  = 1000
	idleDialers   = 32
	idleSettling  = 15 * time.Second // after the last has come: pings go round a few times
	idleWatch     = 10 * time.Second // of CPU, a round
	warmUpSockets = 100
)

// idleWorkers is P7: what workers cost that are connected and have nothing to do, and
// what they would cost with fewer pings.
func (b *bench) idleWorkers(ctx context.Context) ([]row, error) {
	n := pick(b.short, 500, 10_000)
	what := fmt.Sprintf("%s idle workers: ", number(float64(n)))
	usual, err := b.idleFleet(ctx, n)
	if err != nil {
		return nil, err
	}
	seldom, err := b.idleFleet(ctx, n, "FIRMLIGHT_WORKER_PING=10s", "FIRMLIGHT_WORKER_TIMEOUT=21s")
	return []row{
		newRow("P7", what+"resident memory of the server, each", "KiB", usual.memory...).atMost(25).note("%s", usual.remark),
		newRow("P7", what+"CPU of the server", "% of a core", usual.cpu...).atMost(5),
		newRow("P7", what+"CPU with --worker-ping 10s --worker-timeout 21s", "% of a core", seldom.cpu...),
	}, err
}

// idleCost is what a server uses for idle workers, by round.
type idleCost struct {
	memory []float64 // KiB of each
	cpu    []float64 // % of a core
	remark string
}

// idleFleet connects n workers to a server with the settings of env.
func (b *bench) idleFleet(ctx context.Context, n int, env ...string) (cost idleCost, err error) {
	r, err := b.start(ctx, inProcess, env...)
	if err != nil {
		return cost, err
	}
	defer r.stop()
	t := &tally{}
	t.start()
	s := &swarm{rig: r, tally: t}
	defer s.close()
	// The first sockets bring what a server that has workers needs once.
	if err := s.grow(ctx, warmUpSockets); err != nil {
		return cost, err
	}
	if !pause(ctx, idleSettling) {
		return cost, ctx.Err()
	}
	before, _, err := kit.Memory(r.PID())
	if err != nil {
		return cost, err
	}
	began := time.Now()
	if err := s.grow(ctx, n); err != nil {
		return cost, err
	}
	connected := time.Since(began).Round(time.Millisecond)
	b.say("  %s workers connected in %s", number(float64(n)), connected)
	if !pause(ctx, idleSettling) {
		return cost, ctx.Err()
	}
	for i := range b.rounds {
		used, began := kit.CPU(r.PID()), time.Now()
		if !pause(ctx, idleWatch) {
			return cost, ctx.Err()
		}
		cpu := 100 * float64(kit.CPU(r.PID())-used) / float64(time.Since(began))
		now, _, err := kit.Memory(r.PID())
		if err != nil {
			return cost, err
		}
		memory := float64(now-before) / 1024 / float64(n-warmUpSockets)
		cost.memory, cost.cpu = append(cost.memory, memory), append(cost.cpu, cpu)
		b.say("  round %d of %d: %s KiB each, %s %% of a core%s", i+1, b.rounds, number(memory), number(cpu), remarked(t.remarks()))
	}
	if what := t.remarks(); what != "" {
		return cost, fmt.Errorf("the workers saw: %s", what)
	}
	if b.profile != "" && len(env) == 0 {
		if _, err := b.saveProfile(ctx, r.pprof, "P7", idleWatch); err != nil {
			return cost, err
		}
	}
	parts, err := r.memoryParts(ctx)
	cost.remark = fmt.Sprintf("connected in %s; of the whole server: %s", connected, parts)
	return cost, err
}

// memoryParts says what the server's memory is made of, as it tells Prometheus.
func (r *rig) memoryParts(ctx context.Context) (text string, err error) {
	for _, part := range []struct{ what, metric string }{
		{"resident", "process_resident_memory_bytes"},
		{"heap in use", "go_memstats_heap_inuse_bytes"},
		{"stacks", "go_memstats_stack_inuse_bytes"},
		{"heap idle", "go_memstats_heap_idle_bytes"},
	} {
		v, err := r.metric(ctx, part.metric)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf("%s %s MB, ", part.what, number(v/1e6))
	}
	n, err := r.metric(ctx, "go_goroutines")
	return text + number(n) + " goroutines", err
}

// swarm is many idle worker sockets, of as many tokens as the server wants.
type swarm struct {
	*rig
	tally    *tally
	assigned func(task string, at time.Time) // may be nil
	tokens   []string

	mu      sync.Mutex // guards sockets
	sockets []*loadWorker
}

// grow connects until there are n.
func (s *swarm) grow(ctx context.Context, n int) error {
	for len(s.tokens)*idlePerToken < n {
		token, err := s.user.NewToken(ctx, "worker")
		if err != nil {
			return err
		}
		s.tokens = append(s.tokens, token)
	}
	todo := make(chan int, n)
	for i := len(s.sockets); i < n; i++ {
		todo <- i
	}
	close(todo)
	failed := make(chan error, idleDialers)
	for range idleDialers {
		go func() { failed <- s.connectEach(ctx, todo) }()
	}
	var err error
	for range idleDialers {
		if e := <-failed; e != nil {
			err = e
		}
	}
	return err
}

func (s *swarm) connectEach(ctx context.Context, todo <-chan int) error {
	for i := range todo {
		w := &loadWorker{tally: s.tally, assigned: s.assigned}
		hello := protocol.Hello{Name: fmt.Sprintf("idle-%d", i), Kinds: []string{loadKind}, Slots: 1, SDK: "firmlight-bench"}
		if err := w.connect(ctx, s.URL, s.tokens[i/idlePerToken], hello, idleBuffer); err != nil {
			return fmt.Errorf("worker %d: %w", i, err)
		}
		s.mu.Lock()
		s.sockets = append(s.sockets, w)
		s.mu.Unlock()
	}
	return nil
}

// close ends all sockets at the same time.
func (s *swarm) close() {
	var all sync.WaitGroup
	for _, w := range s.sockets {
		all.Go(w.close)
	}
	all.Wait()
}
