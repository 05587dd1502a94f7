package failover

import (
	"context"
	"time"
)

// lease is this server's right to run a job: nobody else does before its end.
type lease struct {
	fence int64 // rises with every change of the holder
	until time.Time
}

// term is how long a lease of a job lasts: until the next run is due and a while
// more. So its holder keeps it, and after the holder's death nobody runs the job
// earlier than it was due.
func term(every time.Duration) time.Duration { return every + leaseTime }

// runAlone runs a job where this server holds its lease, and only for as long:
// the lease is renewed meanwhile, and the run cancelled at its end.
func (r *Runner) runAlone(ctx context.Context, j job) {
	l, ok := r.holds(ctx, j.name, j.every)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	end := time.AfterFunc(time.Until(l.until), cancel)
	defer end.Stop()
	ended := make(chan lease)
	go func() { ended <- r.renew(ctx, j, l, end) }()
	began := time.Now()
	r.attempt(ctx, j)
	cut := ctx.Err() != nil
	cancel()
	l = <-ended
	r.Log.DebugContext(ctx, "job has run", "job", j.name, "every", j.every, "fence", l.fence, "began", began,
		"until", l.until, "cut_off", cut || time.Now().After(l.until))
}

// renew keeps the lease of a job that takes long, and moves the end of its run,
// until ctx ends or the lease is somebody else's. It returns the last lease.
func (r *Runner) renew(ctx context.Context, j job, l lease, end *time.Timer) lease {
	tick := time.NewTicker(leaseTime / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return l
		case <-tick.C:
		}
		if next, ok := r.holds(ctx, j.name, j.every); ok && end.Stop() {
			l = next
			end.Reset(time.Until(l.until))
		}
	}
}

// holds takes or keeps the lease of a job. It asks the store only when half of
// the lease is over, so that an idle installation writes little.
func (r *Runner) holds(ctx context.Context, name string, every time.Duration) (lease, bool) {
	now := time.Now()
	r.mu.Lock()
	l := r.leases[name]
	r.mu.Unlock()
	if now.Before(l.until.Add(-term(every) / 2)) {
		return l, true
	}
	until := now.Add(term(every))
	fence, ok, err := r.Cluster.Lease(ctx, name, r.Server.ID, now, until)
	if err != nil {
		return l, false // it may be ours until its end, and is asked for again
	}
	taken := ok && fence != l.fence
	l = lease{}
	if ok {
		l = lease{fence, until}
	}
	r.mu.Lock()
	r.leases[name] = l
	r.mu.Unlock()
	if taken {
		r.Log.DebugContext(ctx, "took the lease of a job", "job", name, "fence", fence)
	}
	return l, ok
}
