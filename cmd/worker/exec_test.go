//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/firmlight/firmlight/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustProgram(t *testing.T, command string, env ...string) *program {
	t.Helper()
	p, err := newProgram(command, append([]string{"PATH=" + os.Getenv("PATH")}, env...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProgramOutput(t *testing.T) {
	tests := map[string]struct {
		command string
		want    any
	}{
		"input is stdin":   {`cat`, json.RawMessage(`{"n":1}`)},
		"JSON":             {`printf ' [1, 2] \n'`, json.RawMessage(`[1, 2]`)},
		"text":             {`printf 'not {json}\n'`, "not {json}\n"},
		"nothing":          {`true`, ""},
		"quoted arguments": {`printf '"%s-%s"' "a b" c\ d`, json.RawMessage(`"a b-c d"`)},
		"no expansion":     {`printf %s '$HOME'`, "$HOME"},
		"environment":      {`sh -c 'printf "$KEPT"'`, "kept"},
		"child stays":      {`sh -c 'sleep 1000 & echo 7'`, json.RawMessage(`7`)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := mustProgram(t, tt.command, "KEPT=kept").run(t.Context(), []byte(`{"n":1}`), func(line string) { t.Log(line) })
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

func TestProgramGetsTheTrace(t *testing.T) {
	p := mustProgram(t, `sh -c 'printf "<$TRACEPARENT>"'`)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, want := range []string{trace, "", trace} {
		if got, err := p.handle(t.Context(), &worker.Task{Trace: want}); err != nil || got != "<"+want+">" {
			t.Errorf("got %v, %v, want %q", got, err, want)
		}
	}
}

func TestProgramFailures(t *testing.T) {
	tests := map[string]struct{ command, want string }{
		"exit status":    {`sh -c 'echo first >&2; echo disk full >&2; echo >&2; exit 3'`, "exec_failed: exit status 3: disk full"},
		"without a word": {`false`, "exec_failed: exit status 1"},
		"signal":         {`sh -c 'kill -9 $$'`, "exec_failed: signal: killed"},
		"too much":       {`head -c 1048577 /dev/zero`, "message_too_large: stdout has more than 1048576 bytes"},
		"never ends":     {`cat /dev/zero`, "message_too_large: stdout has more than 1048576 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := mustProgram(t, tt.command).run(t.Context(), nil, func(string) {})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestProgramLog(t *testing.T) {
	var got []string
	_, err := mustProgram(t, `sh -c 'echo one >&2; echo >&2; printf "two\nthree" >&2'`).run(t.Context(), nil, func(line string) { got = append(got, line) })
	if want := []string{"one", "", "two", "three"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLinesCutWhatNeverEnds(t *testing.T) {
	var got []string
	l := lines{emit: func(line string) { got = append(got, line) }}
	text := "x" + strings.Repeat("ä", 5000)
	for len(text) > 0 {
		n := min(100, len(text))
		if _, err := l.Write([]byte(text[:n])); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	l.flush()
	if len(got) != 3 || strings.Join(got, "") != "x"+strings.Repeat("ä", 5000) || len(got[0]) > 4096 {
		t.Errorf("%d lines, first of %d bytes", len(got), len(got[0]))
	}
}

// A cancel kills the whole group: the grandchild holds the only writing end of
// a FIFO, so reading it to the end means that the grandchild is dead.
func TestCancelKillsTheProcessGroup(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := mustProgram(t, `sh -c 'sh -c "echo here; exec sleep 1000" > "$FIFO" & wait'`, "FIFO="+fifo).run(ctx, nil, func(string) {})
		failed <- err
	}()
	reader, err := os.Open(fifo) // waits for the grandchild
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	here := make([]byte, 5)
	if _, err := io.ReadFull(reader, here); err != nil || string(here) != "here\n" {
		t.Fatalf("%q, %v", here, err)
	}
	cancel()
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
}

func TestNewProgramErrors(t *testing.T) {
	for command, want := range map[string]string{
		"":                   "no command",
		"no-such-program-42": "not found",
		"cat 'x":             "invalid command line",
		"cat x | wc":         "no shell runs this",
		"cat > x":            "no shell runs this",
		"a; b":               "no shell runs this",
	} {
		if _, err := newProgram(command, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", command, err)
		}
	}
}

func TestChildEnv(t *testing.T) {
	got := childEnv([]string{"HOME=/h", "FIRMLIGHT_TOKEN=secret", "firmlight_x=1", "AUTH=Bearer secret", "EMPTY="}, "secret")
	if want := []string{"HOME=/h", "EMPTY="}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}
