package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/workers"
)

// workerDoc is a worker. Owner and name are its key, so that there is one.
type workerDoc struct {
	Key       string            `bson:"_id"`
	ID        string            `bson:"id"`
	Owner     string            `bson:"owner"`
	Name      string            `bson:"name"`
	FirstSeen time.Time         `bson:"first_seen"`
	LastSeen  time.Time         `bson:"last_seen"`
	Kinds     []string          `bson:"kinds"`
	Labels    map[string]string `bson:"labels"`
	SDK       string            `bson:"sdk"`
	Settings  *workers.Settings `bson:"settings"` // nil: never set
	Revision  int64             `bson:"revision"`
	Opened    int64             `bson:"opened"` // sessions ever: compared when it is removed
}

func workerKey(owner, name string) string { return owner + "/" + name }

func (d *workerDoc) settings() workers.Settings {
	if d.Settings == nil {
		return workers.Settings{}
	}
	return *d.Settings
}

func (d *workerDoc) worker() workers.Worker {
	return workers.Worker{
		ID: d.ID, Owner: d.Owner, Name: d.Name, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen, Kinds: d.Kinds, Labels: d.Labels,
		SDK: d.SDK, Settings: d.settings(), Revision: d.Revision,
	}
}

func (s *Sessions) workers() *mongo.Collection { return s.db.in("workers") }

// Settings implements workers.Store.
func (s *Sessions) Settings(ctx context.Context, ids ...string) (map[string]workers.Settings, error) {
	docs, err := find[workerDoc](ctx, s.workers(), D{op("id", "$in", list(ids)), op("settings", "$ne", nil)},
		options.Find().SetProjection(D{is("id", 1), is("settings", 1)}))
	found := make(map[string]workers.Settings, len(docs))
	for _, d := range docs {
		found[d.ID] = d.settings()
	}
	return found, err
}

// SettingsOf implements workers.Store.
func (s *Sessions) SettingsOf(ctx context.Context, owner, name string) (workers.Settings, error) {
	d, err := findOne[workerDoc](ctx, s.workers(), nil, D{is("_id", workerKey(owner, name))})
	return d.settings(), err
}

// Worker implements workers.Roster.
func (s *Sessions) Worker(ctx context.Context, owner, id string) (workers.Worker, error) {
	d, err := findOne[workerDoc](ctx, s.workers(), workers.ErrNoWorker, D{is("owner", owner), is("id", id)})
	if err != nil {
		return workers.Worker{}, err
	}
	return d.worker(), nil
}

// Workers implements workers.Roster.
func (s *Sessions) Workers(ctx context.Context, owner, after string, limit int) ([]workers.Worker, error) {
	docs, err := find[workerDoc](ctx, s.workers(), D{is("owner", owner), op("id", "$gt", after)},
		options.Find().SetSort(D{is("id", 1)}).SetLimit(int64(limit)))
	var found []workers.Worker
	for _, d := range docs {
		found = append(found, d.worker())
	}
	return found, err
}

// SaveSettings implements workers.Roster.
func (s *Sessions) SaveSettings(ctx context.Context, id string, revision int64, settings workers.Settings) (bool, error) {
	return update(ctx, s.workers(), D{is("id", id), is("revision", revision)}, D{
		is("$set", D{is("settings", settings)}), is("$inc", D{is("revision", int64(1))}),
	})
}

// RemoveWorker implements workers.Roster. A session that is opened between the
// look for one and the removal has raised the worker's count, or makes the worker
// anew.
func (s *Sessions) RemoveWorker(ctx context.Context, owner, id string) error {
	for {
		d, err := findOne[workerDoc](ctx, s.workers(), workers.ErrNoWorker, D{is("owner", owner), is("id", id)})
		if err != nil {
			return err
		}
		n, err := s.docs().CountDocuments(ctx, D{is("worker", id), alive}, options.Count().SetLimit(1))
		if err != nil {
			return fail(err)
		}
		if n > 0 {
			return workers.ErrWorkerConnected
		}
		removed, err := remove(ctx, s.workers(), D{is("_id", d.Key), is("id", id), is("opened", d.Opened)})
		if err != nil {
			return err
		}
		if removed > 0 {
			break
		}
	}
	_, err := remove(ctx, s.db.stats(), D{is("span", workday), is("of", id)})
	return err
}
