package mongo

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/firmlight/firmlight/internal/fault"
)

// lockPoll is how often somebody who waits looks again.
const lockPoll = 20 * time.Millisecond

var errLocked = fault.New(fault.Unavailable, "store_unavailable", "The store is busy.")

// exclusive runs f while no other server runs one of the same name. It is for rare
// changes that depend on several documents. A server that dies in f keeps the
// others out for lockTime; f must be done long before.
func (db *DB) exclusive(ctx context.Context, name string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, lockTime/2)
	defer cancel()
	mine := uuid.NewString()
	for {
		ok, err := db.lock(ctx, name, mine)
		if err != nil {
			return err
		}
		if ok {
			break
		}
		select {
		case <-ctx.Done():
			return errLocked
		case <-time.After(lockPoll):
		}
	}
	err := f(ctx)
	_, unlock := db.in("locks").DeleteOne(context.WithoutCancel(ctx), D{is("_id", name), is("holder", mine)})
	return errors.Join(err, fail(unlock))
}

func (db *DB) lock(ctx context.Context, name, mine string) (bool, error) {
	now := time.Now()
	_, err := db.in("locks").InsertOne(ctx, D{is("_id", name), is("holder", mine), is("until", now.Add(lockTime))})
	if !mongo.IsDuplicateKeyError(err) {
		return err == nil, fail(err)
	}
	return update(ctx, db.in("locks"), D{is("_id", name), op("until", "$lte", now)},
		D{is("$set", D{is("holder", mine), is("until", now.Add(lockTime))})})
}
