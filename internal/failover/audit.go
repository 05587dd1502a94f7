package failover

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// settled is how old a claim must be before the audit asks why the hub does not
// know it.
const settled = 5 * time.Second

// auditOwn compares what this server's sessions own in the store with what its
// hub knows, and takes the rest back.
func (r *Runner) auditOwn(ctx context.Context) error {
	owned, err := r.Tasks.Owned(ctx)
	if err != nil || len(owned) == 0 {
		return err
	}
	known := make(map[string]map[protocol.AttemptRef]bool, len(owned))
	for _, o := range owned {
		known[o.Session] = r.Hub.Knows(o.Session)
	}
	// After Knows: a session that leaves in between is in its grace, and nothing
	// of it is taken back.
	for _, s := range r.Hub.Snapshot() {
		if known[s.ID] == nil {
			continue // it owns nothing, or came just now
		}
		if err := r.Tasks.LostUnknown(ctx, s.ID, known[s.ID], settled); err != nil {
			return err
		}
	}
	return nil
}
