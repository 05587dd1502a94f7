package mongo

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/tasks"
)

const insertPortion = 100 // tasks of one command

// Insert implements tasks.Store. Inputs are written before their tasks, so that
// a task that is there has its input; one without a task is swept (sweepOrphans).
func (db *DB) Insert(ctx context.Context, ts ...tasks.New) ([]tasks.Inserted, error) {
	out := make([]tasks.Inserted, 0, len(ts))
	for portion := range slices.Chunk(ts, insertPortion) {
		done, err := db.insertSome(ctx, portion)
		if err != nil {
			return out, err
		}
		out = append(out, done...)
	}
	return out, nil
}

func (db *DB) insertSome(ctx context.Context, ts []tasks.New) ([]tasks.Inserted, error) {
	var inputs, docs []any
	for i := range ts {
		if ts[i].Input != nil {
			inputs = append(inputs, payloadDoc{ID: inputOf(ts[i].ID), Task: ts[i].ID, Data: ts[i].Input})
		}
		docs = append(docs, docOf(&ts[i]))
	}
	if _, err := insertNew(ctx, db.payloads(), inputs); err != nil {
		return nil, err
	}
	there, err := insertNew(ctx, db.tasks(), docs)
	if err != nil {
		return nil, err
	}
	out := make([]tasks.Inserted, len(ts))
	for i := range ts {
		out[i] = tasks.Inserted{Task: ts[i].Task}
		if slices.Contains(there, i) {
			if out[i], err = db.inTheWay(ctx, &ts[i]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// insertNew inserts each document on its own and returns the places of those
// that were there.
func insertNew(ctx context.Context, c *mongo.Collection, docs []any) (there []int, err error) {
	if len(docs) == 0 {
		return nil, nil
	}
	_, err = c.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	failed, ok := asBulk(err)
	if !ok {
		return nil, fail(err)
	}
	for _, e := range failed.WriteErrors {
		if !mongo.IsDuplicateKeyError(e.WriteError) {
			return nil, fail(err)
		}
		there = append(there, e.Index)
	}
	return there, nil
}

// asBulk returns which documents of a bulk write failed; ok is false where that
// is not all that went wrong.
func asBulk(err error) (failed mongo.BulkWriteException, ok bool) {
	ok = errors.As(err, &failed) && failed.WriteConcernError == nil
	return failed, ok
}

// inTheWay finds the task that kept n out. One whose idempotency key is over
// gives it up, and n is inserted after all.
func (db *DB) inTheWay(ctx context.Context, n *tasks.New) (tasks.Inserted, error) {
	slot := slotOf(n)
	for {
		old, err := findOne[taskDoc](ctx, db.tasks(), nil, D{is("$or", []D{{is("_id", n.ID)}, {is("slot", slot)}})},
			options.FindOne().SetProjection(metadata))
		if err != nil {
			return tasks.Inserted{}, err
		}
		over := n.IdempotencyKey != "" && old.Task.ID != n.ID && !n.CreatedAt.Before(old.Task.CreatedAt.Add(tasks.IdempotencyWindow))
		if old.Task.ID != "" && !over {
			if old.Task.ID != n.ID {
				_, err = remove(ctx, db.payloads(), D{is("_id", inputOf(n.ID))})
			}
			same := n.IdempotencyKey == "" || old.Task.ID == n.ID || old.BodyHash == n.BodyHash
			return tasks.Inserted{Task: tasks.Task(old.Task), Existed: true, SameBody: same}, err
		}
		if over {
			_, err = update(ctx, db.tasks(), D{is("_id", old.Task.ID), is("slot", slot)}, D{is("$set", D{is("slot", old.Task.ID)})})
			if err != nil {
				return tasks.Inserted{}, err
			}
		}
		_, err = db.tasks().InsertOne(ctx, docOf(n))
		if !mongo.IsDuplicateKeyError(err) {
			return tasks.Inserted{Task: n.Task}, fail(err)
		}
	}
}
