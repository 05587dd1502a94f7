package redistest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/firmlight/firmlight/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, url string) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	opts.MaxRetries = -1
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestDataIsLostByFlushAndByRestart(t *testing.T) {
	url, srv := redistest.Start(t)
	ctx := context.Background()
	for name, lose := range map[string]func(){"FlushAll": srv.FlushAll, "Restart": srv.Restart} {
		t.Run(name, func(t *testing.T) {

			if err := connect(t, url).Set(ctx, "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			lose()
			if err := connect(t, url).Get(ctx, "k").Err(); !errors.Is(err, redis.Nil) {
				t.Fatalf("GET after %s: %v, want no such key", name, err)
			}
		})
	}
}

func TestKillAndRestart(t *testing.T) {
	url, srv := redistest.Start(t)
	ctx := context.Background()
	srv.Kill()
	srv.Kill() // twice does no harm
	if err := connect(t, url).Ping(ctx).Err(); err == nil {
		t.Fatal("a killed server answers")
	}
	srv.Restart()
	if srv.URL() != url {
		t.Fatalf("URL is %s after the restart, was %s", srv.URL(), url)
	}
	if err := connect(t, url).Ping(ctx).Err(); err != nil {
		t.Fatalf("a restarted server does not answer: %v", err)
	}
}

func TestServersAreSeparate(t *testing.T) {
	one, _ := redistest.Start(t)
	two, _ := redistest.Start(t)
	ctx := context.Background()
	if err := connect(t, one).Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := connect(t, two).DBSize(ctx).Result(); err != nil || n != 0 {
		t.Fatalf("the second server has %d keys (error %v), want none", n, err)
	}
}

// TestWithoutRedisServer runs itself again with an empty PATH.
func TestWithoutRedisServer(t *testing.T) {
	if os.Getenv("PATH") == "" {
		redistest.Start(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWithoutRedisServer$")
	cmd.Env = append(os.Environ(), "PATH=")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "make setup") {
		t.Fatalf("error %v, want a failure that says `make setup`:\n%s", err, out)
	}
}

func TestTopologies(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(tb testing.TB) string
		open  func(url string) (redis.UniversalClient, error)
	}{
		{"cluster", func(tb testing.TB) string { url, _ := redistest.StartCluster(tb); return url }, func(url string) (redis.UniversalClient, error) {
			o, err := redis.ParseClusterURL(url)
			return redis.NewClusterClient(o), err
		}},
		{"sentinel", func(tb testing.TB) string { url, _ := redistest.StartSentinel(tb); return url }, func(url string) (redis.UniversalClient, error) {
			o, err := redis.ParseFailoverURL(url)
			return redis.NewFailoverClient(o), err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.open(tt.start(t))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, key := range []string{"a", "b", "c", "d"} { // of different slots
				if err := c.Set(t.Context(), key, 1, 0).Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
