package mongo

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/firmlight/firmlight/internal/tasks"
)

// Queues are counted, not kept: counters beside the tasks would have to be right
// after every crash. An index answers; what took it long stands for a while.

// countShare is the share of its time that a server counts at most.
const (
	countShare = 20
	countFree  = 100 * time.Millisecond // faster than that: counted anew each time
)

// queueCounts are the newest counts of all queues.
type queueCounts struct {
	mu    sync.Mutex // guards what follows, and lets one count at a time
	all   map[tasks.Pair]queueCount
	until time.Time // they are good
}

type queueCount struct{ queued, scheduled, running int }

func (c queueCount) waiting() int { return c.queued + c.scheduled }

type pairKey struct {
	Group  string       `bson:"group_id"`
	Kind   string       `bson:"kind"`
	Status tasks.Status `bson:"status"`
}

// countQueues counts unfinished tasks by group and kind. The map is not changed.
func (db *DB) countQueues(ctx context.Context) (map[tasks.Pair]queueCount, error) {
	c := &db.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	if began.Before(c.until) {
		return c.all, nil
	}
	found, err := group[pairKey](ctx, db.tasks(), unfinished, "group_id", "kind", "status")
	if err != nil {
		return nil, err
	}
	all := make(map[tasks.Pair]queueCount)
	for _, f := range found {
		p := tasks.Pair{Group: f.Key.Group, Kind: f.Key.Kind}
		n := all[p]
		switch f.Key.Status {
		case tasks.Queued:
			n.queued += int(f.N)
		case tasks.Scheduled:
			n.scheduled += int(f.N)
		case tasks.Running:
			n.running += int(f.N)
		}
		all[p] = n
	}
	c.all = all
	if took := time.Since(began); took > countFree {
		c.until = time.Now().Add(countShare * took)
	}
	return all, nil
}

// pauseDoc is a paused queue; one that is not paused has none.
type pauseDoc struct {
	ID       string    `bson:"_id"`
	Group    string    `bson:"group_id"`
	Kind     string    `bson:"kind"`
	PausedAt time.Time `bson:"paused_at"`
}

func (db *DB) pauses() *mongo.Collection { return db.in("pauses") }

// Queues implements tasks.QueueStore.
func (db *DB) Queues(ctx context.Context, after tasks.Pair, limit int, now time.Time) ([]tasks.QueueState, error) {
	return db.queues(ctx, now, limit, func(q *tasks.QueueState) bool {
		return cmp.Or(cmp.Compare(q.Group, after.Group), cmp.Compare(q.Kind, after.Kind)) > 0 && (q.Waiting > 0 || !q.PausedAt.IsZero())
	}, byPair)
}

// LongestQueues implements tasks.QueueStore.
func (db *DB) LongestQueues(ctx context.Context, limit int, now time.Time) ([]tasks.QueueState, error) {
	return db.queues(ctx, now, limit, func(q *tasks.QueueState) bool { return q.Waiting > 0 },
		func(a, b tasks.QueueState) int { return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), byPair(a, b)) })
}

func byPair(a, b tasks.QueueState) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind))
}

// queues returns the first of those that are wanted, in an order; for both,
// Waiting is all that waits.
func (db *DB) queues(
	ctx context.Context, now time.Time, limit int, wanted func(*tasks.QueueState) bool, order func(a, b tasks.QueueState) int,
) ([]tasks.QueueState, error) {
	counts, err := db.countQueues(ctx)
	if err != nil {
		return nil, err
	}
	paused, err := find[pauseDoc](ctx, db.pauses(), D{})
	if err != nil {
		return nil, err
	}
	states := make(map[tasks.Pair]tasks.QueueState, len(counts))
	for p, n := range counts {
		states[p] = tasks.QueueState{Group: p.Group, Kind: p.Kind, Waiting: n.waiting(), Running: n.running}
	}
	for _, d := range paused {
		p := tasks.Pair{Group: d.Group, Kind: d.Kind}
		q := states[p]
		q.Group, q.Kind, q.PausedAt = d.Group, d.Kind, d.PausedAt
		states[p] = q
	}
	var all []tasks.QueueState
	for _, q := range states {
		if wanted(&q) {
			all = append(all, q)
		}
	}
	slices.SortFunc(all, order)
	all = all[:min(len(all), limit)]
	return all, db.look(ctx, all, now)
}

// look fills in what the counts do not say.
func (db *DB) look(ctx context.Context, all []tasks.QueueState, now time.Time) error {
	var groups []string
	for _, q := range all {
		groups = append(groups, q.Group)
	}
	names, err := db.groupNames(ctx, D{op("_id", "$in", list(groups)), notDeleted})
	if err != nil {
		return err
	}
	wait, ctx := errgroup.WithContext(ctx)
	wait.SetLimit(pairReads)
	for i := range all {
		q := &all[i]
		q.GroupName = names[q.Group]
		wait.Go(func() error {
			pair := []E{is("group_id", q.Group), is("kind", q.Kind)}
			ahead, err := db.tasks().CountDocuments(ctx, waiting(append(pair, op("run_at", "$gt", now))...))
			if err != nil {
				return fail(err)
			}
			first, err := find[pairDoc](ctx, db.tasks(), waiting(append(pair, op("run_at", "$lte", now))...),
				options.Find().SetSort(D{is("run_at", 1)}).SetLimit(1).SetProjection(pairFields))
			if len(first) > 0 {
				q.Oldest = first[0].RunAt
			}
			q.Scheduled = int(ahead)
			q.Waiting = max(0, q.Waiting-q.Scheduled)
			return err
		})
	}
	return wait.Wait()
}

// PauseQueue implements tasks.QueueStore. A queue paused again keeps its time.
func (db *DB) PauseQueue(ctx context.Context, p tasks.Pair, now time.Time) error {
	_, err := db.pauses().InsertOne(ctx, pauseDoc{ID: p.Group + "/" + p.Kind, Group: p.Group, Kind: p.Kind, PausedAt: now})
	if mongo.IsDuplicateKeyError(err) {
		return nil
	}
	return fail(err)
}

// ResumeQueue implements tasks.QueueStore.
func (db *DB) ResumeQueue(ctx context.Context, p tasks.Pair) error {
	_, err := remove(ctx, db.pauses(), D{is("_id", p.Group+"/"+p.Kind)})
	return err
}

// ResumeGroup implements tasks.QueueStore.
func (db *DB) ResumeGroup(ctx context.Context, group string) error {
	_, err := remove(ctx, db.pauses(), D{is("group_id", group)})
	return err
}

// PausedQueues implements tasks.QueueStore.
func (db *DB) PausedQueues(ctx context.Context) ([]tasks.Pair, error) {
	docs, err := find[pauseDoc](ctx, db.pauses(), D{})
	var all []tasks.Pair
	for _, d := range docs {
		all = append(all, tasks.Pair{Group: d.Group, Kind: d.Kind})
	}
	return all, err
}
