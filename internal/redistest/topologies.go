package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	slots      = 16384
	agreeTime  = 20 * time.Second // for nodes to know each other
	masterName = "main"
)

// StartCluster runs a cluster of three nodes without replicas and returns a URL
// that names them all.
func StartCluster(tb testing.TB) (url string, nodes []*Server) {
	tb.Helper()
	const count = 3
	buses := make([]int, count)
	for i := range count {
		nodes = append(nodes, start(tb, readyLine, func(int, string) []string {
			bus, err := freePort()
			if err != nil {
				tb.Fatal(err)
			}
			buses[i] = bus
			return []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", strconv.Itoa(bus)}
		}))
	}
	for i, n := range nodes {
		n.do("CLUSTER", "ADDSLOTSRANGE", i*slots/count, (i+1)*slots/count-1)
		n.do("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, buses[0])
	}
	for _, n := range nodes {
		wait(tb, "the nodes know each other", func() bool {
			info := fmt.Sprint(n.do("CLUSTER", "INFO"))
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", count))
		})
	}
	return fmt.Sprintf("redis://%s?addr=%s&addr=%s", nodes[0].Addr(), nodes[1].Addr(), nodes[2].Addr()), nodes
}

// StartSentinel runs a master with two replicas, watched by three Sentinels that
// replace it a second after it fell silent. The URL names the Sentinels.
func StartSentinel(tb testing.TB) (url string, master *Server) {
	tb.Helper()
	master = start(tb, readyLine, func(int, string) []string { return nil })
	for range 2 {
		r := start(tb, readyLine, func(int, string) []string {
			return []string{"--replicaof", "127.0.0.1 " + strconv.Itoa(master.port), "--repl-diskless-sync-delay", "0"}
		})
		wait(tb, "a replica follows", func() bool {
			return strings.Contains(fmt.Sprint(r.do("INFO", "replication")), "master_link_status:up")
		})
	}
	sentinels := make([]*Server, 0, 3)
	for range cap(sentinels) {
		sentinels = append(sentinels, start(tb, "Sentinel ID is", func(_ int, dir string) []string {
			config := filepath.Join(dir, "sentinel.conf")
			text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d 2\nsentinel down-after-milliseconds %[1]s 1000\n"+
				"sentinel failover-timeout %[1]s 5000\n", masterName, master.port)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				tb.Fatal(err)
			}
			return []string{config, "--sentinel"}
		}))
	}
	for _, s := range sentinels {
		wait(tb, "the Sentinels know each other", func() bool {
			info := fmt.Sprint(s.do("INFO", "sentinel"))
			return strings.Contains(info, "slaves=2,sentinels=3")
		})
	}
	return fmt.Sprintf("redis://%s?master_name=%s&addr=%s&addr=%s",
		sentinels[0].Addr(), masterName, sentinels[1].Addr(), sentinels[2].Addr()), master
}

// do runs one command and fails the test on an error.
func (s *Server) do(args ...any) any {
	s.tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), Protocol: 2})
	defer func() { _ = client.Close() }()
	v, err := client.Do(context.Background(), args...).Result()
	if err != nil {
		s.tb.Fatalf("%v: %v", args, err)
	}
	return v
}

func wait(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(agreeTime); !is(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %s: %s", agreeTime, what)
		}
	}
}
