package main

import (
	"os"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// cpu is processor time. On a busy machine the time per task says more than the
// tasks per second.
type cpu struct{ server, redis, bench time.Duration }

// cpu is what was used so far.
func (r *rig) cpu() cpu {
	c := cpu{server: kit.CPU(r.PID()), bench: kit.CPU(os.Getpid())}
	if r.redis != nil {
		c.redis = kit.CPU(r.redis.PID())
	}
	return c
}

func (c cpu) plus(d cpu) cpu {
	return cpu{c.server + d.server, c.redis + d.redis, c.bench + d.bench}
}

func (c cpu) minus(d cpu) cpu {
	return cpu{c.server - d.server, c.redis - d.redis, c.bench - d.bench}
}

// perTask says what each of n tasks used.
func (c cpu) perTask(n int) string {
	text := func(d time.Duration) string { return number(each(d, n)) + " µs" }
	s := "CPU per task: server " + text(c.server)
	if c.redis > 0 {
		s += ", Redis " + text(c.redis)
	}
	return s + ", load generator " + text(c.bench)
}

// each is what one of n used, in µs.
func each(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(n) }
