package live

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/background"
)

// Devices sends a device to those who watch its group, soon after it reported or was changed. It
// costs little for groups that nobody watches.
type Devices struct {
	hub  *Hub
	show func(ctx context.Context, group, id string) (any, error)
	log  *slog.Logger

	mu      sync.Mutex // guards changed
	changed map[deviceKey]struct{}
	loops   background.Loops
}

type deviceKey struct{ group, id string }

// A busy fleet is shown in turns: each device as it is when its turn comes.
const (
	devicesEvery  = 500 * time.Millisecond
	devicesAtOnce = 200     // in so much time
	maxChanged    = 100_000 // that wait for their turn; more are told by their next report
)

// NewDevices returns what sends device events on hub; show returns a device as
// JSON shows it, nil for one that waits for approval.
func NewDevices(hub *Hub, show func(ctx context.Context, group, id string) (any, error), log *slog.Logger) *Devices {
	return &Devices{hub: hub, show: show, log: log, changed: make(map[deviceKey]struct{})}
}

// Changed notes devices of a group that have reported or were changed. It does not block.
func (d *Devices) Changed(group string, ids ...string) {
	if !d.hub.wants(Topic{Device, group}) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if len(d.changed) < maxChanged {
			d.changed[deviceKey{group, id}] = struct{}{}
		}
	}
}

// Start begins to send.
func (d *Devices) Start(ctx context.Context) error {
	d.loops.Start(ctx, background.Every(devicesEvery, d.send))
	return nil
}

// Stop ends it; it may be called twice, or without Start.
func (d *Devices) Stop(context.Context) error {
	d.loops.Stop()
	return nil
}

func (d *Devices) send(ctx context.Context) {
	for _, key := range d.take() {
		view, err := d.show(ctx, key.group, key.id)
		if err != nil {
			d.log.DebugContext(ctx, "no device for an event", "group_id", key.group, "error", err)
			continue
		}
		if view == nil {
			d.hub.DevicesPending(key.group)
		} else {
			d.hub.DeviceChanged(key.group, key.id, view)
		}
	}
}

// take returns some of what changed, and forgets it.
func (d *Devices) take() (some []deviceKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.changed {
		if len(some) == devicesAtOnce {
			break
		}
		some = append(some, key)
		delete(d.changed, key)
	}
	return some
}
