package mongo

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

// Members implements groups.MemberStore.
func (db *DB) Members(ctx context.Context, group, after string, limit int) ([]groups.Membership, error) {
	g, err := findOne[groupDoc](ctx, db.groups(), nil, here(group), options.FindOne().SetProjection(only("members")))
	if err != nil {
		return nil, err
	}
	return db.members(ctx, &g, after, limit)
}

// members lists a group's in the order they joined, after one; 0: all.
func (db *DB) members(ctx context.Context, g *groupDoc, after string, limit int) ([]groups.Membership, error) {
	var all []groups.Membership
	for user, m := range g.Members {
		if m.ID > after {
			all = append(all, groups.Membership{ID: m.ID, Group: g.ID, User: user, Role: m.Role, JoinedAt: m.JoinedAt})
		}
	}
	all = page(all, func(m groups.Membership) string { return m.ID }, limit)
	users := make([]string, len(all))
	for i, m := range all {
		users[i] = m.User
	}
	names, err := db.usernames(ctx, users)
	for i := range all {
		all[i].Username = names[all[i].User]
	}
	return all, err
}

// page returns the first of a list by id; limit 0: all.
func page[T any](all []T, id func(T) string, limit int) []T {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(id(a), id(b)) })
	if limit > 0 && limit < len(all) {
		return all[:limit]
	}
	return all
}

// Roster implements groups.MemberStore.
func (db *DB) Roster(ctx context.Context, group string) (groups.Roster, error) {
	g, err := db.readGroup(ctx, here(group), only("members"))
	if err != nil {
		return groups.Roster{}, err
	}
	r := groups.Roster{Group: g.group(), Version: g.Version}
	r.Members, err = db.members(ctx, &g, "", 0)
	return r, err
}

// ChangeMembers implements groups.MemberStore. The version says that the members
// are those which were read, and the number of links that none is new.
func (db *DB) ChangeMembers(ctx context.Context, c groups.Change) (bool, error) {
	for {
		g, err := findOne[groupDoc](ctx, db.groups(), nil, here(c.Group))
		if err != nil || g.ID == "" || g.Version != c.Version {
			return false, err
		}
		filter := here(c.Group, D{is("version", g.Version), is("link_count", g.LinkCount)})
		set := g.with(c)
		if c.Delete {
			set = tombstone(c.At)
		}
		ok, err := update(ctx, db.groups(), filter, set)
		if ok || err != nil {
			return ok, err
		}
	}
}

// with is the update that makes a change of members.
func (g *groupDoc) with(c groups.Change) D {
	roles := make(map[string]auth.Role)
	for user, m := range g.Members {
		roles[user] = m.Role
	}
	inc, set, unset, gone := D{is("version", 1)}, D{}, D{}, []string{}
	if _, in := g.Members[c.Remove]; in {
		unset, inc = append(unset, is("members."+c.Remove, "")), append(inc, is("size", -1))
		delete(roles, c.Remove)
	}
	for user, role := range c.Roles {
		if _, in := roles[user]; in {
			roles[user] = role
			set = append(set, is("members."+user+".role", role))
		}
	}
	for id, l := range g.Links {
		if role := roles[l.CreatedBy]; !role.May(auth.ManageMembers) {
			unset, gone = append(unset, is("links."+id, "")), append(gone, id, l.Hash)
		}
	}
	change := D{is("$inc", inc), is("$pullAll", D{is("users", removed(c.Remove)), is("linked", gone)})}
	if len(set) > 0 {
		change = append(change, is("$set", set))
	}
	if len(unset) > 0 {
		change = append(change, is("$unset", unset))
	}
	return change
}

func removed(user string) []string {
	if user == "" {
		return []string{}
	}
	return []string{user}
}

// tombstone empties a group.
func tombstone(now time.Time) D {
	none := []string{}
	return D{is("$inc", D{is("version", 1)}), is("$set", D{
		is("deleted_at", now), is("sweep_at", now), is("members", D{}), is("invitations", D{}), is("links", D{}),
		is("users", none), is("invited", none), is("linked", none), is("size", 0), is("pending", 0),
	})}
}

// AddMember implements groups.MemberStore.
func (db *DB) AddMember(ctx context.Context, m groups.Membership) error {
	for {
		g, err := db.readGroup(ctx, here(m.Group), only("members."+m.User, "invitations."+m.User))
		if err != nil {
			return err
		}
		if err := g.room(m.User); err != nil {
			return err
		}
		if ok, err := db.join(ctx, &g, m); ok || err != nil {
			return err
		}
	}
}

// room returns why a user cannot become a member.
func (g *groupDoc) room(user string) error {
	if _, in := g.Members[user]; in {
		return groups.ErrAlreadyMember
	}
	if g.Size >= groups.MaxMembers {
		return groups.ErrGroupFull
	}
	return nil
}

// join adds a member and drops their invitation, if that is still as it was read
// and there is still room.
func (db *DB) join(ctx context.Context, g *groupDoc, m groups.Membership) (bool, error) {
	filter := here(g.ID, D{op("size", "$lt", groups.MaxMembers), op("members."+m.User, "$exists", false)})
	inc := D{is("version", 1), is("size", 1)}
	set := D{
		is("$set", D{is("members."+m.User, memberDoc{ID: m.ID, Role: m.Role, JoinedAt: m.JoinedAt})}),
		is("$push", D{is("users", m.User)}),
	}
	invitation := "invitations." + m.User
	if i, invited := g.Invitations[m.User]; invited {
		filter = append(filter, is(invitation+".id", i.ID))
		set = append(set, is("$unset", D{is(invitation, "")}), is("$pullAll", D{is("invited", []string{m.User, i.ID})}))
		inc = append(inc, is("pending", -1))
	} else {
		filter = append(filter, op(invitation, "$exists", false))
	}
	return update(ctx, db.groups(), filter, append(set, is("$inc", inc)))
}

// SetStar implements groups.MemberStore.
func (db *DB) SetStar(ctx context.Context, group, user string, starred bool) error {
	return mustUpdate(ctx, db.groups(), groups.ErrNoGroup, here(group, D{op("members."+user, "$exists", true)}),
		D{is("$set", D{is("members."+user+".starred", starred)})})
}

// DueTombstones implements groups.TombstoneStore.
func (db *DB) DueTombstones(ctx context.Context, now time.Time, limit int) ([]groups.Tombstone, error) {
	docs, err := find[groupDoc](ctx, db.groups(), D{is("sweep_at", D{is("$gt", 0), is("$lte", now)})},
		options.Find().SetProjection(D{is("deleted_at", 1), is("sweep_at", 1)}).SetSort(D{is("sweep_at", 1)}).SetLimit(int64(limit)))
	found := make([]groups.Tombstone, len(docs))
	for i, d := range docs {
		found[i] = groups.Tombstone{Group: d.ID, DeletedAt: d.DeletedAt, SweepAt: d.SweepAt}
	}
	return found, err
}

// SweepTombstone implements groups.TombstoneStore.
func (db *DB) SweepTombstone(ctx context.Context, group string, next time.Time) error {
	filter := D{is("_id", group), op("deleted_at", "$gt", 0)}
	if next.IsZero() {
		_, err := remove(ctx, db.groups(), filter)
		return err
	}
	_, err := update(ctx, db.groups(), filter, D{is("$set", D{is("sweep_at", next)})})
	return err
}
