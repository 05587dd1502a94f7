package kit

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Memory returns the resident memory of a process in bytes, now and at its most,
// as Linux tells it.
func Memory(pid int) (now, most int64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now) // other lines leave them as they are
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &most)
	}
	if err == nil && now == 0 {
		err = fmt.Errorf("the memory of process %d is not to be found", pid)
	}
	return now << 10, most << 10, err
}

// clockTick is the unit of /proc/PID/stat, the same on every Linux we know.
const clockTick = 10 * time.Millisecond

// CPU returns the processor time that a process has used; 0 where it cannot be
// found out.
func CPU(pid int) time.Duration {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // not on this system: empty
	// The second field is the program's name in parentheses; 14 and 15 are what we want.
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var user, system int64
	_, _ = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return time.Duration(user+system) * clockTick
}
