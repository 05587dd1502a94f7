package mongo

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/tasks"
)

// payloadDoc is an input, an output or a checkpoint.
type payloadDoc struct {
	ID      string `bson:"_id"`
	Task    string `bson:"task"`
	Attempt int    `bson:"attempt"` // of a checkpoint
	Data    []byte `bson:"data"`
}

func inputOf(task string) string      { return task + "/input" }
func checkpointOf(task string) string { return task + "/checkpoint" }

func (db *DB) payloads() *mongo.Collection { return db.in("payloads") }

// putOutput keeps an output that no task has yet, and returns its name.
func (db *DB) putOutput(ctx context.Context, task string, data []byte) (string, error) {
	name := task + "/output/" + uuid.NewString()
	_, err := db.payloads().InsertOne(ctx, payloadDoc{ID: name, Task: task, Data: data})
	return name, fail(err)
}

// forgetPayload removes what nobody refers to; should it fail, sweepOrphans does.
func (db *DB) forgetPayload(ctx context.Context, name string) {
	if _, err := remove(context.WithoutCancel(ctx), db.payloads(), D{is("_id", name)}); err != nil {
		db.log.WarnContext(ctx, "a payload that nobody needs is left", "error", err)
	}
}

// readPayload returns nil where there is none.
func (db *DB) readPayload(ctx context.Context, name string) ([]byte, error) {
	p, err := findOne[payloadDoc](ctx, db.payloads(), nil, D{is("_id", name)})
	return p.Data, err
}

// kept returns where a task's payloads are: ErrNotFound, ErrDropped.
func (db *DB) kept(ctx context.Context, id string) (output string, err error) {
	t, err := findOne[taskDoc](ctx, db.tasks(), tasks.ErrNotFound, D{is("_id", id)},
		options.FindOne().SetProjection(D{is("dropped_at", 1), is("output", 1)}))
	if err == nil && !t.Task.DroppedAt.IsZero() {
		err = tasks.ErrDropped
	}
	return t.Output, err
}

// Input implements tasks.Payloads. ErrNotFound for an unknown id.
func (db *DB) Input(ctx context.Context, id string) ([]byte, error) {
	if _, err := db.kept(ctx, id); err != nil {
		return nil, err
	}
	return db.readPayload(ctx, inputOf(id))
}

// Output implements tasks.Payloads. ErrNotFound for an unknown id.
func (db *DB) Output(ctx context.Context, id string) ([]byte, error) {
	name, err := db.kept(ctx, id)
	if err == nil && name == "" {
		err = tasks.ErrNoResult
	}
	if err != nil {
		return nil, err
	}
	return db.readPayload(ctx, name)
}

// outputsPortion is how many outputs are read at a time: no read stays open
// while the caller works on them.
const outputsPortion = 16

// Outputs implements tasks.Payloads.
func (db *DB) Outputs(ctx context.Context, parent string, f func(index int, output []byte) error) error {
	for after, more := -1, true; more; {
		parts, err := find[taskDoc](ctx, db.tasks(),
			D{is("parent", parent), op("idx", "$gt", after), op("key", "$ne", tasks.ReduceKey)},
			options.Find().SetProjection(D{is("idx", 1), is("output", 1)}).SetSort(D{is("idx", 1)}).SetLimit(outputsPortion))
		if err != nil {
			return err
		}
		names := []string{}
		for _, p := range parts {
			names = append(names, p.Output)
		}
		found, err := find[payloadDoc](ctx, db.payloads(), D{op("_id", "$in", names)})
		if err != nil {
			return err
		}
		outputs := make(map[string][]byte, len(found))
		for _, p := range found {
			outputs[p.ID] = p.Data
		}
		for _, p := range parts {
			if err := f(p.Task.Index, outputs[p.Output]); err != nil {
				return err
			}
			after = p.Task.Index
		}
		more = len(parts) == outputsPortion
	}
	return nil
}

// Checkpoint implements tasks.Payloads: nil also for unknown and dropped tasks.
func (db *DB) Checkpoint(ctx context.Context, id string) ([]byte, error) {
	_, err := db.kept(ctx, id)
	if errors.Is(err, tasks.ErrNotFound) || errors.Is(err, tasks.ErrDropped) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return db.readPayload(ctx, checkpointOf(id))
}

// owned finds the running attempt that (attempt, session) owns.
func (db *DB) owned(ctx context.Context, id string, attempt int, session string) (bool, error) {
	n, err := db.tasks().CountDocuments(ctx, D{
		is("_id", id), is("status", tasks.Running), is("attempt", attempt), is("session", session), is("dropped_at", 0),
	})
	return n > 0, fail(err)
}

// SaveCheckpoint implements tasks.Payloads. The attempt is looked for first; a
// checkpoint of a later one that came in between is not written over.
func (db *DB) SaveCheckpoint(ctx context.Context, id string, attempt int, session string, data []byte) (bool, error) {
	ok, err := db.owned(ctx, id, attempt, session)
	if err != nil || !ok {
		return false, err
	}
	_, err = db.payloads().UpdateOne(ctx, D{is("_id", checkpointOf(id)), op("attempt", "$lte", attempt)},
		D{is("$set", D{is("task", id), is("attempt", attempt), is("data", data)})}, options.UpdateOne().SetUpsert(true))
	if mongo.IsDuplicateKeyError(err) {
		return false, nil
	}
	return err == nil, fail(err)
}

func (db *DB) clearPayloads(ctx context.Context, of []string) error {
	_, err := remove(ctx, db.payloads(), D{op("task", "$in", of)})
	if err != nil {
		return err
	}
	_, err = remove(ctx, db.in("logs"), D{op("_id", "$in", of)})
	return err
}

// Drop implements tasks.Payloads. A task that has not ended, or was queued again
// by a retry meanwhile, keeps everything. It is marked first, so that no retry
// comes between, then its children, then the payloads go; sweepOrphans does what
// was interrupted.
func (db *DB) Drop(ctx context.Context, id string, now time.Time) error {
	marked := D{is("$set", D{is("dropped_at", now)})}
	if _, err := update(ctx, db.tasks(), D{is("_id", id), hasEnded, is("dropped_at", 0)}, marked); err != nil {
		return err
	}
	n, err := db.tasks().CountDocuments(ctx, D{is("_id", id), hasEnded, op("dropped_at", "$gt", 0)})
	if err != nil || n == 0 {
		return fail(err)
	}
	if _, err := db.tasks().UpdateMany(ctx, D{is("parent", id), is("dropped_at", 0)}, marked); err != nil {
		return fail(err)
	}
	children, err := ids(ctx, db.tasks(), D{is("parent", id)}, D{is("parent", 1)}, 0, 0)
	if err != nil {
		return err
	}
	for portion := range slices.Chunk(append(children, id), deletePortion) {
		if err := db.clearPayloads(ctx, portion); err != nil {
			return err
		}
	}
	return nil
}

// AddHistory implements tasks.Payloads. ErrNotFound for an unknown id.
func (db *DB) AddHistory(ctx context.Context, id string, e tasks.Entry) error {
	return mustUpdate(ctx, db.tasks(), tasks.ErrNotFound, D{is("_id", id)}, D{is("$push", D{is("history", entryDoc(e))})})
}

// History implements tasks.Payloads: nothing for an unknown id.
func (db *DB) History(ctx context.Context, id string) ([]tasks.Entry, error) {
	t, err := findOne[taskDoc](ctx, db.tasks(), nil, D{is("_id", id)}, options.FindOne().SetProjection(D{is("history", 1)}))
	var all []tasks.Entry
	for _, e := range t.History {
		all = append(all, tasks.Entry(e))
	}
	return all, err
}
