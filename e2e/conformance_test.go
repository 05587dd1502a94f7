package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/conformance"
)

// conform runs `firmlight conformance` and returns what it printed, its exit
// status and the JUnit file.
func conform(t *testing.T, args ...string) (out string, status int, junit string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "junit.xml")
	cmd := exec.CommandContext(t.Context(), firmlight, append([]string{"conformance", "--junit", file}, args...)...)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	xml, _ := os.ReadFile(file) // a failed run may have none
	return text.String(), cmd.ProcessState.ExitCode(), string(xml)
}

func TestGoWorkerConforms(t *testing.T) {
	out, status, junit := conform(t, "--", bins.Worker, "--log-level", "debug")
	if all := len(conformance.Cases()); status != 0 || strings.Count(junit, "<testcase ") != all || strings.Contains(junit, "<failure") {
		t.Errorf("exit status %d, want %d cases\n%s", status, all, out)
	}
}

// A worker that does not serve what is asked for fails, and is told why.
func TestConformanceFails(t *testing.T) {
	out, status, junit := conform(t, "--case", "hello", "--case", "ping", "--", bins.Worker, "--kinds", "sleep")
	if status != 1 || strings.Count(junit, "<failure ") != 1 ||
		!strings.Contains(out, `expected a hello whose kinds have "echo", got [sleep]`) || !strings.Contains(out, "1 of 2 cases failed") {
		t.Errorf("exit status %d\n%s\n%s", status, out, junit)
	}
	out, status, _ = conform(t, "--case", "hello", "--", "sh", "-c", "echo no such luck; exit 3")
	if status != 1 || !strings.Contains(out, "the program has ended") || !strings.Contains(out, "no such luck") || !strings.Contains(out, "exit status 3") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	out, status, _ = conform(t, "--case", "helo", "--", "true")
	if status != 2 || !strings.Contains(out, "--list") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

// An interrupted run writes what was played until then.
func TestConformanceInterrupted(t *testing.T) {
	dir := t.TempDir()
	junit, starts := filepath.Join(dir, "junit.xml"), filepath.Join(dir, "starts")
	cmd := exec.CommandContext(t.Context(), firmlight, "conformance", "--junit", junit, "--parallel", "1",
		"--case", "hello", "--case", "lost-ack", "--", "sh", "-c", "echo >> "+starts+"; exec "+bins.Worker)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	must(t, cmd.Start())
	eventually(t, time.Minute, "the second case", func() bool {
		written, _ := os.ReadFile(starts) // not there before the first
		return len(written) == 2
	})
	must(t, cmd.Process.Signal(os.Interrupt))
	err := cmd.Wait()
	xml, _ := os.ReadFile(junit)
	if cmd.ProcessState.ExitCode() != 130 || !strings.Contains(string(xml), `tests="1" failures="0"`) || !strings.Contains(string(xml), `name="hello"`) {
		t.Errorf("%v\n%s\n%s", err, &text, xml)
	}
}
