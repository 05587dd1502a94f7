package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/internal/mongotest"
	"github.com/firmlight/firmlight/internal/redistest"
)

// startTwo runs two servers on one MongoDB and one Redis.
func startTwo(t *testing.T) (c *cluster, second *kit.Server) {
	t.Helper()
	env, _, _ := shared(t)
	return start(t, env...), startMember(t, bins.Server, env)
}

// shared starts what several servers share.
func shared(t *testing.T) (env []string, mongodb *mongotest.Server, redis *redistest.Server) {
	t.Helper()
	mongodb, err := mongotest.Start()
	must(t, err)
	t.Cleanup(func() { must(t, mongodb.Stop()) })
	url, redis := redistest.Start(t)
	return []string{
		"FIRMLIGHT_MONGODB_URI=" + mongodb.Database(), "FIRMLIGHT_REDIS_URL=" + url, "FIRMLIGHT_SECRET=" + strings.Repeat("s", 32),
	}, mongodb, redis
}

// startMember runs one of several servers.
func startMember(t *testing.T, bin string, env []string) *kit.Server {
	t.Helper()
	s, err := kit.StartServer(bin, t.TempDir(), env, nil)
	must(t, err)
	killAtEnd(t, s)
	return s
}

func killAtEnd(t *testing.T, s *kit.Server) {
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("what the server at %s complained of:\n%s", s.URL, s.Complaints())
		}
	})
}

// TestMongoDB: two servers on one MongoDB and one Redis share their work; when one
// of them is killed the other one ends what it had.
func TestMongoDB(t *testing.T) {
	c, second := startTwo(t)
	c.worker("here", 2)
	c.worker("here too", 2)
	there, err := kit.StartWorker(bins.Worker, second.URL, c.token, "there", 2, nil, nil)
	must(t, err)
	t.Cleanup(there.Kill)
	c.mainJobs()

	var ids []string
	for i := range 6 {
		task := c.submit(map[string]any{"kind": "sleep", "title": fmt.Sprint("sleep ", i), "input": map[string]int{"ms": 8000}})
		ids = append(ids, task.ID)
	}
	for _, id := range ids { // six slots: two of them there
		c.working(id)
	}
	second.Kill()
	began := time.Now()
	moved := 0
	for _, id := range ids {
		if c.wait(id, "succeeded").Attempt > 1 {
			moved++
		}
	}
	if moved != 2 {
		t.Errorf("%d tasks were moved from the server that was killed, want 2", moved)
	}
	t.Logf("all done %s after the server was killed", time.Since(began).Round(100*time.Millisecond))
}
