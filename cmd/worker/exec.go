package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-shellwords"

	"github.com/firmlight/firmlight/internal/procgroup"
	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/worker"
)

// pipeWait is how long a program's output may stay open, by children of its
// own, after it has ended or was killed.
const pipeWait = 2 * time.Second

// program is a kind that is done by running a command once per task
// (docs/workloads.md).
type program struct {
	argv []string
	env  []string
}

// newProgram splits a command by a shell's quoting rules, without a shell's
// other powers, and looks the program up.
func newProgram(command string, env []string) (*program, error) {
	parser := shellwords.NewParser()
	argv, err := parser.Parse(command)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", command, err)
	}
	if parser.Position >= 0 {
		return nil, fmt.Errorf("%q: no shell runs this; for %q write: sh -c '…'", command, command[parser.Position:])
	}
	if len(argv) == 0 {
		return nil, errors.New("no command")
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return nil, err
	}
	return &program{argv: argv, env: env}, nil
}

func (p *program) handle(ctx context.Context, task *worker.Task) (any, error) {
	one := *p
	if task.Trace != "" {
		one.env = append(slices.Clip(p.env), "TRACEPARENT="+task.Trace)
	}
	return one.run(ctx, task.Input, func(line string) { task.LogStream(protocol.StreamStderr, line) })
}

// run does one task. log gets stderr line by line.
func (p *program) run(ctx context.Context, input []byte, log func(line string)) (any, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	stdout := &capped{limit: protocol.MaxPayloadBytes, full: stop}
	stderr := &lines{emit: log}
	cmd := exec.CommandContext(running, p.argv[0], p.argv[1:]...) //nolint:gosec // the worker's owner gave the command; tasks only give stdin
	cmd.Env = p.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), stdout, stderr
	cmd.WaitDelay = pipeWait
	procgroup.Own(cmd)
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
		procgroup.Kill(cmd) // what it left behind
	}
	stderr.flush()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case stdout.over:
		return nil, worker.Fail("message_too_large", fmt.Sprintf("stdout has more than %d bytes", protocol.MaxPayloadBytes), false)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		message := err.Error()
		if stderr.last != "" {
			message += ": " + stderr.last
		}
		return nil, worker.Fail("exec_failed", message, true)
	}
	return output(stdout.buf.Bytes()), nil
}

// output is JSON where the text is, else a string.
func output(text []byte) any {
	trimmed := bytes.TrimSpace(text)
	if utf8.Valid(trimmed) && protocol.CheckValue(trimmed, protocol.MaxNesting-1) == nil {
		return json.RawMessage(trimmed)
	}
	return string(text)
}

// childEnv is the environment without the worker's own variables, and without
// any that holds its token.
func childEnv(environ []string, token string) []string {
	env := []string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(strings.ToUpper(name), prefix) && !strings.Contains(value, token) {
			env = append(env, v)
		}
	}
	return env
}

// capped keeps what is written, and calls full once there is more than limit.
type capped struct {
	buf   bytes.Buffer
	limit int
	over  bool
	full  func()
}

func (c *capped) Write(p []byte) (int, error) {
	if c.buf.Len()+len(p) <= c.limit {
		return c.buf.Write(p)
	}
	if !c.over {
		c.over = true
		c.full()
	}
	return len(p), nil
}

// lines hands over what is written line by line; a line that never ends is cut
// at MaxLogLine.
type lines struct {
	rest []byte
	last string // the last line that was not empty
	emit func(string)
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		next := end + 1
		if end < 0 {
			if len(l.rest) < protocol.MaxLogLine {
				return len(p), nil
			}
			end = cutAt(l.rest, protocol.MaxLogLine)
			next = end
		}
		l.line(l.rest[:end])
		l.rest = append(l.rest[:0], l.rest[next:]...)
	}
}

// cutAt is the end of the last whole character within n bytes of text.
func cutAt(text []byte, n int) int {
	for cut := n; cut > n-utf8.UTFMax; cut-- {
		if cut == len(text) || utf8.RuneStart(text[cut]) {
			return cut
		}
	}
	return n
}

func (l *lines) line(text []byte) {
	if s := strings.TrimSuffix(string(text), "\r"); s != "" {
		l.last = s
	}
	l.emit(string(text))
}

func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.line(l.rest)
		l.rest = nil
	}
}
