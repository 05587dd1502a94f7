package mongo

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

const (
	sweepPortion = 1000      // payloads, or logs, of one read
	sweepAge     = time.Hour // of a task's id: a younger one may be inserted yet
)

// sweepOrphans removes payloads and logs whose tasks are gone or were dropped:
// what a server left that died between two writes.
func (db *DB) sweepOrphans(ctx context.Context) error {
	for _, c := range []*mongo.Collection{db.payloads(), db.in("logs")} {
		if err := db.sweepIn(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// sweepIn walks one of the two collections. Its ids begin with their tasks'.
func (db *DB) sweepIn(ctx context.Context, c *mongo.Collection) error {
	for last := ""; ; {
		names, err := ids(ctx, c, D{op("_id", "$gt", last)}, D{is("_id", 1)}, 0, sweepPortion)
		if err != nil || len(names) == 0 {
			return err
		}
		last = names[len(names)-1]
		var of []string
		for _, name := range names {
			if task, _, _ := strings.Cut(name, "/"); old(task) {
				of = append(of, task)
			}
		}
		of = slices.Compact(of)
		kept, err := ids(ctx, db.tasks(), D{op("_id", "$in", list(of)), is("dropped_at", 0)}, D{is("_id", 1)}, 0, 0)
		if err != nil {
			return err
		}
		gone := slices.DeleteFunc(of, func(task string) bool { return slices.Contains(kept, task) })
		if len(gone) == 0 {
			continue
		}
		if err := db.clearPayloads(ctx, gone); err != nil {
			return err
		}
		db.log.InfoContext(ctx, "payloads without a task were removed", "tasks", len(gone))
	}
}

// old tells by a task's id (UUIDv7) when it was made.
func old(task string) bool {
	id, err := uuid.Parse(task)
	if err != nil {
		return false
	}
	s, ns := id.Time().UnixTime()
	return time.Since(time.Unix(s, ns)) > sweepAge
}

// begunTwice returns those of a bulk write's upserts that failed because another
// server made the document at the same time; any other failure is an error.
func begunTwice(models []mongo.WriteModel, err error) ([]mongo.WriteModel, error) {
	failed, ok := asBulk(err)
	if !ok {
		return nil, err
	}
	var again []mongo.WriteModel
	for _, e := range failed.WriteErrors {
		if !mongo.IsDuplicateKeyError(e.WriteError) {
			return nil, err
		}
		again = append(again, models[e.Index])
	}
	return again, nil
}
