package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// build compiles a program of cmd as `make build` does, static and stripped, and
// returns its path.
func (b *bench) build(ctx context.Context, name string) (string, error) {
	out := filepath.Join(b.dir, name)
	b.say("building %s …", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "grpcnotrace", "-trimpath", "-ldflags", "-s -w", "-o", out,
		"github.com/firmlight/firmlight/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, text)
	}
	return out, nil
}

// backend is what carries the queues.
type backend string

const (
	inProcess backend = "embedded"
	realRedis backend = "Redis"
)

// rig is a server with one user and one group, on an empty store.
type rig struct {
	*kit.Server
	redis       *kit.Process // nil when embedded
	user, api   *kit.Client
	group       string
	workerToken string
	pprof       string // address of the private listener

	dir          string // of the data
	redisAddress string // empty when embedded
}

// start runs a rig; whoever gets one without an error stops it.
func (b *bench) start(ctx context.Context, on backend, env ...string) (*rig, error) {
	r := &rig{}
	if err := r.start(ctx, b, on, env); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *rig) start(ctx context.Context, b *bench, on backend, env []string) error {
	stdoutOf(ctx, "sync") // what was written before is not to slow what is measured now
	dir, err := b.temp("data")
	if err != nil {
		return err
	}
	r.dir = dir
	if on == realRedis {
		if r.redis, r.redisAddress, err = startRedis(ctx, dir); err != nil {
			return err
		}
		env = append(env, "FIRMLIGHT_REDIS_URL=redis://"+r.redisAddress+"/0")
	}
	if r.pprof, err = kit.FreeAddress(); err != nil {
		return err
	}
	env = append(env, "FIRMLIGHT_METRICS_LISTEN="+r.pprof)
	if r.Server, err = kit.StartServer(b.server, dir, env, nil); err != nil {
		return err
	}
	return r.introduce(ctx)
}

// introduce makes the user, the group and the tokens: work is submitted with an
// API token, as programs do.
func (r *rig) introduce(ctx context.Context) error {
	var err error
	if r.user, err = kit.Register(ctx, r.URL, "bench", "bench-password"); err != nil {
		return err
	}
	if r.group, err = r.user.Group(ctx, "Bench"); err != nil {
		return err
	}
	if r.workerToken, err = r.user.NewToken(ctx, "worker"); err != nil {
		return err
	}
	secret, err := r.user.NewToken(ctx, "api")
	r.api = kit.NewClient(r.URL, secret)
	return err
}

func (r *rig) stop() {
	if r.Server != nil && r.Process != nil {
		_ = r.Stop(20 * time.Second) // measured is done; it may have been killed
	}
	if r.redis != nil {
		r.redis.Kill()
	}
	_ = os.RemoveAll(r.dir) // nor is it to be written when nobody needs it
}

// startRedis runs a redis-server that keeps nothing on disk and returns its
// address.
func startRedis(ctx context.Context, dir string) (*kit.Process, string, error) {
	addr, err := kit.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	host, port, _ := strings.Cut(addr, ":")
	redis, err := kit.StartProcess("redis-server", []string{
		"--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", dir,
	}, nil, nil)
	if err != nil {
		return nil, "", fmt.Errorf("these figures need redis-server (`make setup` installs it): %w", err)
	}
	for began := time.Now(); !strings.Contains(redis.Output(), "Ready to accept connections"); {
		if time.Since(began) > 10*time.Second || !pause(ctx, 5*time.Millisecond) {
			redis.Kill()
			return nil, "", fmt.Errorf("redis-server is not ready: %s", redis.Output())
		}
	}
	return redis, addr, nil
}

func portOf(address string) string {
	_, port, _ := strings.Cut(address, ":")
	return port
}

// get returns the body of a 200.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// metric returns a number that the server shows to Prometheus, named with all its
// labels.
func (r *rig) metric(ctx context.Context, name string) (float64, error) {
	text, err := get(ctx, "http://"+r.pprof+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the server has no metric %s", name)
}
