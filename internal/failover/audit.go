package failover

import (
	"context"
	"time"
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
	here := map[string]bool{}
	for _, s := range r.Hub.Snapshot() {
		here[s.ID] = true
	}
	for _, o := range owned {
		if !here[o.Session] {
			continue
		}
		if err := r.Tasks.LostUnknown(ctx, o.Session, r.Hub.Knows(o.Session), settled); err != nil {
			return err
		}
	}
	return nil
}
