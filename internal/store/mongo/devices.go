package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

var _ devsync.Store = (*DB)(nil)

// deviceDoc is a devsync.Device with what its events add up to. Everything of it
// is written as one, if Version is still the one that was read.
type deviceDoc struct {
	Key     string `bson:"_id"` // deviceKey
	Version int64  `bson:"version"`

	Group       string         `bson:"group_id"`
	ID          string         `bson:"id"`
	Name        string         `bson:"name"`
	Tags        []string       `bson:"tags"`
	State       devsync.State  `bson:"state"`
	FirstSeen   time.Time      `bson:"first_seen"`
	LastSeen    time.Time      `bson:"last_seen"`
	Totals      devsync.Totals `bson:"totals"`
	Newest      devsync.Mark   `bson:"newest"`
	LastSuccess devsync.Mark   `bson:"last_success"`
	LastFailure devsync.Mark   `bson:"last_failure"`
	Streak      int            `bson:"streak"`
	Interval    time.Duration  `bson:"interval"`
	Failing     string         `bson:"failing"` // id of the open alert, or empty
	Silent      string         `bson:"silent"`

	// Applied are the events that the newest version counts: until they are marked
	// so themselves, this says it.
	Applied []string `bson:"applied"`
	// Effects are what the newest version does to alerts; empty once it is done.
	Effects []effect `bson:"effects"`
}

// sep stands between the parts of a key: no name has a control character.
const sep = "\x1f"

func deviceKey(group, id string) string { return group + sep + id }

func (d *deviceDoc) device() devsync.Device {
	return devsync.Device{
		Group: d.Group, ID: d.ID, Name: d.Name, Tags: d.Tags, State: d.State, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen,
		Totals: d.Totals, Newest: d.Newest, LastSuccess: d.LastSuccess, LastFailure: d.LastFailure, Streak: d.Streak,
		Interval: d.Interval, Failing: d.Failing != "", Silent: d.Silent != "",
	}
}

// note counts an event; recount as devsync.Device.Note.
func (d *deviceDoc) note(e devsync.Event) (recount bool) {
	dev := d.device()
	recount = dev.Note(e)
	d.FirstSeen, d.LastSeen, d.Totals, d.Newest = dev.FirstSeen, dev.LastSeen, dev.Totals, dev.Newest
	d.LastSuccess, d.LastFailure, d.Streak, d.Interval = dev.LastSuccess, dev.LastFailure, dev.Streak, dev.Interval
	return recount
}

func (db *DB) devices() *mongo.Collection { return db.in("devices") }

// shown leaves out what only counting needs.
var shown = D{is("applied", 0), is("effects", 0)}

// readDevice returns ErrNoDevice.
func (db *DB) readDevice(ctx context.Context, group, id string) (*deviceDoc, error) {
	d, err := findOne[deviceDoc](ctx, db.devices(), devsync.ErrNoDevice, D{is("_id", deviceKey(group, id))})
	return &d, err
}

// writeDevice puts d in the place of the version that was read, and then does to
// alerts what it says; ok is false where there is another version by now.
func (db *DB) writeDevice(ctx context.Context, d *deviceDoc) (ok bool, err error) {
	read := d.Version
	d.Version++
	res, err := db.devices().ReplaceOne(ctx, D{is("_id", d.Key), is("version", read)}, d)
	if err != nil || res.MatchedCount == 0 {
		return false, fail(err)
	}
	return true, db.settle(ctx, d)
}

// Device implements devsync.Store.
func (db *DB) Device(ctx context.Context, group, id string) (devsync.Device, error) {
	d, err := db.readDevice(ctx, group, id)
	if err != nil {
		return devsync.Device{}, err
	}
	return d.device(), nil
}

// Devices implements devsync.Store.
func (db *DB) Devices(ctx context.Context, q devsync.DeviceQuery) (found []devsync.Device, looked string, err error) {
	after, most := "$gt", q.Limit
	if q.Too {
		after = "$gte"
	}
	if q.Searches() {
		most = q.Look
	}
	filter := D{is("group_id", q.Group), is("id", D{is(after, q.After)})}
	if len(q.States) > 0 {
		filter = append(filter, op("state", "$in", q.States))
	}
	cur, err := db.devices().Find(ctx, filter, options.Find().SetProjection(shown).SetSort(D{is("id", 1)}).SetLimit(int64(most)))
	if err != nil {
		return nil, "", fail(err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }() // what was read is not in doubt
	wanted, seen := q.Finder(), 0
	for ; len(found) < q.Limit && cur.Next(ctx); seen++ {
		var d deviceDoc
		if err := cur.Decode(&d); err != nil {
			return nil, "", fail(err)
		}
		looked = d.ID
		if dev := d.device(); wanted(dev) {
			found = append(found, dev)
		}
	}
	if seen < most || len(found) == q.Limit {
		looked = "" // these were all, or enough
	}
	return found, looked, fail(cur.Err())
}

// GroupsOfDevice implements devsync.Store.
func (db *DB) GroupsOfDevice(ctx context.Context, id string, groups []string) ([]string, error) {
	docs, err := find[deviceDoc](ctx, db.devices(), D{is("id", id), op("group_id", "$in", list(groups))},
		options.Find().SetSort(D{is("group_id", 1)}).SetProjection(D{is("group_id", 1)}))
	var found []string
	for _, d := range docs {
		found = append(found, d.Group)
	}
	return found, err
}

// UpdateDevice implements devsync.Store.
func (db *DB) UpdateDevice(ctx context.Context, group, id string, c devsync.Change, now time.Time) error {
	for {
		d, err := db.takeDevice(ctx, group, id)
		if err != nil {
			return err
		}
		d.Name, d.Tags, d.State = c.Over(d.Name, d.Tags, d.State)
		if err := db.checkAlerts(ctx, d, nil, now); err != nil {
			return err
		}
		if ok, err := db.writeDevice(ctx, d); ok || err != nil {
			return err
		}
	}
}

// takeDevice reads a device to write it: what the version before left to do is
// done first.
func (db *DB) takeDevice(ctx context.Context, group, id string) (*deviceDoc, error) {
	d, err := db.readDevice(ctx, group, id)
	if err != nil {
		return nil, err
	}
	if err := db.markCounted(ctx, d.Applied); err != nil {
		return nil, err
	}
	if err := db.runEffects(ctx, d); err != nil {
		return nil, err
	}
	d.Applied, d.Effects = nil, nil
	return d, nil
}

// Failing implements devsync.Store.
func (db *DB) Failing(ctx context.Context, q devsync.FailingQuery) ([]devsync.Failing, error) {
	filter := D{op("group_id", "$in", list(q.Groups)), is("state", devsync.Active), op("last_failure.at", "$gte", q.From)}
	opts := options.Find().SetProjection(shown)
	if q.Streak > 0 {
		filter = append(filter, op("streak", "$gte", q.Streak))
		opts = opts.SetSort(D{is("streak", -1), is("id", 1)}).SetLimit(int64(q.Limit))
	} else {
		filter = append(filter, op("totals.failed", "$gte", q.Total))
	}
	docs, err := find[deviceDoc](ctx, db.devices(), filter, opts)
	if err != nil {
		return nil, err
	}
	return db.failures(ctx, docs, q)
}
