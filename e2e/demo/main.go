// Demo shows Firmlight at work on this machine: a server on its embedded
// defaults, three workers, three real tasks, one worker killed in the middle.
// Every result is checked against a computation of its own.
//
//	DEMO_EXIT=1  end when all is shown, instead of leaving the server running
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv("DEMO_EXIT") != "")
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// stage is what the shows stand on.
type stage struct {
	dir     string
	bins    kit.Binaries
	server  *kit.Server
	client  *kit.Client
	group   string
	token   string
	workers map[string]*kit.Process
}

const (
	demoUser     = "demo"
	demoPassword = "demo-password"
)

func run(ctx context.Context, exit bool) error {
	dir, err := filepath.Abs(".demo")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "processes.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()

	s := &stage{dir: dir, workers: map[string]*kit.Process{}}
	defer s.stop()
	if err := s.setUp(ctx, log); err != nil {
		return err
	}
	for _, show := range []func(context.Context) error{s.showFactorize, s.showMean, s.showCrawl} {
		if err := show(ctx); err != nil {
			return err
		}
	}
	title("Done: three tasks, one dead worker, every result checked")
	if exit {
		return nil
	}
	say("The server goes on running at %s", s.server.URL)
	say("  log in as       %s / %s", demoUser, demoPassword)
	say("  API and its docs %s/api/docs", s.server.URL)
	say("  logs            %s", log.Name())
	say("Stop it with Ctrl-C.")
	<-ctx.Done()
	return nil
}

// setUp builds the programs, starts server and workers, and creates user and group.
func (s *stage) setUp(ctx context.Context, log *os.File) error {
	title("Build and start")
	say("building server and worker …")
	var err error
	if s.bins, err = kit.Build(ctx, s.dir, false); err != nil {
		return err
	}
	began := time.Now()
	if s.server, err = kit.StartServer(s.bins.Server, filepath.Join(s.dir, "data"), nil, kit.Prefix(log, "server")); err != nil {
		return err
	}
	say("server ready at %s after %s, nothing but a folder under it", s.server.URL, round(time.Since(began)))
	if s.client, err = kit.Register(ctx, s.server.URL, demoUser, demoPassword); err != nil {
		return err
	}
	if s.group, err = s.client.Group(ctx, "Demo lab"); err != nil {
		return err
	}
	if s.token, err = s.client.NewToken(ctx, "worker"); err != nil {
		return err
	}
	for _, name := range []string{"lab-1", "lab-2", "lab-3"} {
		p, err := kit.StartWorker(s.bins.Worker, s.server.URL, s.token, name, 1,
			[]string{"--crawl-allow-private", "--crawl-delay", "0s"}, kit.Prefix(log, name))
		if err != nil {
			return err
		}
		s.workers[name] = p
	}
	say("user %q, group \"Demo lab\", workers lab-1, lab-2, lab-3", demoUser)
	return s.waitForWorkers(ctx, 3)
}

// waitForWorkers waits until n workers are connected.
func (s *stage) waitForWorkers(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		var got struct {
			Items []struct {
				State string `json:"state"`
			}
		}
		if err := s.client.Do(ctx, "GET", "/groups/"+s.group+"/workers", nil, &got); err != nil {
			return err
		}
		if len(got.Items) >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("only %d of %d workers connected", len(got.Items), n)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends what the demo started, workers first, so that they leave cleanly.
func (s *stage) stop() {
	for _, p := range s.workers {
		_ = p.Signal(syscall.SIGTERM)
	}
	for name, p := range s.workers {
		if err := p.Stop(5 * time.Second); err != nil && name != killedWorker {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if s.server != nil {
		if err := s.server.Stop(20 * time.Second); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
