package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
)

var _ audit.Store = (*DB)(nil)

// auditRow is an audit.Entry as it is stored.
type auditRow struct {
	ID         string    `bson:"_id"`
	Actor      string    `bson:"actor"`
	ActorName  string    `bson:"actor_name"`
	TokenKind  auth.Kind `bson:"token_kind"`
	Action     string    `bson:"action"`
	TargetType string    `bson:"target_type"`
	Target     string    `bson:"target"`
	Group      string    `bson:"group_id"`
	Address    string    `bson:"address"`
	Outcome    string    `bson:"outcome"`
	Status     int       `bson:"status"`
	RequestID  string    `bson:"request_id"`
	LeftOut    int       `bson:"left_out"`
}

// auditDoc is an entry that says whether it was refused, for an index.
type auditDoc struct {
	Entry   auditRow `bson:",inline"`
	Refused bool     `bson:"refused"`
}

func (db *DB) audit() *mongo.Collection { return db.in("audit") }

// InsertEntry implements audit.Store.
func (db *DB) InsertEntry(ctx context.Context, e audit.Entry) error {
	_, err := db.audit().InsertOne(ctx, auditDoc{Entry: auditRow(e), Refused: e.Outcome != audit.OK})
	return fail(err)
}

// Entries implements audit.Store.
func (db *DB) Entries(ctx context.Context, f audit.Filter, before string, limit int) ([]audit.Entry, error) {
	rows, err := find[auditRow](ctx, db.audit(), auditFilter(f, before), options.Find().SetSort(D{is("_id", -1)}).SetLimit(int64(limit)))
	var found []audit.Entry
	for _, r := range rows {
		found = append(found, audit.Entry(r))
	}
	return found, err
}

func auditFilter(f audit.Filter, before string) D {
	filter := D{}
	equal := func(field, value string) {
		if value != "" {
			filter = append(filter, is(field, value))
		}
	}
	if len(f.Actor) > auth.MaxUsername {
		equal("actor", f.Actor)
	} else {
		equal("actor_name", f.Actor)
	}
	equal("action", f.Action)
	equal("target", f.Target)
	equal("group_id", f.Group)
	switch f.Outcome {
	case audit.OK, audit.Refused:
		filter = append(filter, is("refused", f.Outcome == audit.Refused))
	default:
		equal("outcome", f.Outcome)
	}
	var ids D
	if !f.From.IsZero() {
		ids = append(ids, is("$gte", audit.Since(f.From)))
	}
	end := before
	if to := audit.Since(f.To); !f.To.IsZero() && (end == "" || to < end) {
		end = to
	}
	if end != "" {
		ids = append(ids, is("$lt", end))
	}
	if ids != nil {
		filter = append(filter, is("_id", ids))
	}
	return filter
}

// DeleteEntries implements audit.Store.
func (db *DB) DeleteEntries(ctx context.Context, t time.Time, limit int) (int, error) {
	oldest, err := ids(ctx, db.audit(), D{op("_id", "$lt", audit.Since(t))}, D{is("_id", 1)}, 0, limit)
	if err != nil || len(oldest) == 0 {
		return 0, err
	}
	return remove(ctx, db.audit(), D{op("_id", "$in", oldest)})
}
