package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/workers"
)

// serverRow is a workers.Server as it is stored.
type serverRow struct {
	ID      string    `bson:"_id"`
	Address string    `bson:"address"`
	Beat    int64     `bson:"beat"`
	Started time.Time `bson:"started"`
	BeatAt  time.Time `bson:"beat_at"`
}

// Beat implements workers.Cluster.
func (db *DB) Beat(ctx context.Context, s workers.Server) error {
	return upsert(ctx, db.in("servers"), s.ID, D{
		is("$inc", D{is("beat", int64(1))}), is("$setOnInsert", D{is("started", s.Started)}),
		is("$set", D{is("address", s.Address), is("beat_at", s.BeatAt)}),
	})
}

// Servers implements workers.Cluster, in order of id.
func (db *DB) Servers(ctx context.Context) ([]workers.Server, error) {
	rows, err := find[serverRow](ctx, db.in("servers"), D{}, options.Find().SetSort(D{is("_id", 1)}))
	var all []workers.Server
	for _, r := range rows {
		all = append(all, workers.Server(r))
	}
	return all, err
}

// RemoveServer implements workers.Cluster.
func (db *DB) RemoveServer(ctx context.Context, id string) error {
	_, err := remove(ctx, db.in("servers"), D{is("_id", id)})
	return err
}

type leaseDoc struct {
	Job    string    `bson:"_id"`
	Server string    `bson:"server"`
	Until  time.Time `bson:"until"`
	Fence  int64     `bson:"fence"`
}

// Lease implements workers.Cluster. A lease ends at its `until`; a holder that
// takes it again keeps its fencing number.
func (db *DB) Lease(ctx context.Context, job, server string, now, until time.Time) (int64, bool, error) {
	leases := db.in("leases")
	l, ok, err := change[leaseDoc](ctx, leases, D{is("_id", job), is("server", server)}, D{is("$set", D{is("until", until)})})
	if ok || err != nil {
		return l.Fence, ok, err
	}
	l, ok, err = change[leaseDoc](ctx, leases, D{is("_id", job), op("until", "$lte", now)}, D{
		is("$set", D{is("server", server), is("until", until)}), is("$inc", D{is("fence", int64(1))}),
	})
	if ok || err != nil {
		return l.Fence, ok, err
	}
	_, err = leases.InsertOne(ctx, leaseDoc{Job: job, Server: server, Until: until, Fence: 1})
	if mongo.IsDuplicateKeyError(err) {
		return 0, false, nil
	}
	return 1, err == nil, fail(err)
}
