package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminalUser is somebody with the command line, and logins of their own.
type terminalUser struct {
	t      *testing.T
	config string // the user's config directory
	env    []string
}

func newTerminalUser(t *testing.T, env ...string) *terminalUser {
	return &terminalUser{t: t, config: t.TempDir(), env: env}
}

// with is the same user with more variables.
func (u *terminalUser) with(env ...string) *terminalUser {
	other := *u
	other.env = append(append([]string{}, u.env...), env...)
	return &other
}

func (u *terminalUser) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(u.t.Context(), firmlight, args...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+u.config, "FIRMLIGHT_SERVER=", "FIRMLIGHT_TOKEN=", "FIRMLIGHT_GROUP=", "NO_COLOR=", "TERM=xterm")
	cmd.Env = append(cmd.Env, u.env...)
	return cmd
}

// outcome is what a command printed and how it ended.
type outcome struct {
	t        *testing.T
	args     []string
	status   int
	out, err string
}

// run runs a command to its end.
func (u *terminalUser) run(args ...string) outcome { return u.fed("", args...) }

// fed is run with a standard input.
func (u *terminalUser) fed(stdin string, args ...string) outcome {
	u.t.Helper()
	cmd := u.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	status := statusOf(u.t, cmd.Run())
	return outcome{u.t, args, status, out.String(), errs.String()}
}

func statusOf(t *testing.T, err error) int {
	t.Helper()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	if ended == nil {
		return 0
	}
	return ended.ExitCode()
}

// want expects an exit status and words, on standard output where it is 0 and
// else on standard error.
func (o outcome) want(status int, words ...string) outcome {
	o.t.Helper()
	text := o.err
	if status == 0 {
		text = o.out
	}
	ok := o.status == status
	for _, w := range words {
		ok = ok && strings.Contains(text, w)
	}
	if !ok {
		o.t.Fatalf("firmlight %q ended with %d, want %d and %q\nstdout: %s\nstderr: %s", o.args, o.status, status, words, o.out, o.err)
	}
	return o
}

// line is all that was printed, a line.
func (o outcome) line() string { return strings.TrimSuffix(o.out, "\n") }

// json decodes what was printed.
func (o outcome) json(v any) {
	o.t.Helper()
	if err := json.Unmarshal([]byte(o.out), v); err != nil {
		o.t.Fatalf("firmlight %q printed no JSON: %v\n%s", o.args, err, o.out)
	}
}

// started is a command that runs, at a pipe.
type started struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	text bytes.Buffer // both streams
	done chan int     // the exit status

	terminal int // the file descriptor of atTerminal's
}

func (s *started) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *started) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// begin starts a command.
func (u *terminalUser) begin(args ...string) *started {
	u.t.Helper()
	s := &started{t: u.t, cmd: u.command(args...), done: make(chan int, 1)}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	must(u.t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait()
		s.done <- s.cmd.ProcessState.ExitCode()
	}()
	return s
}

// says waits for words.
func (s *started) says(words string) {
	s.t.Helper()
	eventually(s.t, 20*time.Second, fmt.Sprintf("firmlight %q says %q: %s", s.cmd.Args[1:], words, s), func() bool {
		return strings.Contains(s.String(), words)
	})
}

// hides waits until the terminal no longer shows what is typed: a prompt comes
// before that.
func (s *started) hides() {
	s.t.Helper()
	eventually(s.t, 20*time.Second, "the echo is off", func() bool {
		mode, err := unix.IoctlGetTermios(s.terminal, unix.TCGETS)
		return err == nil && mode.Lflag&unix.ECHO == 0
	})
}

// ends waits for the end and expects a status.
func (s *started) ends(status int) {
	s.t.Helper()
	select {
	case got := <-s.done:
		if got != status {
			s.t.Fatalf("firmlight %q ended with %d, want %d\n%s", s.cmd.Args[1:], got, status, s)
		}
	case <-time.After(30 * time.Second):
		s.t.Fatalf("firmlight %q does not end\n%s", s.cmd.Args[1:], s)
	}
}

// atTerminal starts a command at a terminal of its own; keys are typed with press.
func (u *terminalUser) atTerminal(args ...string) (s *started, press func(keys string)) {
	u.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	must(u.t, err)
	u.t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	must(u.t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(u.t, err)
	must(u.t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}))
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	must(u.t, err)
	s = &started{t: u.t, cmd: u.command(args...), done: make(chan int, 1), terminal: fd}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(u.t, s.cmd.Start())
	must(u.t, tty.Close())
	go func() {
		_, _ = io.Copy(s, master) // until the terminal has nobody left
		_ = s.cmd.Wait()
		s.done <- s.cmd.ProcessState.ExitCode()
	}()
	return s, func(keys string) {
		_, err := master.WriteString(keys)
		must(u.t, err)
	}
}

// file writes a file and returns its name.
func (u *terminalUser) file(name, text string) string {
	u.t.Helper()
	path := filepath.Join(u.t.TempDir(), name)
	must(u.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
