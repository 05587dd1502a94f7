package mongo

import (
	"context"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// index is one index. Keys are fields in order, one with a minus before it is
// descending.
type index struct {
	collection string
	keys       string
	unique     bool
}

// indexes are all there are, beside those of _id. docs/store.md says which query
// each is for; TestEveryQueryHasAnIndex compares them with what is asked.
var indexes = []index{
	{"users", "username", true},
	{"users", "email", true},
	{"users", "admin disabled _id", false},
	{"users", "disabled _id", false},
	{"users", "deleted_at _id", false},
	{"users", "revoked_at", false},
	{"logins", "user_id ended_at _id", false},
	{"logins", "ended_at expires_at", false},
	{"tokens", "hash", true},
	{"tokens", "user_id ended_at _id", false},
	{"tokens", "ended_at expires_at", false},
	{"groups", "deleted_at _id", false},
	{"groups", "users _id", false},
	{"groups", "invited", false},
	{"groups", "linked", false},
	{"groups", "sweep_at", false},
	{"tasks", "slot", true},
	{"tasks", "group_id parent _id", false},
	{"tasks", "group_id parent status _id", false},
	{"tasks", "group_id parent kind _id", false},
	{"tasks", "group_id parent created_by _id", false},
	{"tasks", "group_id worker _id", false},
	{"tasks", "group_id words", false},
	{"tasks", "group_id kind target priority phase status enqueued_at _id", false},
	{"tasks", "group_id kind phase status run_at", false},
	{"tasks", "phase status group_id kind target run_at", false},
	{"tasks", "status target _id", false},
	{"tasks", "status session epoch", false},
	{"tasks", "status deadline", false},
	{"tasks", "status cancel_requested_at", false},
	{"tasks", "parent status", false},
	{"tasks", "parent idx", false},
	{"tasks", "parent finished_at", false},
	{"tasks", "phase _id", false},
	{"tasks", "dropped_at drop_at", false},
	{"payloads", "task", false},
	{"pauses", "group_id", false},
	{"audit", "actor _id", false},
	{"audit", "actor_name _id", false},
	{"audit", "action _id", false},
	{"audit", "target _id", false},
	{"audit", "group_id _id", false},
	{"audit", "outcome _id", false},
	{"audit", "refused _id", false},
	{"devices", "group_id id", false},
	{"devices", "id group_id", false},
	{"devices", "state _id", false},
	{"devices", "group_id state streak", false},
	{"events", "group_id device at id", false},
	{"events", "counted group_id device", false},
	{"events", "counted at", false},
	{"events", "group_id hour", false},
	{"device_hours", "group_id hour", false},
	{"device_hours", "group_id device hour", false},
	{"alerts", "group_id recovered_at _id", false},
	{"alerts", "group_id _id", false},
	{"alerts", "untold _id", false},
	{"notifications", "slot", true},
	{"notifications", "user_id updated_at _id", false},
	{"notifications", "user_id read updated_at _id", false},
	{"notifications", "updated_at", false},
	{"stats", "span of at", false},
	{"stats", "span at", false},
	{"sessions", "state worker", false},
	{"sessions", "state until", false},
	{"sessions", "server state", false},
	{"sessions", "owner state", false},
	{"sessions", "worker state", false},
	{"sessions", "lost_at", false},
	{"workers", "id", false},
	{"workers", "owner id", false},
}

// name is the index's name in the database.
func (i index) name() string {
	return strings.NewReplacer(" ", "_", "-", "").Replace(i.keys)
}

func (i index) fields() D {
	var d D
	for _, f := range strings.Fields(i.keys) {
		order := 1
		if strings.HasPrefix(f, "-") {
			f, order = f[1:], -1
		}
		d = append(d, E{Key: f, Value: order})
	}
	return d
}

// createIndexes makes those that are not there. (FerretDB breaks off when it is
// asked for others along with some that are.)
func (db *DB) createIndexes(ctx context.Context, some []index) error {
	missing := make(map[string][]mongo.IndexModel)
	there := make(map[string]map[string]bool)
	for _, i := range some {
		names := there[i.collection]
		if names == nil {
			specs, err := db.in(i.collection).Indexes().ListSpecifications(ctx)
			if err != nil {
				return fail(err)
			}
			names = make(map[string]bool)
			for _, s := range specs {
				names[s.Name] = true
			}
			there[i.collection] = names
		}
		if !names[i.name()] {
			missing[i.collection] = append(missing[i.collection], mongo.IndexModel{
				Keys: i.fields(), Options: options.Index().SetName(i.name()).SetUnique(i.unique),
			})
		}
	}
	for c, models := range missing {
		if _, err := db.in(c).Indexes().CreateMany(ctx, models); err != nil {
			return fail(err)
		}
	}
	return nil
}
