package e2e

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/redistest"
)

// workThrough submits tasks one after another, lets trouble happen in the middle,
// and expects each to succeed.
func workThrough(t *testing.T, c *cluster, trouble func()) {
	t.Helper()
	c.worker("steady", 4)
	var ids []string
	submit := func(n int) {
		for range n {
			ids = append(ids, c.submit(map[string]any{"kind": "sleep", "input": map[string]any{"ms": 20}}).ID)
		}
	}
	submit(30)
	c.wait(ids[0], "succeeded")
	trouble()
	submit(30) // Redis may be away: the store takes them
	for _, id := range ids {
		c.wait(id, "succeeded")
	}
}

// TestRedisCluster: a node that is killed and comes back empty loses no task.
func TestRedisCluster(t *testing.T) {
	url, nodes := redistest.StartCluster(t)
	workThrough(t, start(t, "FIRMLIGHT_REDIS_URL="+url), func() {
		for _, n := range nodes { // one of them has the queue
			n.Restart()
		}
	})
}

// TestRedisSentinel: the master is killed for good, and a replica takes its place.
func TestRedisSentinel(t *testing.T) {
	url, master := redistest.StartSentinel(t)
	began := time.Now()
	workThrough(t, start(t, "FIRMLIGHT_REDIS_URL="+url), func() { master.Kill(); began = time.Now() })
	t.Logf("all done %s after the master was killed", time.Since(began).Round(100*time.Millisecond))
}

// TestRedisTLS: over TLS, as a user who may not touch anything else.
func TestRedisTLS(t *testing.T) {
	url, ca := redistest.StartTLS(t)
	workThrough(t, start(t, "FIRMLIGHT_REDIS_URL="+url, "SSL_CERT_FILE="+ca), func() {})
}

// TestRedisIsAwayAtStart: a server starts without its Redis, says so, takes tasks
// into the store, and has them done once Redis is there.
func TestRedisIsAwayAtStart(t *testing.T) {
	url, redis := redistest.Start(t)
	c := start(t, "FIRMLIGHT_REDIS_URL="+url)
	c.worker("patient", 2)
	redis.Kill()
	c.Server.Kill()
	ready := make(chan error, 1)
	go func() { ready <- c.Server.Restart() }() // until /readyz is 200
	get := func(path string) (status int, body string) { return fetch(t, c.Server.URL+path) }
	eventually(t, 20*time.Second, "the server lives", func() bool { status, _ := get("/healthz"); return status == http.StatusOK })
	if status, body := get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "Redis does not answer") {
		t.Errorf("ready without Redis: %d %s", status, body)
	}
	var ids []string
	for range 20 {
		ids = append(ids, c.submit(map[string]any{"kind": "echo", "input": 1}).ID)
	}
	select {
	case err := <-ready:
		t.Fatalf("ready without Redis: %v", err)
	default:
	}
	redis.Restart()
	must(t, <-ready)
	for _, id := range ids {
		c.wait(id, "succeeded")
	}
}

// fetch is a GET without a token; 0 where nothing answers.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// TestRedisIsSlow: a Redis that answers nothing for a while is said to be away;
// nobody waits for it for long, and what was accepted meanwhile is done.
func TestRedisIsSlow(t *testing.T) {
	url, redis := redistest.Start(t)
	c := start(t, "FIRMLIGHT_REDIS_URL="+url)
	var ids [4]string
	workThrough(t, c, func() {
		redis.Freeze()
		defer redis.Thaw()
		eventually(t, 10*time.Second, "it says so", func() bool {
			status, body := fetch(t, c.Server.URL+"/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(body, "Redis does not answer")
		})
		if status, _ := fetch(t, c.Server.URL+"/healthz"); status != http.StatusOK {
			t.Errorf("alive: %d", status)
		}
		took := make([]time.Duration, len(ids))
		for i := range took {
			began := time.Now()
			ids[i] = c.submit(map[string]any{"kind": "echo", "input": i}).ID
			took[i] = time.Since(began)
			must(t, c.Do(t.Context(), "GET", "/tasks/"+ids[i], nil, nil))
		}
		t.Logf("submits took %s", took)
		if slowest := slices.Max(took); slowest > 6*time.Second {
			t.Errorf("a submit took %s", slowest)
		}
	})
	for _, id := range ids {
		c.wait(id, "succeeded")
	}
}
