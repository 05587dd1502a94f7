package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// cpu is processor time used so far. On a busy machine the time per task says
// more than the tasks per second.
type cpu struct{ server, redis, bench time.Duration }

// clockTick is the unit of /proc/PID/stat, the same on every Linux we know.
const clockTick = 10 * time.Millisecond

func (r *rig) cpu() cpu {
	c := cpu{server: cpuOf(r.PID()), bench: cpuOf(os.Getpid())}
	if r.redis != nil {
		c.redis = cpuOf(r.redis.PID())
	}
	return c
}

// cpuOf is 0 where it cannot be found out.
func cpuOf(pid int) time.Duration {
	// The second field is the program's name in parentheses; 14 and 15 are what we want.
	_, rest, _ := strings.Cut(readLine(fmt.Sprintf("/proc/%d/stat", pid)), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var user, system int64
	_, _ = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return time.Duration(user+system) * clockTick
}

// perTask says what was used since before for each of n tasks.
func (c cpu) perTask(before cpu, n int) string {
	each := func(now, then time.Duration) string {
		return number(float64((now-then).Microseconds())/float64(n)) + " µs"
	}
	s := "CPU per task: server " + each(c.server, before.server)
	if c.redis > 0 {
		s += ", Redis " + each(c.redis, before.redis)
	}
	return s + ", load generator " + each(c.bench, before.bench)
}
