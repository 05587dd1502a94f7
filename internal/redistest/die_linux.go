package redistest

import "syscall"

// dieWithParent has the kernel kill the child when the test process dies, also
// by a panic or a test timeout, when no cleanup runs.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
