//go:build !linux

package redistest

import "syscall"

// dieWithParent exists on Linux only; elsewhere a test that panics leaves its
// redis-server behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
