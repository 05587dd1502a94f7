package mongo

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/workers"
)

var (
	_ workers.Store   = (*Sessions)(nil)
	_ workers.Roster  = (*Sessions)(nil)
	_ workers.Cluster = (*DB)(nil)
)

// Sessions is workers.Store and Roster: a type of its own, since its methods'
// names (Open, List, Update) would say nothing on DB.
type Sessions struct{ db *DB }

// Sessions returns the store of sessions and workers.
func (db *DB) Sessions() *Sessions { return &Sessions{db} }

// sessionRow is a workers.Session as it is stored.
type sessionRow struct {
	ID          string            `bson:"_id"`
	Worker      string            `bson:"worker"`
	Name        string            `bson:"name"`
	Owner       string            `bson:"owner"`
	Token       string            `bson:"token"`
	Server      string            `bson:"server"`
	State       workers.State     `bson:"state"`
	Epoch       int64             `bson:"epoch"`
	Until       time.Time         `bson:"until"`
	LastHeard   time.Time         `bson:"last_heard"`
	SecretHash  string            `bson:"secret_hash"`
	Groups      []string          `bson:"groups"`
	Kinds       []string          `bson:"kinds"`
	Slots       int               `bson:"slots"`
	Offered     []string          `bson:"offered"`
	Asked       []string          `bson:"asked"`
	Labels      map[string]string `bson:"labels"`
	SDK         string            `bson:"sdk"`
	Draining    bool              `bson:"draining"`
	ConnectedAt time.Time         `bson:"connected_at"`
	ByServer    bool              `bson:"by_server"`
}

// sessionDoc is a session with when it was lost.
type sessionDoc struct {
	Session sessionRow `bson:",inline"`
	LostAt  time.Time  `bson:"lost_at"`
}

var (
	connected = is("state", workers.Connected)
	alive     = op("state", "$in", []workers.State{workers.Connected, workers.Grace})
)

func (s *Sessions) docs() *mongo.Collection { return s.db.in("sessions") }

// change runs a transition; ok is false where it changed nothing. saw, if set, is
// when its worker was known alive, which is noted after it.
func (s *Sessions) change(ctx context.Context, saw time.Time, filter, set D) (workers.Session, bool, error) {
	row, ok, err := change[sessionRow](ctx, s.docs(), filter, set)
	after := workers.Session(row)
	if err == nil && ok && !saw.IsZero() {
		_, err = update(ctx, s.workers(), D{is("_id", workerKey(after.Owner, after.Name)), is("id", after.Worker)}, D{
			is("$max", D{is("last_seen", saw)}), is("$set", said(after)),
		})
	}
	if err != nil || !ok {
		return workers.Session{}, false, err
	}
	return after, true, nil
}

// said is what a worker says of itself when it connects.
func said(s workers.Session) D {
	return D{is("kinds", s.Offered), is("labels", s.Labels), is("sdk", s.SDK)}
}

// Open implements workers.Store. The session comes first, so that a worker who
// has one is never removed; the worker's document decides which id it has, should
// several open their first at once.
func (s *Sessions) Open(ctx context.Context, n workers.Session) (workers.Session, error) {
	key := workerKey(n.Owner, n.Name)
	known, err := findOne[workerDoc](ctx, s.workers(), nil, D{is("_id", key)})
	if err != nil {
		return workers.Session{}, err
	}
	if n.Worker = known.ID; n.Worker == "" {
		n.Worker = uuid.Must(uuid.NewV7()).String()
	}
	n.State, n.Epoch = workers.Connected, 1
	n.Until, n.ByServer = time.Time{}, false
	if _, err := s.docs().InsertOne(ctx, sessionDoc{Session: sessionRow(n)}); err != nil {
		return workers.Session{}, fail(err)
	}
	err = upsert(ctx, s.workers(), key, D{
		is("$setOnInsert", D{
			is("id", n.Worker), is("owner", n.Owner), is("name", n.Name), is("first_seen", n.ConnectedAt),
			is("settings", nil), is("revision", int64(0)),
		}),
		is("$max", D{is("last_seen", n.ConnectedAt)}), is("$set", said(n)), is("$inc", D{is("opened", int64(1))}),
	})
	if err != nil {
		return workers.Session{}, err
	}
	w, err := findOne[workerDoc](ctx, s.workers(), nil, D{is("_id", key)})
	if err == nil && w.ID != n.Worker && w.ID != "" {
		n.Worker = w.ID
		_, err = update(ctx, s.docs(), D{is("_id", n.ID)}, D{is("$set", D{is("worker", w.ID)})})
	}
	if err != nil {
		return workers.Session{}, err
	}
	return n, nil
}

// Resume implements workers.Store. Draining is taken from n too: a worker that
// drains says so again.
func (s *Sessions) Resume(ctx context.Context, n workers.Session) (workers.Session, error) {
	after, ok, err := s.change(ctx, n.LastHeard,
		D{is("_id", n.ID), is("owner", n.Owner), is("secret_hash", n.SecretHash), alive},
		D{
			is("$inc", D{is("epoch", 1)}), is("$max", D{is("last_heard", n.LastHeard)}),
			is("$set", D{
				connected, is("until", 0), is("by_server", false), is("server", n.Server), is("groups", n.Groups), is("kinds", n.Kinds),
				is("slots", n.Slots), is("offered", n.Offered), is("labels", n.Labels), is("sdk", n.SDK), is("draining", n.Draining),
			}),
		})
	if err == nil && !ok {
		err = workers.ErrNoSession
	}
	return after, err
}

// Part implements workers.Store.
func (s *Sessions) Part(ctx context.Context, id string, epoch int64, until, lastHeard time.Time, byServer bool) (bool, error) {
	_, ok, err := s.change(ctx, lastHeard, D{is("_id", id), is("epoch", epoch), connected}, D{is("$set", D{
		is("state", workers.Grace), is("until", until), is("last_heard", lastHeard), is("by_server", byServer),
	})})
	return ok, err
}

// Lose implements workers.Store.
func (s *Sessions) Lose(ctx context.Context, id string, epoch int64, graceBy time.Time) (workers.Session, bool, error) {
	now := time.Now()
	lost := D{is("$set", D{is("state", workers.Lost), is("lost_at", now), is("until", 0)})}
	if graceBy.IsZero() { // it left just now
		return s.change(ctx, now, D{is("_id", id), is("epoch", epoch), alive}, lost)
	}
	return s.change(ctx, time.Time{}, D{is("_id", id), is("epoch", epoch), is("state", workers.Grace), op("until", "$lte", graceBy)}, lost)
}

// Update implements workers.Store; the session's epoch is compared too.
func (s *Sessions) Update(ctx context.Context, n workers.Session) (bool, error) {
	_, ok, err := s.change(ctx, time.Time{}, D{is("_id", n.ID), is("epoch", n.Epoch), connected}, D{is("$set", D{
		is("slots", n.Slots), is("groups", n.Groups), is("kinds", n.Kinds), is("draining", n.Draining),
	})})
	return ok, err
}

// Sessions implements workers.Store.
func (s *Sessions) Sessions(ctx context.Context, ids ...string) ([]workers.Session, error) {
	return s.read(ctx, D{op("_id", "$in", list(ids))}, 0)
}

func (s *Sessions) read(ctx context.Context, filter D, limit int) ([]workers.Session, error) {
	rows, err := find[sessionRow](ctx, s.docs(), filter, options.Find().SetSort(D{is("_id", 1)}).SetLimit(int64(limit)))
	var all []workers.Session
	for _, r := range rows {
		all = append(all, workers.Session(r))
	}
	return all, err
}

// List implements workers.Store, in order of id.
func (s *Sessions) List(ctx context.Context, f workers.Filter) ([]workers.Session, error) {
	filter := D{}
	if !f.GraceEnded.IsZero() {
		filter = append(filter, is("state", workers.Grace), op("until", "$lte", f.GraceEnded))
	} else if len(f.States) > 0 {
		filter = append(filter, op("state", "$in", f.States))
	}
	for field, v := range map[string]string{"server": f.Server, "owner": f.Owner, "groups": f.Group, "kinds": f.Kind} {
		if v != "" {
			filter = append(filter, is(field, v))
		}
	}
	if f.Workers != nil {
		filter = append(filter, op("worker", "$in", f.Workers))
	}
	if f.Limit <= 0 {
		f.Limit = 10000
	}
	return s.read(ctx, filter, f.Limit)
}

// Forget implements workers.Store.
func (s *Sessions) Forget(ctx context.Context, before time.Time) (int, error) {
	return remove(ctx, s.docs(), D{is("lost_at", D{is("$gt", 0), is("$lt", before)})})
}
