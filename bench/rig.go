package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
}

// start runs a rig; whoever gets one without an error stops it.
func (b *bench) start(ctx context.Context, on backend) (*rig, error) {
	r := &rig{}
	if err := r.start(ctx, b, on); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *rig) start(ctx context.Context, b *bench, on backend) error {
	dir, err := b.temp("data")
	if err != nil {
		return err
	}
	var env []string
	if on == realRedis {
		url, err := r.startRedis(ctx, dir)
		if err != nil {
			return err
		}
		env = append(env, "FIRMLIGHT_REDIS_URL="+url)
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
}

// startRedis runs a redis-server that keeps nothing on disk and returns its URL.
func (r *rig) startRedis(ctx context.Context, dir string) (string, error) {
	addr, err := kit.FreeAddress()
	if err != nil {
		return "", err
	}
	host, port, _ := strings.Cut(addr, ":")
	r.redis, err = kit.StartProcess("redis-server", []string{
		"--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", dir,
	}, nil, nil)
	if err != nil {
		return "", fmt.Errorf("these figures need redis-server (`make setup` installs it): %w", err)
	}
	for began := time.Now(); !strings.Contains(r.redis.Output(), "Ready to accept connections"); {
		if time.Since(began) > 10*time.Second || !pause(ctx, 5*time.Millisecond) {
			return "", fmt.Errorf("redis-server is not ready: %s", r.redis.Output())
		}
	}
	return "redis://" + addr + "/0", nil
}
