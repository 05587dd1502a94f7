package dispatch

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// A paused queue has no consumer here: nothing of it is dequeued or claimed, and
// nothing refills it. The store says which are paused, so that it holds over
// restarts and whatever Redis forgets.

// queueOf names the queue that a pair belongs to.
func queueOf(p tasks.Pair) tasks.Pair { return tasks.Pair{Group: p.Group, Kind: p.Kind} }

// PausesChanged tells that queues were paused or resumed: the store is asked at
// once. It does not block.
func (d *Dispatcher) PausesChanged() { signal(d.pauses) }

// watchPauses asks when told, and now and then: nobody may have been able to tell.
func (d *Dispatcher) watchPauses() {
	tick := time.NewTicker(d.times.pauses)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-d.pauses:
		case <-tick.C:
		}
		if err := d.readPauses(d.ctx); err != nil && d.ctx.Err() == nil {
			d.log.Warn("paused queues not known anew", "error", err)
		}
	}
}

// readPauses stops the consumers of paused queues and looks at those resumed.
func (d *Dispatcher) readPauses(ctx context.Context) error {
	list, err := d.tasks.Paused(ctx)
	if err != nil {
		return err
	}
	paused := make(map[tasks.Pair]bool, len(list))
	for _, p := range list {
		paused[queueOf(p)] = true
	}
	d.mu.Lock()
	before := d.paused
	d.paused = paused
	for p, c := range d.consumers {
		if paused[queueOf(p)] && !d.stopped {
			delete(d.consumers, p)
			d.stopConsumer(c)
		}
	}
	d.mu.Unlock()
	for p := range before {
		if !paused[p] {
			d.Changed([]string{p.Group}, []string{p.Kind})
		}
	}
	return nil
}
