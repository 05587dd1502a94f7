//go:build !unix

// Package procgroup starts programs of others so that they can be ended with
// all that they started.
package procgroup

import "os/exec"

// Own does nothing here: without process groups only the program itself is killed.
func Own(*exec.Cmd) {}

// Kill ends a command that was started.
func Kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
