package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/notify"
)

// Notifications is notify.Store: a type of its own, since its methods' names
// would say nothing on DB.
type Notifications struct{ db *DB }

var _ notify.Store = (*Notifications)(nil)

// Notifications returns the store of notifications.
func (db *DB) Notifications() *Notifications { return &Notifications{db} }

// notificationDoc is a notify.Notification. Its slot is unique: of an unread one
// notify's, of another its id.
type notificationDoc struct {
	ID        string       `bson:"_id"`
	Slot      string       `bson:"slot"`
	To        string       `bson:"user_id"`
	Type      notify.Type  `bson:"type"`
	About     notify.About `bson:"about"`
	Count     int          `bson:"count"`
	Read      bool         `bson:"read"`
	CreatedAt time.Time    `bson:"created_at"`
	UpdatedAt time.Time    `bson:"updated_at"`
}

func (d notificationDoc) notification() notify.Notification {
	return notify.Notification{
		ID: d.ID, To: d.To, Type: d.Type, About: d.About, Count: d.Count, Read: d.Read, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
	}
}

func (s *Notifications) docs() *mongo.Collection { return s.db.in("notifications") }

// Add implements notify.Store. New ones are inserted together; those whose slot
// is taken are counted there, one by one.
func (s *Notifications) Add(ctx context.Context, ns ...notify.Notification) ([]notify.Notification, error) {
	kept := make([]notify.Notification, len(ns))
	docs := make([]any, len(ns))
	for i, n := range ns {
		kept[i] = n
		docs[i] = notificationDoc{
			ID: n.ID, Slot: n.Slot(), To: n.To, Type: n.Type, About: n.About, Count: n.Count, Read: n.Read,
			CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt,
		}
	}
	taken, err := insertNew(ctx, s.docs(), docs)
	if err != nil {
		return nil, err
	}
	for _, i := range taken {
		if kept[i], err = s.merge(ctx, ns[i]); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// merge counts n in its slot; where that was given up meanwhile it begins a new
// one.
func (s *Notifications) merge(ctx context.Context, n notify.Notification) (notify.Notification, error) {
	for {
		var d notificationDoc
		err := s.docs().FindOneAndUpdate(ctx, D{is("slot", n.Slot())}, D{
			is("$set", D{is("about", n.About)}), is("$inc", D{is("count", n.Count)}), is("$max", D{is("updated_at", n.UpdatedAt)}),
			is("$setOnInsert", D{
				is("_id", n.ID), is("user_id", n.To), is("type", n.Type), is("read", false), is("created_at", n.CreatedAt),
			}),
		}, options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&d)
		if !mongo.IsDuplicateKeyError(err) {
			return d.notification(), fail(err)
		}
	}
}

// List implements notify.Store.
func (s *Notifications) List(ctx context.Context, user string, unread bool, after notify.Place, limit int) ([]notify.Notification, error) {
	filter := D{is("user_id", user)}
	if unread {
		filter = append(filter, is("read", false))
	}
	if after.ID != "" {
		filter = append(filter, op("updated_at", "$lte", after.UpdatedAt), is("$or", []D{
			{op("updated_at", "$lt", after.UpdatedAt)}, {op("_id", "$lt", after.ID)},
		}))
	}
	docs, err := find[notificationDoc](ctx, s.docs(), filter,
		options.Find().SetSort(D{is("updated_at", -1), is("_id", -1)}).SetLimit(int64(limit)))
	var found []notify.Notification
	for _, d := range docs {
		found = append(found, d.notification())
	}
	return found, err
}

// Count implements notify.Store.
func (s *Notifications) Count(ctx context.Context, user string) (unread, all int, err error) {
	u, err := s.docs().CountDocuments(ctx, D{is("user_id", user), is("read", false)})
	if err != nil {
		return 0, 0, fail(err)
	}
	n, err := s.docs().CountDocuments(ctx, D{is("user_id", user)})
	return int(u), int(n), fail(err)
}

// readPortion is how many are marked by one command.
const readPortion = 500

// Read implements notify.Store.
func (s *Notifications) Read(ctx context.Context, user string, wanted []string) (int, error) {
	filter := D{is("user_id", user), is("read", false)}
	if wanted != nil {
		filter = append(filter, op("_id", "$in", wanted))
	}
	done := 0
	for {
		unread, err := ids(ctx, s.docs(), filter, D{is("updated_at", 1)}, 0, readPortion)
		if err != nil || len(unread) == 0 {
			return done, err
		}
		marks := make([]mongo.WriteModel, len(unread))
		for i, id := range unread {
			marks[i] = mongo.NewUpdateOneModel().SetFilter(D{is("_id", id), is("user_id", user), is("read", false)}).
				SetUpdate(D{is("$set", D{is("read", true), is("slot", id)})})
		}
		res, err := s.docs().BulkWrite(ctx, marks, options.BulkWrite().SetOrdered(false))
		if err != nil {
			return done, fail(err)
		}
		done += int(res.MatchedCount)
	}
}

// Delete implements notify.Store.
func (s *Notifications) Delete(ctx context.Context, user, id string) error {
	n, err := remove(ctx, s.docs(), D{is("_id", id), is("user_id", user)})
	if err == nil && n == 0 {
		err = notify.ErrNone
	}
	return err
}

// Trim implements notify.Store.
func (s *Notifications) Trim(ctx context.Context, user string, keep int) error {
	_, err := s.removeSome(ctx, D{is("user_id", user)}, D{is("updated_at", -1), is("_id", -1)}, keep, 0)
	return err
}

// Expire implements notify.Store.
func (s *Notifications) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.removeSome(ctx, D{op("updated_at", "$lt", before)}, D{is("updated_at", 1)}, 0, limit)
}

func (s *Notifications) removeSome(ctx context.Context, filter, order D, skip, limit int) (int, error) {
	some, err := ids(ctx, s.docs(), filter, order, skip, limit)
	if err != nil || len(some) == 0 {
		return 0, err
	}
	return remove(ctx, s.docs(), D{op("_id", "$in", some)})
}

// Forget implements notify.Store.
func (s *Notifications) Forget(ctx context.Context, user string) error {
	if _, err := remove(ctx, s.docs(), D{is("user_id", user)}); err != nil {
		return err
	}
	_, err := remove(ctx, s.settings(), D{is("_id", user)})
	return err
}

func (s *Notifications) settings() *mongo.Collection { return s.db.in("notification_settings") }

// Settings implements notify.Store.
func (s *Notifications) Settings(ctx context.Context, user string) (notify.Settings, error) {
	d, err := findOne[struct {
		Off notify.Settings `bson:"off"`
	}](ctx, s.settings(), nil, D{is("_id", user)})
	return d.Off, err
}

// SetSettings implements notify.Store.
func (s *Notifications) SetSettings(ctx context.Context, user string, set notify.Settings) error {
	return upsert(ctx, s.settings(), user, D{is("$set", D{is("off", set)})})
}
