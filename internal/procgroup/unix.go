//go:build unix

// Package procgroup starts programs of others so that they can be ended with
// all that they started.
package procgroup

import (
	"os/exec"
	"syscall"
)

// Own starts cmd in a process group of its own and kills all of it when the
// command's context ends.
func Own(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if cmd.Cancel != nil {
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	}
}

// Kill ends what is left of the group of a command that was started.
func Kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
