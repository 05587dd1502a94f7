//go:build unix

package procgroup

import (
	"fmt"
	"os"
	"syscall"
)

// Freeze stops a child with SIGSTOP and returns when all its threads stand still:
// the signal alone is only on its way when it was sent. SIGCONT lets it go on.
func Freeze(child *os.Process) error {
	if err := child.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		switch _, err := syscall.Wait4(child.Pid, &status, syscall.WUNTRACED, nil); {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case !status.Stopped():
			return fmt.Errorf("process %d has ended", child.Pid)
		default:
			return nil
		}
	}
}
