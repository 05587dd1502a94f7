package mongo

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/installation"
	"github.com/firmlight/firmlight/internal/workers"
)

var _ installation.Store = (*DB)(nil)

// Overview implements installation.Store.
func (db *DB) Overview(ctx context.Context, now time.Time) (o installation.Overview, err error) {
	wait, ctx := errgroup.WithContext(ctx)
	wait.Go(func() error {
		counts, err := db.countQueues(ctx)
		for _, n := range counts {
			o.Scheduled += n.scheduled
			o.Queued += n.queued
			o.Running += n.running
		}
		return err
	})
	count := func(to *int, c *mongo.Collection) {
		wait.Go(func() error {
			n, err := c.CountDocuments(ctx, D{notDeleted})
			*to = int(n)
			return fail(err)
		})
	}
	count(&o.Users, db.users())
	count(&o.Groups, db.groups())
	wait.Go(func() error { return db.overWorkers(ctx, &o) })
	wait.Go(func() error { return db.overMinutes(ctx, &o, now) })
	return o, wait.Wait()
}

var sessionHere = D{is("worker", 1), is("name", 1), is("state", 1), is("slots", 1)}

// sessionsHere lists sessions that are connected or may come back, by worker,
// those after one.
func (db *DB) sessionsHere(ctx context.Context, after string) ([]sessionRow, error) {
	return find[sessionRow](ctx, db.in("sessions"), D{alive, op("worker", "$gt", after)},
		options.Find().SetProjection(sessionHere).SetSort(D{is("worker", 1)}))
}

func (db *DB) overWorkers(ctx context.Context, o *installation.Overview) error {
	sessions, err := db.sessionsHere(ctx, "")
	connected := make(map[string]bool)
	for _, s := range sessions {
		up := s.State == workers.Connected
		connected[s.Worker] = connected[s.Worker] || up
		if up {
			o.Slots += s.Slots
		}
	}
	for _, up := range connected {
		if up {
			o.WorkersConnected++
		} else {
			o.WorkersGrace++
		}
	}
	return err
}

func (db *DB) overMinutes(ctx context.Context, o *installation.Overview, now time.Time) error {
	running := now.Truncate(time.Minute)
	docs, err := find[statDoc](ctx, db.stats(), D{is("span", minutely), op("at", "$gt", running.Add(-day))},
		options.Find().SetSort(D{is("at", 1)}))
	var minutes []installation.Minute
	for _, share := range docs {
		o.Failovers += share.Failovers
		if share.At.Before(running.Add(-time.Hour)) {
			continue
		}
		if len(minutes) == 0 || !minutes[len(minutes)-1].At.Equal(share.At) {
			minutes = append(minutes, installation.Minute{At: share.At})
		}
		m := &minutes[len(minutes)-1]
		m.Succeeded += share.Succeeded
		m.Failed += share.Failed
		m.Cancelled += share.Cancelled
		m.Failovers += share.Failovers
	}
	for _, m := range minutes {
		o.AddMinute(m, now)
	}
	return err
}

// AllGroups implements installation.Store.
func (db *DB) AllGroups(ctx context.Context, prefix, after string, limit int) ([]installation.Group, error) {
	filter := D{notDeleted, op("_id", "$gt", after)}
	if prefix != "" {
		filter = append(filter, begins("fold", fault.Fold(prefix)))
	}
	docs, err := find[groupDoc](ctx, db.groups(), filter,
		options.Find().SetProjection(only("members")).SetSort(D{is("_id", 1)}).SetLimit(int64(limit)))
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	counts, err := db.countQueues(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]installation.Group, len(docs))
	owners := make([]string, len(docs))
	for i, g := range docs {
		for user, m := range g.Members {
			if m.Role == auth.Owner {
				owners[i] = user
			}
		}
		all[i] = installation.Group{ID: g.ID, Name: g.Name, Members: g.Size, Owner: owners[i], CreatedAt: g.CreatedAt}
	}
	names, err := db.usernames(ctx, owners)
	for i := range all {
		all[i].OwnerName = names[all[i].Owner]
	}
	for p, n := range counts {
		if i := slices.IndexFunc(all, func(g installation.Group) bool { return g.ID == p.Group }); i >= 0 {
			all[i].Waiting += n.waiting()
			all[i].Running += n.running
		}
	}
	return all, err
}

// AllWorkers implements installation.Store.
func (db *DB) AllWorkers(ctx context.Context, prefix, after string, limit int) ([]installation.Worker, error) {
	sessions, err := db.sessionsHere(ctx, after)
	if err != nil {
		return nil, err
	}
	prefix = fault.Fold(prefix)
	var wanted []string
	for _, s := range sessions {
		if len(wanted) < limit && !slices.Contains(wanted, s.Worker) && strings.HasPrefix(fault.Fold(s.Name), prefix) {
			wanted = append(wanted, s.Worker)
		}
	}
	docs, err := find[workerDoc](ctx, db.in("workers"), D{op("id", "$in", list(wanted))},
		options.Find().SetProjection(D{is("id", 1), is("owner", 1)}).SetSort(D{is("id", 1)}))
	if err != nil {
		return nil, err
	}
	var owners []string
	for _, d := range docs {
		owners = append(owners, d.Owner)
	}
	names, err := db.usernames(ctx, owners)
	var all []installation.Worker
	for _, d := range docs {
		all = append(all, installation.Worker{ID: d.ID, Owner: d.Owner, OwnerName: names[d.Owner]})
	}
	return all, err
}

// HasWorker implements installation.Store.
func (db *DB) HasWorker(ctx context.Context, id string) (bool, error) {
	n, err := db.in("workers").CountDocuments(ctx, D{is("id", id)}, options.Count().SetLimit(1))
	return n > 0, fail(err)
}
