package mongo

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// eventDoc is a devsync.Event. Its key makes a repeat impossible: the event_id,
// else the time.
type eventDoc struct {
	Key      string    `bson:"_id"`
	Group    string    `bson:"group_id"`
	Device   string    `bson:"device"`
	ID       string    `bson:"id"`
	At       time.Time `bson:"at"`
	Received time.Time `bson:"received"`
	Files    int64     `bson:"files"`
	Errors   int64     `bson:"errors"`
	Speed    float64   `bson:"speed"`

	// What sums are made of: the database only adds.
	Hour    time.Time `bson:"hour"`
	Failed  int64     `bson:"failed"`  // 1 or 0
	Partial int64     `bson:"partial"` // 1 or 0
	Bucket  int       `bson:"bucket"`  // of its speed

	Counted bool `bson:"counted"` // in its device's totals
}

func eventKey(group string, e devsync.Event) string {
	if e.ID != "" {
		return deviceKey(group, e.Device) + sep + "id" + sep + e.ID
	}
	return deviceKey(group, e.Device) + sep + "at" + sep + strconv.FormatInt(ms(e.At), 10)
}

func eventDocOf(group string, e devsync.Event) eventDoc {
	var one devsync.Totals
	one.Add(e)
	return eventDoc{
		Key: eventKey(group, e), Group: group, Device: e.Device, ID: e.ID, At: e.At, Received: e.ReceivedAt, Files: e.Files,
		Errors: e.Errors, Speed: e.Speed, Hour: e.At.Truncate(time.Hour), Failed: one.Failed, Partial: one.Partial,
		Bucket: devsync.SpeedBucket(e.Speed),
	}
}

func (d *eventDoc) event() devsync.Event {
	return devsync.Event{
		Device: d.Device, ID: d.ID, At: d.At, ReceivedAt: d.Received, Files: d.Files, Errors: d.Errors, Speed: d.Speed,
	}
}

func (d *eventDoc) mark() devsync.Mark { return devsync.Mark{At: d.At, Event: d.ID} }

func (db *DB) events() *mongo.Collection { return db.in("events") }

func (db *DB) readEvents(ctx context.Context, filter D, opts ...options.Lister[options.FindOptions]) ([]devsync.Event, error) {
	docs, err := find[eventDoc](ctx, db.events(), filter, opts...)
	var found []devsync.Event
	for i := range docs {
		found = append(found, docs[i].event())
	}
	return found, err
}

// between is a range of device time.
func between(field string, from, to time.Time) D {
	var span D
	if !from.IsZero() {
		span = append(span, is("$gte", from))
	}
	if !to.IsZero() {
		span = append(span, is("$lt", to))
	}
	if span == nil {
		return nil
	}
	return D{is(field, span)}
}

// EventsOf implements devsync.Store.
func (db *DB) EventsOf(ctx context.Context, q devsync.EventQuery) ([]devsync.Event, error) {
	to := q.To
	filter := D{is("group_id", q.Group), is("device", q.Device)}
	if !q.Before.At.IsZero() {
		if next := q.Before.At.Add(time.Millisecond); to.IsZero() || next.Before(to) {
			to = next
		}
		filter = append(filter, is("$or", []D{
			{op("at", "$lt", q.Before.At)}, {is("at", q.Before.At), op("id", "$lt", q.Before.Event)},
		}))
	}
	filter = append(filter, between("at", q.From, to)...)
	switch q.Status {
	case devsync.OK:
		filter = append(filter, is("failed", 0))
	case devsync.Partial:
		filter = append(filter, is("partial", 1))
	case devsync.Failed:
		filter = append(filter, is("failed", 1), is("partial", 0))
	}
	return db.readEvents(ctx, filter, options.Find().SetSort(D{is("at", -1), is("id", -1)}).SetLimit(int64(q.Limit)))
}

// GroupEvents implements devsync.Store.
func (db *DB) GroupEvents(ctx context.Context, q devsync.ExportQuery) ([]devsync.Event, error) {
	pending, err := find[deviceDoc](ctx, db.devices(), D{is("group_id", q.Group), is("state", devsync.Pending)},
		options.Find().SetProjection(D{is("id", 1)}))
	if err != nil {
		return nil, err
	}
	hidden := []string{}
	for _, d := range pending {
		hidden = append(hidden, d.ID)
	}
	filter := D{is("group_id", q.Group), is("device", D{is("$gte", q.AfterDevice), is("$nin", hidden)})}
	filter = append(filter, between("at", q.From, q.To)...)
	if q.AfterDevice != "" {
		filter = append(filter, is("$or", []D{
			{op("device", "$gt", q.AfterDevice)}, {op("at", "$gt", q.After.At)},
			{is("at", q.After.At), op("id", "$gt", q.After.Event)},
		}))
	}
	return db.readEvents(ctx, filter, options.Find().SetSort(D{is("device", 1), is("at", 1), is("id", 1)}).SetLimit(int64(q.Limit)))
}

// failures looks the failed events of devices up.
func (db *DB) failures(ctx context.Context, docs []deviceDoc, q devsync.FailingQuery) ([]devsync.Failing, error) {
	all := make([]devsync.Failing, len(docs))
	wait, ctx := errgroup.WithContext(ctx)
	wait.SetLimit(pairReads)
	for i := range docs {
		d := &docs[i]
		wait.Go(func() error {
			failed := D{is("group_id", d.Group), is("device", d.ID), is("failed", 1), op("at", "$gte", q.From)}
			n, err := db.events().CountDocuments(ctx, failed)
			if err != nil {
				return fail(err)
			}
			first, err := db.readEvents(ctx, failed, options.Find().SetSort(D{is("at", 1)}).SetLimit(1))
			all[i] = devsync.Failing{
				Group: d.Group, Device: d.ID, Name: d.Name, Failures: int(n), Streak: d.Streak,
				LastFailure: d.LastFailure.At, LastSuccess: d.LastSuccess.At,
			}
			if len(first) > 0 {
				all[i].FirstFailure = first[0].At
			}
			return err
		})
	}
	if err := wait.Wait(); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(f devsync.Failing) bool { return f.Failures < q.Total })
	if q.Streak == 0 {
		slices.SortFunc(all, func(a, b devsync.Failing) int {
			return cmp.Or(cmp.Compare(b.Failures, a.Failures), cmp.Compare(a.Device, b.Device))
		})
	}
	all = all[:min(len(all), q.Limit)]
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}
