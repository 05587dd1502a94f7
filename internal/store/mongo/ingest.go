package mongo

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// Events are counted exactly once, whoever dies when:
//  1. they are inserted, uncounted;
//  2. whoever reads a device's version N, and then its uncounted events, adds
//     them to the device and writes it as version N+1, which names them (Applied);
//  3. they are marked as counted.
// An uncounted event that version N names was counted by it: it is marked before
// version N+1 is written. So no event is missed or added twice, and any server can
// go on where another stopped: the next event of the device, or OpenSilent.

const (
	ingestPortion = 500 // events of one insert
	ingestDevices = 8   // devices that are counted at a time
	countPortion  = 1000
)

// Append implements devsync.Store. Each portion of ingestPortion is a step of its
// own; with an error the earlier ones are returned.
func (db *DB) Append(ctx context.Context, group string, events []devsync.Event) ([]devsync.Stored, error) {
	out := make([]devsync.Stored, 0, len(events))
	for portion := range slices.Chunk(events, ingestPortion) {
		stored, err := db.appendSome(ctx, group, portion)
		if err != nil {
			return out, err
		}
		out = append(out, stored...)
	}
	return out, nil
}

func (db *DB) appendSome(ctx context.Context, group string, events []devsync.Event) ([]devsync.Stored, error) {
	docs := make([]any, len(events))
	out := make([]devsync.Stored, len(events))
	of := make(map[string]devsync.Event) // one of each device
	for i, e := range events {
		docs[i] = eventDocOf(group, e)
		out[i] = devsync.Stored{Event: e}
		of[e.Device] = e
	}
	there, err := insertNew(ctx, db.events(), docs)
	if err != nil {
		return nil, err
	}
	db.probe.eventsWritten(len(docs) - len(there))
	if err := db.firstOf(ctx, group, events, there, out); err != nil {
		return nil, err
	}
	wait, ctx := errgroup.WithContext(ctx)
	wait.SetLimit(ingestDevices)
	for id, e := range of {
		wait.Go(func() error {
			err := db.countDevice(ctx, group, id)
			if errors.Is(err, devsync.ErrNoDevice) {
				if err = db.register(ctx, group, e); err == nil {
					err = db.countDevice(ctx, group, id)
				}
			}
			return err
		})
	}
	return out, wait.Wait()
}

// firstOf answers repeats with the first of them.
func (db *DB) firstOf(ctx context.Context, group string, events []devsync.Event, repeats []int, out []devsync.Stored) error {
	keys := []string{}
	for _, i := range repeats {
		keys = append(keys, eventKey(group, events[i]))
	}
	if len(keys) == 0 {
		return nil
	}
	docs, err := find[eventDoc](ctx, db.events(), D{op("_id", "$in", keys)})
	first := make(map[string]devsync.Event, len(docs))
	for i := range docs {
		first[docs[i].Key] = docs[i].event()
	}
	for _, i := range repeats {
		if e, ok := first[eventKey(group, events[i])]; ok {
			out[i].Event = e
		}
		out[i].Repeat = true
	}
	return err
}

// register adds a device, unless somebody else just did.
func (db *DB) register(ctx context.Context, group string, e devsync.Event) error {
	rules, err := db.RulesOf(ctx, group)
	if err != nil {
		return err
	}
	state := devsync.Active
	if rules.Approval {
		state = devsync.Pending
	}
	_, err = db.devices().InsertOne(ctx, deviceDoc{
		Key: deviceKey(group, e.Device), Group: group, ID: e.Device, Tags: []string{}, State: state, FirstSeen: e.ReceivedAt,
	})
	if mongo.IsDuplicateKeyError(err) {
		return nil
	}
	return fail(err)
}

// countDevice counts a device's uncounted events: ErrNoDevice.
func (db *DB) countDevice(ctx context.Context, group, id string) error {
	for {
		d, err := db.readDevice(ctx, group, id)
		if err != nil {
			return err
		}
		fresh, err := find[eventDoc](ctx, db.events(), D{is("counted", false), is("group_id", group), is("device", id)},
			options.Find().SetLimit(countPortion))
		if err != nil || len(fresh) == 0 {
			return err
		}
		more := len(fresh) == countPortion
		fresh = slices.DeleteFunc(fresh, func(e eventDoc) bool { return slices.Contains(d.Applied, e.Key) })
		if err := db.markCounted(ctx, d.Applied); err != nil {
			return err
		}
		if err := db.runEffects(ctx, d); err != nil {
			return err
		}
		if len(fresh) == 0 {
			continue // only marks were missing
		}
		if err := db.countEvents(ctx, d, fresh); err != nil {
			return err
		}
		ok, err := db.writeDevice(ctx, d)
		if err != nil {
			return err
		}
		if ok {
			if err := db.markCounted(ctx, d.Applied); err != nil || !more {
				return err
			}
		}
	}
}

// countEvents makes the next version of a device.
func (db *DB) countEvents(ctx context.Context, d *deviceDoc, fresh []eventDoc) error {
	slices.SortFunc(fresh, func(a, b eventDoc) int {
		if a.mark().Before(b.mark()) {
			return -1
		}
		return 1
	})
	d.Applied, d.Effects = make([]string, len(fresh)), nil
	recount := false
	for i := range fresh {
		d.Applied[i] = fresh[i].Key
		recount = d.note(fresh[i].event()) || recount
	}
	if recount {
		failed, err := db.streak(ctx, d, fresh)
		if err != nil {
			return err
		}
		d.Streak = len(failed)
	}
	return db.checkAlerts(ctx, d, fresh, d.LastSeen)
}

// streak returns the failures after the last success, oldest first: those that
// are counted, and the fresh ones.
func (db *DB) streak(ctx context.Context, d *deviceDoc, fresh []eventDoc) ([]devsync.Mark, error) {
	docs, err := find[eventDoc](ctx, db.events(),
		D{is("group_id", d.Group), is("device", d.ID), is("failed", 1), op("at", "$gte", d.LastSuccess.At), is("counted", true)},
		options.Find().SetProjection(D{is("at", 1), is("id", 1), is("failed", 1)}))
	var failed []devsync.Mark
	for _, e := range append(docs, fresh...) {
		if e.Failed == 1 && d.LastSuccess.Before(e.mark()) {
			failed = append(failed, e.mark())
		}
	}
	slices.SortFunc(failed, func(a, b devsync.Mark) int {
		if a.Before(b) {
			return -1
		}
		return 1
	})
	return failed, err
}

func (db *DB) markCounted(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := db.events().UpdateMany(ctx, D{op("_id", "$in", keys), is("counted", false)}, D{is("$set", D{is("counted", true)})})
	return fail(err)
}

// countLeft counts what servers left that died between insert and count.
func (db *DB) countLeft(ctx context.Context) error {
	left, err := find[eventDoc](ctx, db.events(), D{is("counted", false)},
		options.Find().SetLimit(countPortion).SetProjection(D{is("group_id", 1), is("device", 1), is("received", 1)}))
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, e := range left {
		key := deviceKey(e.Group, e.Device)
		if seen[key] {
			continue
		}
		seen[key] = true
		err := db.countDevice(ctx, e.Group, e.Device)
		if errors.Is(err, devsync.ErrNoDevice) {
			if err = db.register(ctx, e.Group, e.event()); err == nil {
				err = db.countDevice(ctx, e.Group, e.Device)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
