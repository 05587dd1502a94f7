package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

const peersDir = "bench/peers"

// peer is a program of bench/peers that takes the load of P1 too.
type peer struct {
	name, what string
	goal       float64 // how many times as fast we want to be; 0: no goal
}

var peers = []peer{
	{"nest-postgres", "Nest, Express, Sequelize, PostgreSQL", 10},
	{"nest-express", "Nest, Express, no database", 4},
	{"nest-fastify", "Nest, Fastify, no database", 1.2},
	{"nethttp", "bare net/http, decodes only", 0},
}

// preparePeers installs and compiles what is in bench/peers.
func (b *bench) preparePeers(ctx context.Context) error {
	b.say("preparing %s …", peersDir)
	commands := [][]string{
		{"npm", "exec", "--prefix", peersDir, "--", "tsc", "-p", peersDir},
		{"go", "build", "-o", filepath.Join(b.dir, "nethttp"), "./" + peersDir + "/nethttp"},
	}
	lock, err := os.Stat(filepath.Join(peersDir, "package-lock.json"))
	if err != nil {
		return fmt.Errorf("bench runs in the folder of the repository: %w", err)
	}
	installed, err := os.Stat(filepath.Join(peersDir, "node_modules/.package-lock.json"))
	if err != nil || installed.ModTime().Before(lock.ModTime()) {
		commands = append([][]string{{"npm", "ci", "--prefix", peersDir, "--no-audit", "--no-fund", "--loglevel=error"}}, commands...)
	}
	for _, c := range commands {
		if err := command(ctx, c...); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program; its error has what it wrote.
func command(ctx context.Context, args ...string) error {
	if text, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return nil
}

// printed runs a program and returns what it printed; the error has what it
// complained about.
func printed(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		return nil, fmt.Errorf("%s: %w", strings.Join(cmd.Args[:min(2, len(cmd.Args))], " "), err)
	}
	return out, nil
}

// startPeer runs a peer; whoever gets a target without an error stops it.
func (b *bench) startPeer(ctx context.Context, p peer) (*target, error) {
	t := &target{peer: p}
	if err := b.startTarget(ctx, t); err != nil {
		t.stop()
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return t, nil
}

func (b *bench) startTarget(ctx context.Context, t *target) error {
	addr, err := kit.FreeAddress()
	if err != nil {
		return err
	}
	t.url = "http://" + addr
	env := []string{"PORT=" + portOf(addr), "NODE_ENV=production"}
	args := []string{"node", filepath.Join(peersDir, "dist", t.name+".js")}
	switch t.name {
	case "nethttp":
		args = []string{filepath.Join(b.dir, t.name)}
	case "nest-postgres":
		if t.database, err = b.startPostgres(ctx); err != nil {
			return err
		}
		env = append(env, "PGPORT="+t.database.port)
	}
	if t.process, err = kit.StartProcess(args[0], args[1:], env, nil); err != nil {
		return err
	}
	return untilListening(ctx, t.process, addr)
}

// untilListening waits until a process takes connections.
func untilListening(ctx context.Context, p *kit.Process, addr string) error {
	for began := time.Now(); time.Since(began) < 30*time.Second; {
		select {
		case <-p.Done():
			return fmt.Errorf("ended at once: %s", p.Output())
		default:
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("does not listen: %s", p.Output())
}

// postgres is a PostgreSQL cluster of our own in a temporary folder.
type postgres struct {
	dir, port string
	process   *kit.Process
}

func (b *bench) startPostgres(ctx context.Context) (*postgres, error) {
	p := &postgres{}
	if err := p.start(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("PostgreSQL: %w", err)
	}
	return p, nil
}

func (p *postgres) start(ctx context.Context) error {
	bin, err := postgresPrograms(ctx)
	if err != nil {
		return err
	}
	if p.dir, err = os.MkdirTemp("", "firmlight-bench-postgres-"); err != nil {
		return err
	}
	as, err := unprivileged(p.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	initdb := []string{filepath.Join(bin, "initdb"), "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-sync"}
	if err := command(ctx, slices.Concat(as, initdb)...); err != nil {
		return err
	}
	addr, err := kit.FreeAddress()
	if err != nil {
		return err
	}
	var host string
	host, p.port, _ = strings.Cut(addr, ":")
	// Commits are durable, as by default; the memory is what its documentation
	// recommends to begin with, and checkpoints are far apart.
	args := slices.Concat(as, []string{
		filepath.Join(bin, "postgres"), "-D", data, "-h", host, "-p", p.port, "-k", p.dir,
		"-c", "shared_buffers=1GB", "-c", "max_wal_size=8GB",
	})
	if p.process, err = kit.StartProcess(args[0], args[1:], nil, nil); err != nil {
		return err
	}
	for began := time.Now(); !strings.Contains(p.process.Output(), "ready to accept connections"); {
		if time.Since(began) > 30*time.Second || !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("is not ready: %s", p.process.Output())
		}
	}
	return nil
}

func (p *postgres) stop() {
	if p.process != nil {
		_ = p.process.Stop(20 * time.Second) // what is measured is done
	}
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// postgresPrograms returns the folder of PostgreSQL's programs, having installed
// them where they are missing.
func postgresPrograms(ctx context.Context) (string, error) {
	for range 2 {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the error: a bad pattern
		if len(found) > 0 {
			return filepath.Dir(found[len(found)-1]), nil
		}
		if path, err := exec.LookPath("initdb"); err == nil {
			return filepath.Dir(path), nil
		}
		if err := command(ctx, "scripts/setup", "postgresql"); err != nil {
			return "", err
		}
	}
	return "", errors.New("its programs are not to be found")
}

// unprivileged gives dir to a user who is not root, and returns how a program is
// run as that user: PostgreSQL refuses to be root's.
func unprivileged(dir string) ([]string, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid) // numbers on every system that has PostgreSQL
	gid, _ := strconv.Atoi(u.Gid)
	return []string{"setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups", "--pdeathsig", "INT"}, os.Chown(dir, uid, gid)
}
