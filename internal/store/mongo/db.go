// Package mongo keeps everything in a MongoDB database, for any number of servers
// at once. Every write is of one document, decided by a filter; what spans
// documents is safe by the order of its writes and by being repeated
// (docs/decisions/006-one-document-at-a-time.md). It uses only operations that
// MongoDB 6 to 8 and FerretDB 1.24 both have. docs/store.md lists the indexes.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

// Bounds of the client. What the URI says goes before them.
const (
	operationTimeout = 10 * time.Second // of one operation, with its retries
	selectionTimeout = 5 * time.Second  // to find a server that can take it
	maxConnections   = 100
	// lockTime is how long an exclusive section may take: longer than the few
	// operations in it can.
	lockTime = 6 * operationTimeout
)

// DB is the store. It implements the stores of all domain packages, some of them
// through Sessions and Notifications.
type DB struct {
	client *mongo.Client
	db     *mongo.Database
	log    *slog.Logger
	counts queueCounts
	probe  *probe
}

// Open connects to the database that the URI names in its path, and makes the
// indexes that are not there. Close it after its last caller.
func Open(ctx context.Context, uri string, logger *slog.Logger) (*DB, error) {
	return open(ctx, uri, logger, indexes, nil)
}

// open is Open with some of the indexes, and with a monitor of commands, for tests.
func open(ctx context.Context, uri string, logger *slog.Logger, some []index, monitor *event.CommandMonitor) (*DB, error) {
	name, err := databaseOf(uri)
	if err != nil {
		return nil, err
	}
	p := new(probe)
	opts := options.Client().
		SetTimeout(operationTimeout).SetServerSelectionTimeout(selectionTimeout).SetMaxPoolSize(maxConnections).
		SetRetryWrites(true).SetRetryReads(true).SetWriteConcern(writeconcern.Majority()).SetReadConcern(readconcern.Majority()).
		SetAppName("firmlight").SetRegistry(registry()).SetMonitor(p.monitor(monitor)).
		SetBSONOptions(&options.BSONOptions{UseJSONStructTags: true}).ApplyURI(uri)
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("mongodb: %w", err)
	}
	db := &DB{client: client, db: client.Database(name), log: logger, probe: p}
	if err := db.createIndexes(ctx, some); err != nil {
		return nil, errors.Join(fmt.Errorf("indexes of %s: %w", name, err), db.Close())
	}
	return db, nil
}

// databaseOf returns the name of the database; a URI without one is an error.
func databaseOf(uri string) (string, error) {
	cs, err := connstring.Parse(uri)
	if err != nil {
		return "", fmt.Errorf("mongodb: %w", err)
	}
	if cs.Database == "" {
		return "", errors.New("mongodb: the URI must name a database: mongodb://host/firmlight")
	}
	return cs.Database, nil
}

// Close ends all connections; calls that come later get a fault of kind
// Unavailable.
func (db *DB) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	if err := db.client.Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return err
	}
	return nil
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return fail(db.client.Ping(ctx, nil)) }

// QueueDelay is how long writes wait before they are tried: nothing here does.
func (db *DB) QueueDelay() time.Duration { return 0 }

func (db *DB) in(collection string) *mongo.Collection { return db.db.Collection(collection) }

type (
	// D is one condition, or one change, after another.
	D = bson.D
	// E is one of them.
	E = bson.E
)

// is makes a condition or a change of one field.
func is(field string, v any) E { return E{Key: field, Value: v} }

// op makes {field: {operator: v}}.
func op(field, operator string, v any) E { return is(field, D{is(operator, v)}) }

// find reads documents into a slice of T.
func find[T any](ctx context.Context, c *mongo.Collection, filter D, opts ...options.Lister[options.FindOptions]) ([]T, error) {
	cur, err := c.Find(ctx, filter, opts...)
	if err != nil {
		return nil, fail(err)
	}
	var all []T
	return all, fail(cur.All(ctx, &all))
}

// findOne reads the first document; missing where there is none.
func findOne[T any](ctx context.Context, c *mongo.Collection, missing error, filter D, opts ...options.Lister[options.FindOneOptions]) (T, error) {
	var one T
	err := c.FindOne(ctx, filter, opts...).Decode(&one)
	if errors.Is(err, mongo.ErrNoDocuments) {
		err = missing
	}
	return one, fail(err)
}

// change runs one compare-and-set and returns the document after it; ok is false
// where the filter matched none.
func change[T any](ctx context.Context, c *mongo.Collection, filter, update D) (after T, ok bool, err error) {
	return decoded[T](c.FindOneAndUpdate(ctx, filter, update, options.FindOneAndUpdate().SetReturnDocument(options.After)))
}

// update runs one compare-and-set and reports whether the filter matched.
func update(ctx context.Context, c *mongo.Collection, filter, set D) (bool, error) {
	res, err := c.UpdateOne(ctx, filter, set)
	if err != nil {
		return false, fail(err)
	}
	return res.MatchedCount > 0, nil
}

// mustUpdate returns missing if the filter matched nothing.
func mustUpdate(ctx context.Context, c *mongo.Collection, missing error, filter, set D) error {
	ok, err := update(ctx, c, filter, set)
	if err == nil && !ok {
		err = missing
	}
	return err
}

// upsert changes a document that is found by its _id alone, or makes it. Where
// two make it at once one of them is told so, and changes it then.
func upsert(ctx context.Context, c *mongo.Collection, id string, set D) error {
	for {
		_, err := c.UpdateOne(ctx, D{is("_id", id)}, set, options.UpdateOne().SetUpsert(true))
		if !mongo.IsDuplicateKeyError(err) {
			return fail(err)
		}
	}
}

// remove deletes all that match and returns how many.
func remove(ctx context.Context, c *mongo.Collection, filter D) (int, error) {
	res, err := c.DeleteMany(ctx, filter)
	if err != nil {
		return 0, fail(err)
	}
	return int(res.DeletedCount), nil
}

// ids reads the _ids of at most limit documents in an order.
func ids(ctx context.Context, c *mongo.Collection, filter, order D, skip, limit int) ([]string, error) {
	found, err := find[struct {
		ID string `bson:"_id"`
	}](ctx, c, filter, options.Find().SetProjection(D{is("_id", 1)}).SetSort(order).SetSkip(int64(skip)).SetLimit(int64(limit)))
	all := make([]string, len(found))
	for i, d := range found {
		all[i] = d.ID
	}
	return all, err
}

// decoded returns the document of a find-and-modify; ok is false where there was
// none.
func decoded[T any](res *mongo.SingleResult) (doc T, ok bool, err error) {
	err = res.Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return doc, false, nil
	}
	return doc, err == nil, fail(err)
}
