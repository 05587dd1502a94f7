package mongo

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

type linkDoc struct {
	Hash      string    `bson:"hash"`
	Role      auth.Role `bson:"role"`
	MaxUses   int       `bson:"max_uses"`
	Uses      int       `bson:"uses"`
	ExpiresAt time.Time `bson:"expires_at"`
	CreatedBy string    `bson:"created_by"`
	CreatedAt time.Time `bson:"created_at"`
}

func (l linkDoc) inForce(now time.Time) bool { return l.Uses < l.MaxUses && l.ExpiresAt.After(now) }

// InsertLink implements groups.LinkStore. Its maker's role is compared in the
// same step.
func (db *DB) InsertLink(ctx context.Context, l groups.Link, now time.Time) error {
	for {
		g, err := db.readGroup(ctx, here(l.Group), only("members."+l.CreatedBy, "links", "link_count"))
		if err != nil {
			return err
		}
		maker, in := g.Members[l.CreatedBy]
		switch {
		case !in:
			return groups.ErrNoGroup
		case !maker.Role.May(auth.ManageMembers):
			return groups.ErrRole
		}
		set := D{is("links."+l.ID, linkDoc{
			Hash: l.Hash, Role: l.Role, MaxUses: l.MaxUses, Uses: l.Uses, ExpiresAt: l.ExpiresAt, CreatedBy: l.CreatedBy, CreatedAt: l.CreatedAt,
		})}
		unset, linked, left := D{}, []string{l.Hash, l.ID}, 0
		for id, old := range g.Links {
			if old.inForce(now) {
				linked = append(linked, old.Hash, id)
				left++
			} else {
				unset = append(unset, is("links."+id, ""))
			}
		}
		if left >= groups.MaxLinks {
			return groups.ErrTooManyLinks
		}
		change := D{is("$set", append(set, is("linked", linked))), is("$inc", D{is("link_count", 1)})}
		if len(unset) > 0 {
			change = append(change, is("$unset", unset))
		}
		ok, err := update(ctx, db.groups(), here(l.Group, D{
			is("link_count", g.LinkCount), is("version", g.Version), is("members."+l.CreatedBy+".role", maker.Role),
		}), change)
		if ok || err != nil {
			return err
		}
	}
}

// links lists those of a group that are wanted, by id.
func (db *DB) links(ctx context.Context, g *groupDoc, wanted func(id string, l linkDoc) bool, limit int) ([]groups.Link, error) {
	var all []groups.Link
	for id, l := range g.Links {
		if wanted(id, l) {
			all = append(all, groups.Link{
				ID: id, Group: g.ID, GroupName: g.Name, Hash: l.Hash, Role: l.Role, MaxUses: l.MaxUses, Uses: l.Uses,
				ExpiresAt: l.ExpiresAt, CreatedBy: l.CreatedBy, CreatedAt: l.CreatedAt,
			})
		}
	}
	all = page(all, func(l groups.Link) string { return l.ID }, limit)
	var makers []string
	for _, l := range all {
		makers = append(makers, l.CreatedBy)
	}
	names, err := db.usernames(ctx, makers)
	for i := range all {
		all[i].CreatedByName = names[all[i].CreatedBy]
	}
	return all, err
}

// Links implements groups.LinkStore.
func (db *DB) Links(ctx context.Context, group, after string, limit int) ([]groups.Link, error) {
	g, err := findOne[groupDoc](ctx, db.groups(), nil, here(group))
	if err != nil {
		return nil, err
	}
	return db.links(ctx, &g, func(id string, _ linkDoc) bool { return id > after }, limit)
}

// LinkByHash implements groups.LinkStore.
func (db *DB) LinkByHash(ctx context.Context, hash string, now time.Time) (groups.Link, error) {
	_, l, err := db.linkByHash(ctx, hash, now)
	return l, err
}

func (db *DB) linkByHash(ctx context.Context, hash string, now time.Time) (groupDoc, groups.Link, error) {
	g, err := findOne[groupDoc](ctx, db.groups(), groups.ErrNoLink, D{is("linked", hash)})
	if err != nil {
		return g, groups.Link{}, err
	}
	found, err := db.links(ctx, &g, func(_ string, l linkDoc) bool { return l.Hash == hash && l.inForce(now) }, 1)
	if err == nil && len(found) == 0 {
		err = groups.ErrNoLink
	}
	if err != nil {
		return g, groups.Link{}, err
	}
	return g, found[0], nil
}

// TakeLink implements groups.LinkStore.
func (db *DB) TakeLink(ctx context.Context, hash string, now time.Time) (groups.Link, error) {
	for {
		g, l, err := db.linkByHash(ctx, hash, now)
		if err != nil {
			return l, err
		}
		if g.Size >= groups.MaxMembers {
			return l, groups.ErrGroupFull
		}
		link := "links." + l.ID
		after, ok, err := change[groupDoc](ctx, db.groups(), here(g.ID, D{
			op("size", "$lt", groups.MaxMembers), op(link+".uses", "$lt", l.MaxUses),
		}), D{is("$inc", D{is(link+".uses", 1)})})
		if ok || err != nil {
			l.Uses = after.Links[l.ID].Uses
			return l, err
		}
	}
}

// GiveBackLink implements groups.LinkStore.
func (db *DB) GiveBackLink(ctx context.Context, id string) error {
	_, err := update(ctx, db.groups(), D{is("linked", id), op("links."+id+".uses", "$gt", 0)}, D{is("$inc", D{is("links."+id+".uses", -1)})})
	return err
}

// DeleteLink implements groups.LinkStore.
func (db *DB) DeleteLink(ctx context.Context, group, id string) error {
	g, err := findOne[groupDoc](ctx, db.groups(), groups.ErrNoLink, here(group, D{is("linked", id)}))
	if err != nil {
		return err
	}
	return mustUpdate(ctx, db.groups(), groups.ErrNoLink, here(group, D{op("links."+id, "$exists", true)}), D{
		is("$unset", D{is("links."+id, "")}), is("$pullAll", D{is("linked", []string{id, g.Links[id].Hash})}),
	})
}
