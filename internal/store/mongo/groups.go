package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
)

var _ groups.Store = (*DB)(nil)

// groupDoc is a group with its members, invitations and links: all that changes
// as one step stands in one document. A deleted group stays as its tombstone.
type groupDoc struct {
	ID              string         `bson:"_id"`
	Name            string         `bson:"name"`
	Fold            string         `bson:"fold"` // of the name, to look prefixes up
	Description     string         `bson:"description"`
	ResultRetention *time.Duration `bson:"result_retention"`
	CreatedAt       time.Time      `bson:"created_at"`
	DeletedAt       time.Time      `bson:"deleted_at"`
	SweepAt         time.Time      `bson:"sweep_at"`

	Version     int64                    `bson:"version"` // of Members
	Members     map[string]memberDoc     `bson:"members"` // by user
	Size        int                      `bson:"size"`    // len(Members)
	Invitations map[string]invitationDoc `bson:"invitations"`
	Pending     int                      `bson:"pending"`
	Links       map[string]linkDoc       `bson:"links"`      // by id
	LinkCount   int64                    `bson:"link_count"` // ever made

	// What the group is found by: ids of members; of the invited, and of their
	// invitations; of links, and their hashes.
	Users   []string `bson:"users"`
	Invited []string `bson:"invited"`
	Linked  []string `bson:"linked"`
}

type memberDoc struct {
	ID       string    `bson:"id"`
	Role     auth.Role `bson:"role"`
	JoinedAt time.Time `bson:"joined_at"`
	Starred  bool      `bson:"starred"`
}

func (g *groupDoc) group() groups.Group {
	return groups.Group{
		ID: g.ID, Name: g.Name, Description: g.Description, ResultRetention: g.ResultRetention, CreatedAt: g.CreatedAt,
	}
}

func (db *DB) groups() *mongo.Collection { return db.in("groups") }

// here is the group of an id, unless it was deleted.
func here(group string, more ...D) D {
	filter := D{is("_id", group), notDeleted}
	for _, m := range more {
		filter = append(filter, m...)
	}
	return filter
}

// settingsOnly leaves out the people, which may be a thousand.
var settingsOnly = D{is("members", 0), is("invitations", 0), is("links", 0), is("users", 0), is("invited", 0), is("linked", 0)}

// only reads the settings, and some fields more.
func only(fields ...string) D {
	d := D{}
	for _, f := range append(fields, "name", "description", "result_retention", "created_at", "size", "version") {
		d = append(d, is(f, 1))
	}
	return d
}

// InsertGroup implements groups.Store.
func (db *DB) InsertGroup(ctx context.Context, g groups.Group, owner groups.Membership) error {
	_, err := db.groups().InsertOne(ctx, groupDoc{
		ID: g.ID, Name: g.Name, Fold: fault.Fold(g.Name), Description: g.Description,
		ResultRetention: g.ResultRetention, CreatedAt: g.CreatedAt,
		Members: map[string]memberDoc{owner.User: {ID: owner.ID, Role: owner.Role, JoinedAt: owner.JoinedAt}}, Size: 1,
		Invitations: map[string]invitationDoc{}, Links: map[string]linkDoc{},
		Users: []string{owner.User}, Invited: []string{}, Linked: []string{},
	})
	return fail(err)
}

// GroupByID implements groups.Store.
func (db *DB) GroupByID(ctx context.Context, id string) (groups.Group, error) {
	g, err := db.readGroup(ctx, here(id), settingsOnly)
	return g.group(), err
}

func (db *DB) readGroup(ctx context.Context, filter, fields D) (groupDoc, error) {
	return findOne[groupDoc](ctx, db.groups(), groups.ErrNoGroup, filter, options.FindOne().SetProjection(fields))
}

func (g *groupDoc) mine(user string) groups.Mine {
	m := g.Members[user]
	return groups.Mine{Group: g.group(), Role: m.Role, Members: g.Size, Starred: m.Starred}
}

// GroupOf implements groups.Store.
func (db *DB) GroupOf(ctx context.Context, id, user string) (groups.Mine, error) {
	g, err := db.readGroup(ctx, here(id, D{is("users", user)}), only("members."+user))
	if err != nil {
		return groups.Mine{}, err
	}
	return g.mine(user), nil
}

// GroupsOf implements groups.Store.
func (db *DB) GroupsOf(ctx context.Context, user, after string, limit int) ([]groups.Mine, error) {
	docs, err := find[groupDoc](ctx, db.groups(), D{is("users", user), op("_id", "$gt", after)},
		options.Find().SetProjection(only("members."+user)).SetSort(D{is("_id", 1)}).SetLimit(int64(limit)))
	found := make([]groups.Mine, len(docs))
	for i, g := range docs {
		found[i] = g.mine(user)
	}
	return found, err
}

// UpdateGroup implements groups.Store.
func (db *DB) UpdateGroup(ctx context.Context, id string, s groups.Settings) error {
	set := D{notDeleted} // something, for the case of nothing
	if s.Name != nil {
		set = append(set, is("name", *s.Name), is("fold", fault.Fold(*s.Name)))
	}
	if s.Description != nil {
		set = append(set, is("description", *s.Description))
	}
	if s.SetRetention {
		set = append(set, is("result_retention", s.ResultRetention))
	}
	return mustUpdate(ctx, db.groups(), groups.ErrNoGroup, here(id), D{is("$set", set)})
}

// RolesOf implements groups.Store and auth.Memberships.
func (db *DB) RolesOf(ctx context.Context, user string) (map[string]auth.Role, error) {
	roles, err := db.RolesOfEach(ctx, user)
	if roles[user] == nil {
		return map[string]auth.Role{}, err
	}
	return roles[user], err
}

// RolesOfEach implements auth.Memberships.
func (db *DB) RolesOfEach(ctx context.Context, users ...string) (map[string]map[string]auth.Role, error) {
	fields := D{is("_id", 1)}
	for _, u := range users {
		fields = append(fields, is("members."+u+".role", 1))
	}
	docs, err := find[groupDoc](ctx, db.groups(), D{op("users", "$in", list(users))}, options.Find().SetProjection(fields))
	roles := make(map[string]map[string]auth.Role, len(users))
	for _, g := range docs {
		for user, m := range g.Members {
			if roles[user] == nil {
				roles[user] = map[string]auth.Role{}
			}
			roles[user][g.ID] = m.Role
		}
	}
	return roles, err
}

// GroupCounts implements auth.Memberships.
func (db *DB) GroupCounts(ctx context.Context, users []string) (map[string]int, error) {
	roles, err := db.RolesOfEach(ctx, users...)
	counts := make(map[string]int, len(roles))
	for user, in := range roles {
		counts[user] = len(in)
	}
	return counts, err
}

// usernames returns names of users by id; who is not there is left out.
func (db *DB) usernames(ctx context.Context, ids []string) (map[string]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := find[userRow](ctx, db.users(), D{op("_id", "$in", ids)}, options.Find().SetProjection(D{is("username", 1)}))
	names := make(map[string]string, len(rows))
	for _, u := range rows {
		names[u.ID] = u.Username
	}
	return names, err
}
