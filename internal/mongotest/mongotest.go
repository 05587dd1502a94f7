// Package mongotest starts the MongoDB of the tests: FerretDB (tools/ferretdb),
// unless FIRMLIGHT_TEST_MONGODB_URI names a real server.
package mongotest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/procgroup"
)

// Server is one that runs.
type Server struct {
	// StandIn says that it is FerretDB: slow with many documents, and without plans.
	StandIn bool
	uri     string
	addr    string // of the stand-in: the same after a restart
	dir     string // its data
	cmd     *exec.Cmd
	in      io.Closer // it ends with its input
}

// patience is how long the stand-in may take to end.
const patience = 10 * time.Second

// Start returns when the server can be connected to. Stop it after its last use.
func Start() (*Server, error) {
	if uri := os.Getenv("FIRMLIGHT_TEST_MONGODB_URI"); uri != "" {
		return &Server{uri: uri}, nil
	}
	dir, err := os.MkdirTemp("", "ferretdb")
	if err != nil {
		return nil, err
	}
	s := &Server{StandIn: true, addr: "127.0.0.1:0", dir: dir}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.addr = strings.TrimPrefix(s.uri, "mongodb://")
	return s, nil
}

// Restart starts the stand-in, after it was killed on the same address and data.
func (s *Server) Restart() error {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return errors.New("mongotest: where is the repository?")
	}
	s.cmd = exec.Command(filepath.Join(filepath.Dir(here), "../../.tools/bin/ferretdb"), s.dir, s.addr)
	s.cmd.Stderr = os.Stderr
	s.cmd.WaitDelay = patience
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	s.in = in
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("no FerretDB, run `make setup`: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return errors.Join(fmt.Errorf("FerretDB did not start: %w", err), s.end())
	}
	s.uri = strings.TrimSpace(line)
	return nil
}

// Addr is the host:port of the server; of a real one all of them.
func (s *Server) Addr() string {
	hosts, _, _ := strings.Cut(strings.TrimPrefix(s.uri, "mongodb://"), "/")
	return hosts
}

// Kill ends the stand-in with SIGKILL and waits; its data stays.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // an error means that it has ended
	_ = s.end()              // killed
}

// Freeze stops the stand-in: it takes connections and answers nothing, until Thaw.
func (s *Server) Freeze() error { return procgroup.Freeze(s.cmd.Process) }

// Thaw lets a frozen stand-in go on.
func (s *Server) Thaw() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

func (s *Server) end() error { return errors.Join(s.in.Close(), s.cmd.Wait()) }

// Stop ends the stand-in and removes its data; a real server goes on.
func (s *Server) Stop() error {
	if !s.StandIn {
		return nil
	}
	return errors.Join(s.end(), os.RemoveAll(s.dir))
}

// Database returns the URI of a database that is not there yet. On a real server
// whoever uses it drops it.
func (s *Server) Database() string {
	host, query, _ := strings.Cut(s.uri, "?")
	name := "firmlight_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:16]
	return strings.TrimSuffix(host, "/") + "/" + name + "?timeoutMS=60000&" + query // the stand-in is slow at times
}
