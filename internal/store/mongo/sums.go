package mongo

import (
	"context"
	"slices"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// hourDoc is what the dropped events of a device's hour add up to.
type hourDoc struct {
	Key     string           `bson:"_id"`
	Version int64            `bson:"version"`
	Group   string           `bson:"group_id"`
	Device  string           `bson:"device"`
	Hour    time.Time        `bson:"hour"`
	Totals  devsync.Totals   `bson:"totals"`
	Speeds  map[string]int64 `bson:"speeds"`
	// Dropping are events that are in the sums and may still be there: readers
	// leave them out.
	Dropping []string `bson:"dropping"`
}

func hourKey(group, device string, hour time.Time) string {
	return deviceKey(group, device) + sep + strconv.FormatInt(ms(hour), 10)
}

func (db *DB) hours() *mongo.Collection { return db.in("device_hours") }

// sumKey is what events that are added up have in common.
type sumKey struct {
	Hour    time.Time `bson:"hour"`
	Bucket  int       `bson:"bucket"`
	Failed  int64     `bson:"failed"`
	Partial int64     `bson:"partial"`
}

// Sums implements devsync.Store: the events are added up by the database, those
// that were dropped have been before.
func (db *DB) Sums(ctx context.Context, q devsync.SumQuery) ([]devsync.Sum, error) {
	filter := D{is("group_id", q.Group)}
	if q.Device != "" {
		filter = append(filter, is("device", q.Device))
	}
	filter = append(filter, between("hour", q.From, q.To)...)
	dropped, err := find[hourDoc](ctx, db.hours(), filter)
	if err != nil {
		return nil, err
	}
	hours := make(map[int64]*devsync.Sum)
	var dropping []string
	for _, h := range dropped {
		dropping = append(dropping, h.Dropping...)
		s := sumOf(hours, h.Hour)
		plus(&s.Totals, h.Totals)
		addBuckets(s.Speeds, h.Speeds)
	}
	if dropping != nil {
		filter = append(filter, op("_id", "$nin", dropping))
	}
	err = db.addUp(ctx, filter, hours)
	sums := make([]devsync.Sum, 0, len(hours))
	for _, s := range hours {
		sums = append(sums, *s)
	}
	slices.SortFunc(sums, func(a, b devsync.Sum) int { return a.At.Compare(b.At) })
	return sums, err
}

// addUp adds events to sums by their hour. FerretDB does one sum in a $group.
func (db *DB) addUp(ctx context.Context, filter D, hours map[int64]*devsync.Sum) error {
	by := []string{"hour", "bucket", "failed", "partial"}
	for _, what := range []struct {
		of  any
		add func(s *devsync.Sum, k sumKey, n int64)
	}{
		{1, func(s *devsync.Sum, k sumKey, n int64) {
			plus(&s.Totals, devsync.Totals{Events: n, Failed: n * k.Failed, Partial: n * k.Partial})
			s.Speeds[k.Bucket] += n
		}},
		{"$files", func(s *devsync.Sum, _ sumKey, n int64) { s.Files += n }},
		{"$errors", func(s *devsync.Sum, _ sumKey, n int64) { s.Totals.Errors += n }},
	} {
		found, err := groupSum[sumKey](ctx, db.events(), filter, what.of, by...)
		if err != nil {
			return err
		}
		for _, f := range found {
			what.add(sumOf(hours, f.Key.Hour), f.Key, f.N)
		}
	}
	return nil
}

func sumOf(hours map[int64]*devsync.Sum, hour time.Time) *devsync.Sum {
	s := hours[ms(hour)]
	if s == nil {
		s = &devsync.Sum{At: hour, Speeds: make(devsync.Histogram)}
		hours[ms(hour)] = s
	}
	return s
}

func plus(to *devsync.Totals, t devsync.Totals) {
	to.Events += t.Events
	to.Failed += t.Failed
	to.Partial += t.Partial
	to.Files += t.Files
	to.Errors += t.Errors
}

// DropEvents implements devsync.Store: up to deletePortion events of one hour of
// one device. Their sums are written first, with their names; then they go; then
// their names.
func (db *DB) DropEvents(ctx context.Context, t time.Time) (more bool, err error) {
	oldest, err := find[eventDoc](ctx, db.events(), D{is("counted", true), op("at", "$lt", t)},
		options.Find().SetSort(D{is("at", 1)}).SetLimit(1))
	if err != nil || len(oldest) == 0 {
		return false, err
	}
	first := &oldest[0]
	key := hourKey(first.Group, first.Device, first.Hour)
	h, err := findOne[hourDoc](ctx, db.hours(), nil, D{is("_id", key)})
	if err != nil {
		return false, err
	}
	if len(h.Dropping) > 0 { // somebody stopped here
		return true, db.dropped(ctx, &h)
	}
	going, err := find[eventDoc](ctx, db.events(), D{
		is("group_id", first.Group), is("device", first.Device), is("at", D{is("$gte", first.Hour), is("$lt", earlier(t, first.Hour.Add(time.Hour)))}),
		is("counted", true),
	}, options.Find().SetSort(D{is("at", 1)}).SetLimit(deletePortion))
	if err != nil {
		return false, err
	}
	read := h.Version
	h.Key, h.Group, h.Device, h.Hour, h.Version = key, first.Group, first.Device, first.Hour, read+1
	if h.Speeds == nil {
		h.Speeds = make(map[string]int64)
	}
	for i := range going {
		e := &going[i]
		h.Totals.Add(e.event())
		h.Speeds[strconv.Itoa(e.Bucket)]++
		h.Dropping = append(h.Dropping, e.Key)
	}
	_, err = db.hours().ReplaceOne(ctx, D{is("_id", key), is("version", read)}, h, options.Replace().SetUpsert(true))
	if mongo.IsDuplicateKeyError(err) { // another server does the same
		return true, nil
	}
	if err != nil {
		return false, fail(err)
	}
	return true, db.dropped(ctx, &h)
}

// dropped removes the events that are in the sums of an hour.
func (db *DB) dropped(ctx context.Context, h *hourDoc) error {
	if _, err := remove(ctx, db.events(), D{op("_id", "$in", h.Dropping)}); err != nil {
		return err
	}
	_, err := update(ctx, db.hours(), D{is("_id", h.Key), is("version", h.Version)}, D{is("$set", D{is("dropping", []string{})})})
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// DeleteDevices implements devsync.Store: portions of events, then the rest; the
// devices go last.
func (db *DB) DeleteDevices(ctx context.Context, group string) (more bool, err error) {
	filter := D{is("group_id", group)}
	some, err := ids(ctx, db.events(), filter, D{is("group_id", 1)}, 0, countPortion)
	if err != nil {
		return false, err
	}
	if len(some) > 0 {
		_, err := remove(ctx, db.events(), D{op("_id", "$in", some)})
		return err == nil, err
	}
	for _, c := range []*mongo.Collection{db.hours(), db.alerts(), db.devices()} {
		if _, err := remove(ctx, c, filter); err != nil {
			return false, err
		}
	}
	_, err = remove(ctx, db.rules(), D{is("_id", group)})
	return false, err
}
