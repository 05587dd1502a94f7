// Package kit runs the real programs as processes and talks to them as their
// users do: the end-to-end tests, the demo and the benchmarks stand on it.
package kit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/firmlight/firmlight/internal/procgroup"
)

// Binaries are the built programs.
type Binaries struct{ Server, Worker string }

// Build compiles server and worker into dir; race adds the race detector.
func Build(ctx context.Context, dir string, race bool) (Binaries, error) {
	b := Binaries{Server: filepath.Join(dir, "server"), Worker: filepath.Join(dir, "worker")}
	if err := BuildPackage(ctx, "cmd/server", b.Server, race); err != nil {
		return b, err
	}
	return b, BuildPackage(ctx, "cmd/worker", b.Worker, race)
}

// BuildPackage compiles one main package of this module, named by its folder.
func BuildPackage(ctx context.Context, pkg, out string, race bool, tags ...string) error {
	args := []string{"build", "-o", out, "-tags", strings.Join(tags, ",")}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/firmlight/firmlight/"+pkg)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// Process is a program that was started here and is ended here.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, once done is closed
	tail *procgroup.Tail
}

// StartProcess runs a program whose output goes to log (and the end of it into
// error messages). It dies with this process.
func StartProcess(bin string, args, env []string, log io.Writer) (*Process, error) {
	p := &Process{cmd: exec.Command(bin, args...), done: make(chan struct{}), tail: &procgroup.Tail{Keep: tailBytes}}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := io.Writer(p.tail)
	if log != nil {
		out = io.MultiWriter(p.tail, log)
	}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal; to a process that has ended it is no error.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Kill ends the process with SIGKILL and waits.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks with SIGTERM and waits; after the patience it kills and says so.
func (p *Process) Stop(patience time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s: %w\n%s", filepath.Base(p.cmd.Path), p.err, p.Complaints())
		}
		return nil
	case <-time.After(patience):
		p.Kill()
		return fmt.Errorf("%s did not stop within %s\n%s", filepath.Base(p.cmd.Path), patience, p.Complaints())
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output returns the end of what the process wrote.
func (p *Process) Output() string { return p.tail.String() }

const tailBytes = 64 << 10

// Complaints are the last lines of the output that are more than information, each
// cut off where it gets long: what a failed test shows of a process.
func (p *Process) Complaints() string {
	var all []string
	for line := range strings.Lines(p.Output()) {
		if !information.MatchString(line) {
			line = strings.TrimSpace(line)
			all = append(all, line[:min(len(line), complaintBytes)])
		}
	}
	return strings.Join(all[max(0, len(all)-complaintLines):], "\n")
}

var information = regexp.MustCompile(`^.{0,80}level"?[=:]"?(DEBUG|INFO)`)

const complaintLines, complaintBytes = 15, 300

// Server is a running coordinator.
type Server struct {
	*Process
	URL string

	bin, dir, addr string
	env            []string
	log            io.Writer
}

// AdminPassword is that of the user "admin" which every server here is started with.
const AdminPassword = "correct horse battery staple"

// StartServer runs a server on a free port with its data in dir and waits until
// it answers.
func StartServer(bin, dir string, env []string, log io.Writer) (*Server, error) {
	addr, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	return StartServerAt(addr, bin, dir, env, log)
}

// StartServerAt is StartServer on a given address.
func StartServerAt(addr, bin, dir string, env []string, log io.Writer) (*Server, error) {
	s := &Server{URL: "http://" + addr, bin: bin, dir: dir, addr: addr, log: log, env: append([]string{
		"FIRMLIGHT_LISTEN=" + addr, "FIRMLIGHT_DATA_DIR=" + dir, "FIRMLIGHT_ADMIN_USERNAME=admin",
		"FIRMLIGHT_ADMIN_EMAIL=admin@example.org", "FIRMLIGHT_ADMIN_PASSWORD=" + AdminPassword,
	}, env...)}
	return s, s.Restart()
}

// Dir is the server's data directory.
func (s *Server) Dir() string { return s.dir }

// Restart starts the server again, on the same address and data, after it ended.
func (s *Server) Restart() error {
	p, err := StartProcess(s.bin, nil, s.env, s.log)
	if err != nil {
		return err
	}
	s.Process = p
	return s.WaitReady(30 * time.Second)
}

// WaitReady waits until /readyz answers 200.
func (s *Server) WaitReady(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		select {
		case <-s.Done():
			return fmt.Errorf("server ended: %w\n%s", s.err, s.Complaints())
		case <-time.After(5 * time.Millisecond):
		}
		resp, err := http.Get(s.URL + "/readyz")
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("server not ready within %s\n%s", patience, s.Complaints())
}

// StartWorker runs a worker process.
func StartWorker(bin, server, token, name string, slots int, args []string, log io.Writer) (*Process, error) {
	all := append([]string{
		"--server", server, "--name", name, "--slots", fmt.Sprint(slots),
	}, args...)
	return StartProcess(bin, all, []string{"FIRMLIGHT_TOKEN=" + token}, log)
}

// FreeAddress returns a loopback address that nobody listens on now.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// Prefix returns a writer that puts a name before each line, for the output of
// several processes in one place.
func Prefix(w io.Writer, name string) io.Writer {
	r, pw := io.Pipe()
	go func() {
		sc := bufio.NewScanner(r)
		for sc.Scan() {
			_, _ = fmt.Fprintf(w, "%s | %s\n", name, sc.Text())
		}
	}()
	return pw
}
