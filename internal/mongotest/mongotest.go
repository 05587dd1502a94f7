// Package mongotest starts the MongoDB of the tests: FerretDB (tools/ferretdb),
// unless FIRMLIGHT_TEST_MONGODB_URI names a real server.
package mongotest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Server is one that runs.
type Server struct {
	// StandIn says that it is FerretDB: slow with many documents, and without plans.
	StandIn bool
	uri     string
	stop    func() error
}

// patience is how long the stand-in may take to end.
const patience = 10 * time.Second

// Start returns when the server can be connected to. Stop it after its last use.
func Start() (*Server, error) {
	if uri := os.Getenv("FIRMLIGHT_TEST_MONGODB_URI"); uri != "" {
		return &Server{uri: uri, stop: func() error { return nil }}, nil
	}
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return nil, errors.New("mongotest: where is the repository?")
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(here), "../../.tools/bin/ferretdb"))
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = patience
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("no FerretDB, run `make setup`: %w", err)
	}
	stop := func() error { return errors.Join(in.Close(), cmd.Wait()) } // it ends with its input
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("FerretDB did not start: %w", err), stop())
	}
	return &Server{StandIn: true, uri: strings.TrimSpace(line), stop: stop}, nil
}

// Stop ends the stand-in; a real server goes on.
func (s *Server) Stop() error { return s.stop() }

// Database returns the URI of a database that is not there yet. On a real server
// whoever uses it drops it.
func (s *Server) Database() string {
	host, query, _ := strings.Cut(s.uri, "?")
	name := "firmlight_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:16]
	return strings.TrimSuffix(host, "/") + "/" + name + "?timeoutMS=60000&" + query // the stand-in is slow at times
}
