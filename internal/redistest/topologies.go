package redistest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
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
			config := writeConfig(tb, dir, fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2", masterName, master.port),
				"sentinel down-after-milliseconds "+masterName+" 1000", "sentinel failover-timeout "+masterName+" 5000")
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

func writeConfig(tb testing.TB, dir string, lines ...string) (file string) {
	tb.Helper()
	file = filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
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

// Who a server of StartTLS lets in, with what Firmlight needs and no more.
const (
	user     = "firmlight"
	password = "not-for-others"
	rights   = "~asynq:* ~firmlight:* &asynq:* &firmlight:* +@all -@admin -@dangerous +info"
)

// StartTLS runs a server that speaks TLS only and lets in one user with few
// rights. The URL has that user; caFile is the certificate to trust (SSL_CERT_FILE).
func StartTLS(tb testing.TB) (url, caFile string) {
	tb.Helper()
	var tlsPort int
	start(tb, readyLine, func(_ int, dir string) []string {
		cert, key := certificate(tb, dir)
		caFile = cert
		var err error
		if tlsPort, err = freePort(); err != nil {
			tb.Fatal(err)
		}
		return []string{writeConfig(tb, dir,
			"tls-cert-file "+cert, "tls-key-file "+key, "tls-ca-cert-file "+cert, "tls-auth-clients no", fmt.Sprint("tls-port ", tlsPort),
			fmt.Sprintf("user %s on >%s %s", user, password, rights), "user default off")}
	})
	return fmt.Sprintf("rediss://%s:%s@127.0.0.1:%d", user, password, tlsPort), caFile
}

// certificate makes one for 127.0.0.1 that signs itself.
func certificate(tb testing.TB, dir string) (cert, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			tb.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", public), write("key.pem", "PRIVATE KEY", secret)
}
