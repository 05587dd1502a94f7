package mongo

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/firmlight/firmlight/internal/tasks"
)

var (
	_ tasks.Store      = (*DB)(nil)
	_ tasks.Payloads   = (*DB)(nil)
	_ tasks.StatsStore = (*DB)(nil)
	_ tasks.QueueStore = (*DB)(nil)
)

const (
	deletePortion = 200   // tasks of one command
	stampsAtOnce  = 64    // commands under way
	maxFind       = 10000 // most that Find returns
)

func (db *DB) tasks() *mongo.Collection { return db.in("tasks") }

// Apply implements tasks.Store. The output is written first, under a name that
// only this transition makes the task's; then task and history in one update;
// then what the end counts.
func (db *DB) Apply(ctx context.Context, t tasks.Transition) (tasks.Task, bool, error) {
	filter, err := where(D{is("_id", t.Task)}, t.If)
	if err != nil {
		return tasks.Task{}, false, err
	}
	set, err := changes(t.Set)
	if err != nil {
		return tasks.Task{}, false, err
	}
	var output string
	if t.Output != nil {
		if output, err = db.putOutput(ctx, t.Task, t.Output); err != nil {
			return tasks.Task{}, false, err
		}
		set = with(set, "$set", is("output", output))
	}
	if len(t.History) > 0 {
		set = append(set, is("$push", D{op("history", "$each", entryDocs(t.History))}))
	}
	row, ok, err := change[taskRow](ctx, db.tasks(), filter, set)
	if err != nil {
		return tasks.Task{}, false, err
	}
	after := tasks.Task(row)
	if output != "" && (!ok || !after.DroppedAt.IsZero()) { // nobody will ask for it
		db.forgetPayload(ctx, output)
	}
	if ok && setsStatus(t.Set) {
		db.count(ctx, &t, &after)
	}
	return after, ok, nil
}

// Stamp implements tasks.Store.
func (db *DB) Stamp(ctx context.Context, at time.Time, ts ...tasks.Task) ([]tasks.Task, error) {
	applied := make([]bool, len(ts))
	var stamping errgroup.Group
	stamping.SetLimit(stampsAtOnce)
	for i, t := range ts {
		stamping.Go(func() (err error) {
			_, applied[i], err = db.Apply(ctx, tasks.Stamp(t, at))
			return err
		})
	}
	err := stamping.Wait()
	return tasks.Stamped(ts, applied, at), err
}

// with adds a field to an operator of an update.
func with(update D, operator string, e E) D {
	i := slices.IndexFunc(update, func(have E) bool { return have.Key == operator })
	if i < 0 {
		return append(update, is(operator, D{e}))
	}
	if fields, ok := update[i].Value.(D); ok {
		update[i].Value = append(slices.Clip(fields), e)
	}
	return update
}

// Claim implements tasks.Store. The input is read before: were it read after, a
// claim that cannot read it would leave a task that runs nowhere. It stays the
// same as long as the task can be claimed.
func (db *DB) Claim(ctx context.Context, t tasks.Transition) (tasks.Task, []byte, bool, error) {
	filter, err := where(D{is("_id", t.Task)}, t.If)
	if err != nil {
		return tasks.Task{}, nil, false, err
	}
	set, err := changes(t.Set)
	if err != nil {
		return tasks.Task{}, nil, false, err
	}
	input, err := db.readPayload(ctx, inputOf(t.Task))
	if err != nil {
		return tasks.Task{}, nil, false, err
	}
	row, ok, err := change[taskRow](ctx, db.tasks(), filter, set)
	if err != nil || !ok {
		return tasks.Task{}, nil, false, err
	}
	return tasks.Task(row), input, true, nil
}

// Get implements tasks.Store.
func (db *DB) Get(ctx context.Context, id string) (tasks.Task, error) {
	row, err := findOne[taskRow](ctx, db.tasks(), tasks.ErrNotFound, D{is("_id", id)}, options.FindOne().SetProjection(metadata))
	return tasks.Task(row), err
}

// Find implements tasks.Store. A zero limit is the largest.
func (db *DB) Find(ctx context.Context, q tasks.Query) ([]tasks.Task, error) {
	filter, err := where(D{}, q.Where)
	if err != nil {
		return nil, err
	}
	by, err := order(q.Sort)
	if err != nil {
		return nil, err
	}
	if q.Limit <= 0 || q.Limit > maxFind {
		q.Limit = maxFind
	}
	opts := options.Find().SetProjection(metadata).SetLimit(int64(q.Limit))
	if by != nil {
		opts = opts.SetSort(by)
	}
	rows, err := find[taskRow](ctx, db.tasks(), filter, opts)
	var ts []tasks.Task
	for _, r := range rows {
		ts = append(ts, tasks.Task(r))
	}
	return ts, err
}

// Count implements tasks.Store.
func (db *DB) Count(ctx context.Context, w tasks.Where, limit int) (int, error) {
	filter, err := where(D{}, w)
	if err != nil {
		return 0, err
	}
	opts := options.Count()
	if limit > 0 {
		opts = opts.SetLimit(int64(limit))
	}
	n, err := db.tasks().CountDocuments(ctx, filter, opts)
	return int(n), fail(err)
}

// group counts the documents of a filter by the values of fields.
func group[K any](ctx context.Context, c *mongo.Collection, filter D, fields ...string) ([]counted[K], error) {
	return groupSum[K](ctx, c, filter, 1, fields...)
}

// groupSum adds up of, a number or "$field", by the values of fields.
func groupSum[K any](ctx context.Context, c *mongo.Collection, filter D, of any, fields ...string) ([]counted[K], error) {
	by := D{}
	for _, f := range fields {
		by = append(by, is(f, "$"+f))
	}
	cur, err := c.Aggregate(ctx, []D{
		{is("$match", filter)}, {is("$group", D{is("_id", by), op("n", "$sum", of)})},
	})
	if err != nil {
		return nil, fail(err)
	}
	var all []counted[K]
	return all, fail(cur.All(ctx, &all))
}

type counted[K any] struct {
	Key K     `bson:"_id"`
	N   int64 `bson:"n"`
}

type statusKey struct {
	Status tasks.Status `bson:"status"`
}

func byStatus(found []counted[statusKey]) map[tasks.Status]int {
	counts := make(map[tasks.Status]int, len(found))
	for _, c := range found {
		counts[c.Key.Status] += int(c.N)
	}
	return counts
}

// CountByStatus implements tasks.Store.
func (db *DB) CountByStatus(ctx context.Context, parent string) (map[tasks.Status]int, error) {
	found, err := group[statusKey](ctx, db.tasks(), D{is("parent", parent), op("key", "$ne", tasks.ReduceKey)}, "status")
	return byStatus(found), err
}

// Running implements tasks.Store.
func (db *DB) Running(ctx context.Context) ([]tasks.Owned, error) {
	found, err := group[struct {
		Session string `bson:"session"`
		Epoch   int64  `bson:"epoch"`
	}](ctx, db.tasks(), D{is("status", tasks.Running), op("session", "$gt", "")}, "session", "epoch")
	var out []tasks.Owned
	for _, c := range found {
		out = append(out, tasks.Owned{Session: c.Key.Session, Epoch: c.Key.Epoch, Tasks: int(c.N)})
	}
	return out, err
}

var hasEnded = op("status", "$in", []tasks.Status{tasks.Cancelled, tasks.Failed, tasks.Succeeded})

// Delete implements tasks.Store. Children go with their parents; tasks that have
// not ended stay. Those that go are dropped first, so that no retry comes between;
// what is interrupted is done by the next call, for the parent goes last.
func (db *DB) Delete(ctx context.Context, all ...string) error {
	for portion := range slices.Chunk(all, deletePortion) {
		ended := D{op("_id", "$in", portion), hasEnded}
		going, err := ids(ctx, db.tasks(), ended, D{is("_id", 1)}, 0, 0)
		if err != nil {
			return err
		}
		if len(going) == 0 {
			continue
		}
		if _, err = db.tasks().UpdateMany(ctx, D{op("_id", "$in", going), hasEnded, is("dropped_at", 0)},
			D{is("$set", D{is("dropped_at", 1)})}); err != nil {
			return fail(err)
		}
		for more := true; more; {
			children, err := ids(ctx, db.tasks(), D{op("parent", "$in", going)}, D{is("parent", 1)}, 0, deletePortion)
			if err != nil {
				return err
			}
			if err = db.deleteTasks(ctx, D{op("_id", "$in", children)}, children); err != nil {
				return err
			}
			more = len(children) == deletePortion
		}
		if err := db.deleteTasks(ctx, D{op("_id", "$in", going), hasEnded}, going); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) deleteTasks(ctx context.Context, filter D, going []string) error {
	if len(going) == 0 {
		return nil
	}
	if err := db.clearPayloads(ctx, going); err != nil {
		return err
	}
	_, err := remove(ctx, db.tasks(), filter)
	return err
}
