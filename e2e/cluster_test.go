package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/internal/mongotest"
)

const (
	clusterServers = 3
	clusterWorkers = 4
	clusterSeed    = "FIRMLIGHT_TEST_SEED" // of the faults; as a run printed it
)

// TestCluster is several servers on one MongoDB and one Redis behind a load
// balancer, of which servers, workers, Redis and the store are killed, stopped and
// cut off at random while tasks are submitted and devices report. Afterwards every
// accepted task has ended exactly once, by its newest attempt; no attempt was run
// by two workers; who watched has heard of every end; what devices sent is counted
// once; and no job of the clock was run by two servers.
func TestCluster(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(clusterSeed); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	t.Logf("the faults of this run: %s=%d", clusterSeed, seed)
	c := startCluster(t, bins.Server, seed)
	ctx, cancel := context.WithTimeout(t.Context(), clusterTime+6*time.Minute)
	defer cancel()
	began := time.Now()
	over := make(chan struct{})
	isOver := func() bool { return time.Since(began) > clusterTime }
	watch := c.follow(ctx)
	var load sync.WaitGroup
	load.Go(func() { c.load(ctx, isOver) })
	devices := c.reportDevices(ctx, over)
	c.disturb(ctx, isOver)
	load.Wait()
	c.calm()
	t.Logf("%s after the beginning everything runs again", time.Since(began).Round(time.Second))
	close(over)
	c.verify(ctx)
	c.ownedOnce()
	watch.toldOf(c.accepted)
	<-devices
	c.jobsRunOnce()
}

// many is several servers; its cluster's server is the balancer in front of them.
type many struct {
	*faults
	store   *mongotest.Server
	servers []*member
	lines   map[string]*relay // between a worker and the balancer
	ledger  string            // a line for each attempt that a worker began
	runs    *jobRuns
}

// member is one of the servers, with its lines to what they share.
type member struct {
	*kit.Server
	redis, store *relay
	plug         func(in bool) error // nil: it has no network of its own
}

func startCluster(t *testing.T, server string, seed uint64) *many {
	t.Helper()
	env, store, redis := shared(t)
	m := &many{store: store, ledger: t.TempDir() + "/ledger", lines: map[string]*relay{}, runs: &jobRuns{}}
	network := startNetwork(t)
	var behind []string
	for i := range clusterServers {
		s := m.startServer(t, network, i, server, env, redis.Addr())
		m.servers = append(m.servers, s)
		behind = append(behind, s.URL)
	}
	balancer := &kit.Server{URL: startBalancer(t, behind...)}
	t.Setenv("LEDGER", m.ledger) // of the workers
	m.faults = &faults{
		cluster: introduce(t, balancer), redis: redis, batch: 5, backlog: 10, length: 100, look: 500 * time.Millisecond,
		workers: map[string]*kit.Process{}, rnd: rand.New(rand.NewPCG(seed, seed)),
	}
	m.door = func(worker string) string {
		line := startRelay(t, "127.0.0.1", strings.TrimPrefix(balancer.URL, "http://"))
		m.lines[worker] = line
		return line.in(balancer.URL)
	}
	for i := range clusterWorkers {
		m.spawn(fmt.Sprint("w", i))
	}
	return m
}

// startServer starts the server of a number, which reaches store and Redis through
// relays of its own.
func (m *many) startServer(t *testing.T, n *network, i int, bin string, env []string, redis string) *member {
	t.Helper()
	host := "127.0.0.1"
	listen, err := kit.FreeAddress()
	must(t, err)
	s := &member{}
	if n != nil {
		host = n.host
		bin, listen, s.plug = n.house(t, i, bin)
	}
	s.redis, s.store = startRelay(t, host, redis), startRelay(t, host, m.store.Addr())
	mine := []string{"FIRMLIGHT_LOG_LEVEL=debug", "FIRMLIGHT_LOG_FORMAT=json"}
	for _, e := range env {
		// A line that is cut is noticed by the server's own patience, not by that of
		// tests which let the stand-in be slow.
		mine = append(mine, s.store.in(s.redis.in(strings.Replace(e, "timeoutMS=60000&", "", 1))))
	}
	s.Server, err = kit.StartServerAt(listen, bin, t.TempDir(), mine, m.runs.of(i))
	must(t, err)
	killAtEnd(t, s.Server)
	return s
}

// calm waits until every server says that it is ready, and the balancer knows.
func (m *many) calm() {
	for _, s := range m.servers {
		must(m.t, s.WaitReady(time.Minute))
	}
	row := 0
	eventually(m.t, time.Minute, "the balancer has servers", func() bool {
		if _, err := m.List(m.t.Context(), m.group, map[string][]string{"limit": {"1"}, "status": {"running"}}); err != nil {
			row = 0
		} else {
			row++
		}
		return row == 10
	})
}
