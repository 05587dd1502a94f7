//go:build long

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

const (
	clusterServers = 3
	clusterWorkers = 4
	clusterSeed    = "FIRMLIGHT_TEST_SEED" // of the faults; as a run printed it
)

// TestCluster is several servers on one MongoDB and one Redis behind a load
// balancer, of which servers, workers and Redis are killed and stopped at random
// while tasks are submitted: every accepted task ends exactly once, by its newest
// attempt, and no attempt is run by two workers.
func TestCluster(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(clusterSeed); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	t.Logf("the faults of this run: %s=%d", clusterSeed, seed)
	c := startCluster(t, bins.Server, seed)
	ctx, cancel := context.WithTimeout(t.Context(), clusterTime+4*time.Minute)
	defer cancel()
	began := time.Now()
	over := func() bool { return time.Since(began) > clusterTime }
	var load sync.WaitGroup
	load.Go(func() { c.load(ctx, over) })
	for !over() && ctx.Err() == nil {
		pause(ctx, time.Duration(500+c.rnd.IntN(3000))*time.Millisecond)
		c.fault(ctx)
	}
	load.Wait()
	c.verify(ctx)
	c.ownedOnce()
}

// many is several servers; its cluster's server is the balancer in front of them.
type many struct {
	*faults
	servers []*kit.Server
	ledger  string // a line for each attempt that a worker began
}

func startCluster(t *testing.T, server string, seed uint64) *many {
	t.Helper()
	env, redis := shared(t)
	m := &many{ledger: t.TempDir() + "/ledger"}
	var behind []string
	for range clusterServers {
		s := startMember(t, server, env)
		m.servers = append(m.servers, s)
		behind = append(behind, s.URL)
	}
	balancer := &kit.Server{URL: startBalancer(t, behind...)}
	t.Setenv("LEDGER", m.ledger) // of the workers
	m.faults = &faults{
		cluster: introduce(t, balancer), redis: redis, batch: 10, backlog: 20, length: 50,
		workers: map[string]*kit.Process{}, rnd: rand.New(rand.NewPCG(seed, seed)),
	}
	for i := range clusterWorkers {
		m.spawn(fmt.Sprint("w", i))
	}
	return m
}

// fault does one of what may go wrong.
func (m *many) fault(ctx context.Context) {
	server := m.servers[m.rnd.IntN(len(m.servers))]
	switch at := m.rnd.IntN(10); {
	case at < 2:
		server.Kill()
		m.note("server killed", "")
		pause(ctx, time.Duration(m.rnd.IntN(3000))*time.Millisecond)
		must(m.t, server.Restart())
	case at < 4:
		must(m.t, server.Signal(syscall.SIGSTOP))
		m.note("server stopped (SIGSTOP)", "")
		pause(ctx, time.Duration(500+m.rnd.IntN(15000))*time.Millisecond)
		must(m.t, server.Signal(syscall.SIGCONT))
	case at < 5:
		must(m.t, server.Stop(time.Minute))
		m.note("server drained", "")
		must(m.t, server.Restart())
	case at < 7:
		m.killWorker(ctx)
	case at < 8:
		m.stopWorker(ctx)
	case at < 9:
		m.flush(ctx)
	default:
		m.redis.Kill()
		m.note("Redis killed", "")
		pause(ctx, time.Duration(m.rnd.IntN(4000))*time.Millisecond)
		m.redis.Restart()
	}
}

// ownedOnce reads what workers wrote when they began an attempt.
func (m *many) ownedOnce() {
	data, err := os.ReadFile(m.ledger)
	must(m.t, err)
	owner := map[string]string{}
	for line := range strings.Lines(string(data)) {
		attempt, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
		if other := owner[attempt]; other != "" {
			m.t.Errorf("attempt %s was begun by processes %s and %s", attempt, other, pid)
		}
		owner[attempt] = pid
	}
	m.t.Logf("%d attempts were begun for %d tasks", len(owner), len(m.accepted))
}
