package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/firmlight/firmlight/internal/procgroup"
)

const (
	outputKept = 4 << 10         // bytes of what a program wrote
	pipeWait   = 2 * time.Second // for its output to be closed by children it left
)

// Command returns what starts a worker program for Suite.Start. It is told
// where to go by FIRMLIGHT_SERVER, FIRMLIGHT_TOKEN, FIRMLIGHT_NAME,
// FIRMLIGHT_SLOTS and FIRMLIGHT_KINDS; other variables of that prefix are not
// handed on.
func Command(argv []string) func(context.Context, Environment) (Program, error) {
	return func(_ context.Context, e Environment) (Program, error) {
		p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{}), output: procgroup.Tail{Keep: outputKept}} //nolint:gosec,noctx // the user's own command; Kill ends it, with all it started
		p.cmd.Env = append(foreignVariables(), "FIRMLIGHT_SERVER="+e.Server, "FIRMLIGHT_TOKEN="+e.Token,
			"FIRMLIGHT_NAME="+e.Name, fmt.Sprint("FIRMLIGHT_SLOTS=", e.Slots), "FIRMLIGHT_KINDS=echo,sleep")
		p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
		p.cmd.WaitDelay = pipeWait
		procgroup.Own(p.cmd)
		if err := p.cmd.Start(); err != nil {
			return nil, err
		}
		go func() {
			err := p.cmd.Wait()
			if err != nil {
				fmt.Fprintf(&p.output, "\n(%v)", err)
			}
			close(p.done)
		}()
		return p, nil
	}
}

func foreignVariables() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(strings.ToUpper(v), "FIRMLIGHT_") {
			env = append(env, v)
		}
	}
	return env
}

// process is a worker program that was started here.
type process struct {
	cmd    *exec.Cmd
	done   chan struct{}
	output procgroup.Tail
}

func (p *process) Drain() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

func (p *process) Kill() {
	procgroup.Kill(p.cmd)
	<-p.done
}

func (p *process) Done() <-chan struct{} { return p.done }

func (p *process) Output() string { return p.output.String() }
