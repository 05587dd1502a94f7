package failover

import (
	"context"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/tasks"
)

// A deleted group's remains are looked for at once, then ever less often for as
// long as anything may come after it: a submit, retry or split that was under
// way, on a server that may have stood still meanwhile.
const (
	sweepGroupsEvery  = 10 * time.Second
	sweepGroupsFor    = 24 * time.Hour
	sweepGroupsAtOnce = 100
	// queuesQuiet is when its queues have no consumers any more, here or
	// elsewhere: those stop after 30 s without work.
	queuesQuiet = time.Minute
)

// GroupChanged has the remains of a group that was deleted here swept at once.
func (r *Runner) GroupChanged(e groups.Event) {
	if e.Type != groups.Deleted {
		return
	}
	select {
	case r.deleted <- struct{}{}:
	default:
	}
}

func (r *Runner) watchDeleted(ctx context.Context) {
	now := job{name: "deleted groups, at once", run: r.sweepGroups}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.deleted:
			r.runJob(ctx, now)
		}
	}
}

// sweepGroups cancels what is left of deleted groups, ends the pauses of their
// queues, and removes these once they are quiet. Where that fails it is tried again.
func (r *Runner) sweepGroups(ctx context.Context) error {
	now := time.Now().UTC().Truncate(time.Millisecond)
	for {
		due, err := r.Tombstones.DueTombstones(ctx, now, sweepGroupsAtOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		if err := r.sweepDue(ctx, due, now); err != nil {
			return err
		}
	}
}

func (r *Runner) sweepDue(ctx context.Context, due []groups.Tombstone, now time.Time) error {
	var errs []error
	var swept []groups.Tombstone
	var quiet []string
	for _, t := range due {
		_, err := r.Tasks.CancelAll(ctx, tasks.ListFilter{Group: t.Group}, false)
		if err == nil {
			err = r.Tasks.ForgetPauses(ctx, t.Group)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := r.Devices.Forget(ctx, t.Group); err != nil {
			errs = append(errs, err)
			continue
		}
		swept = append(swept, t)
		if now.Sub(t.DeletedAt) >= queuesQuiet {
			quiet = append(quiet, t.Group)
		}
	}
	if len(quiet) > 0 {
		if err := r.RemoveQueues(ctx, quiet...); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	for _, t := range swept {
		if err := r.Tombstones.SweepTombstone(ctx, t.Group, nextSweep(t, now)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// nextSweep doubles a tombstone's age; zero: there is no need any more.
func nextSweep(t groups.Tombstone, now time.Time) time.Time {
	age := now.Sub(t.DeletedAt)
	if age >= sweepGroupsFor {
		return time.Time{}
	}
	if age < queuesQuiet {
		age = sweepGroupsEvery
	}
	return now.Add(age)
}
