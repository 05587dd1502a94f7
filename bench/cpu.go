package main

import (
	"os"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// cpu is processor time used so far. On a busy machine the time per task says
// more than the tasks per second.
type cpu struct{ server, redis, bench time.Duration }

func (r *rig) cpu() cpu {
	c := cpu{server: kit.CPU(r.PID()), bench: kit.CPU(os.Getpid())}
	if r.redis != nil {
		c.redis = kit.CPU(r.redis.PID())
	}
	return c
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
