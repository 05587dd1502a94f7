// Package redistest runs a real redis-server for a test: one process on a free
// loopback port, nothing on disk, killed at the end of the test.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firmlight/firmlight/internal/procgroup"
)

const (
	startTimeout = 10 * time.Second // from exec to the ready line
	portAttempts = 5                // another process may take a free port first
	readyLine    = "Ready to accept connections"
)

// Server is one redis-server. Its methods fail the test on an error and may be
// called from any goroutine.
type Server struct {
	tb    testing.TB
	dir   string
	port  int
	args  []string // besides those of every server
	ready string   // the log line that says so

	mu   sync.Mutex
	proc *process // nil while killed
}

// Start runs a redis-server and returns its URL (redis://127.0.0.1:port/0) once
// it accepts connections. Without redis-server on the PATH the test fails: what
// is built on Redis is tested on Redis.
func Start(tb testing.TB) (url string, srv *Server) {
	tb.Helper()
	s := start(tb, readyLine, func(int, string) []string { return nil })
	return s.URL(), s
}

// start runs a server on a free port; args are what it needs there besides.
func start(tb testing.TB, ready string, args func(port int, dir string) []string) *Server {
	tb.Helper()
	s := &Server{tb: tb, dir: tb.TempDir(), ready: ready}
	var err error
	for range portAttempts {
		if s.port, err = freePort(); err != nil {
			break
		}
		s.args = args(s.port, s.dir)
		if s.proc, err = s.launch(); err == nil {
			break
		}
	}
	if err != nil {
		tb.Fatalf("start redis-server: %v", err)
	}
	tb.Cleanup(s.Kill)
	return s
}

// URL is where the server listens, or listened before Kill; Restart keeps it.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Addr is the host:port of URL.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Kill ends the server with SIGKILL, as a crash would; all data is lost. It
// returns when the process is gone and does nothing if it already is.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.kill()
		s.proc = nil
	}
}

// Freeze stops the process: it takes connections and answers nothing, until Thaw.
func (s *Server) Freeze() { s.tell("stop", procgroup.Freeze) }

// Thaw lets a frozen process go on.
func (s *Server) Thaw() {
	s.tell("go on", func(p *os.Process) error { return p.Signal(syscall.SIGCONT) })
}

func (s *Server) tell(what string, do func(*os.Process) error) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := do(s.proc.cmd.Process); err != nil {
		s.tb.Errorf("redis-server: %s: %v", what, err)
	}
}

// Restart kills the server if it runs and starts an empty one at the same URL; it
// knows its place in a cluster again.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.launch()
	if err != nil {
		s.tb.Errorf("restart redis-server: %v", err)
		return
	}
	s.proc = p
}

// FlushAll empties the server (FLUSHALL).
func (s *Server) FlushAll() {
	s.tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr()})
	err := client.FlushAll(context.Background()).Err()
	if err = errors.Join(err, client.Close()); err != nil {
		s.tb.Errorf("FLUSHALL: %v", err)
	}
}

// process is a running redis-server and the goroutine that waits for its end.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that it is gone already
	<-p.done
}

// launch starts redis-server and returns once it says that it is ready. Only
// our own process writes that line to our pipe, so a foreign server on the same
// port cannot be mistaken for it.
func (s *Server) launch() (*process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("`make setup` installs it: %w", err)
	}
	var stderr bytes.Buffer
	out, in := io.Pipe()
	cmd := exec.Command(path, slices.Concat(s.args, []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port),
		"--save", "", "--appendonly", "no", "--dir", s.dir, "--daemonize", "no", "--logfile", ""})...)
	cmd.Stdout, cmd.Stderr = in, &stderr
	cmd.SysProcAttr = dieWithParent()
	p := &process{cmd: cmd, done: make(chan struct{})}

	started := make(chan error, 1)
	go func() {
		// The kernel ends the child when the thread that started it ends, so
		// this goroutine keeps its thread for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			err = cmd.Wait()
		}
		in.CloseWithError(errors.Join(errors.New("redis-server has ended"), err))
	}()
	if err := <-started; err != nil {
		return nil, err
	}

	log, ready := make(chan []string, 1), make(chan struct{})
	go func() { log <- drain(out, s.ready, ready) }()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-ready:
		return p, nil
	case lines := <-log:
		return nil, fmt.Errorf("ended at once: %s%s", strings.Join(lines, "\n"), stderr.String())
	case <-timeout.C:
		p.kill()
		return nil, fmt.Errorf("not ready after %s: %s", startTimeout, strings.Join(<-log, "\n"))
	}
}

// drain reads the log to its end, so that the server never blocks on a full
// pipe, closes ready at the line that says so and returns the lines before it.
func drain(out io.Reader, line string, ready chan<- struct{}) []string {
	var before []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch {
		case ready == nil:
		case strings.Contains(lines.Text(), line):
			close(ready)
			ready = nil
		default:
			before = append(before, lines.Text())
		}
	}
	return before
}

// freePort asks the kernel for a port that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
