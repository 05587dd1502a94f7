package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/groups"
)

type invitationDoc struct {
	ID        string    `bson:"id"`
	InvitedBy string    `bson:"invited_by"`
	CreatedAt time.Time `bson:"created_at"`
}

// InsertInvitation implements groups.InvitationStore.
func (db *DB) InsertInvitation(ctx context.Context, i groups.Invitation) error {
	member, invitation := "members."+i.User, "invitations."+i.User
	for {
		ok, err := update(ctx, db.groups(), here(i.Group, D{
			op(member, "$exists", false), op(invitation, "$exists", false), op("pending", "$lt", groups.MaxInvitations),
		}), D{
			is("$set", D{is(invitation, invitationDoc{ID: i.ID, InvitedBy: i.InvitedBy, CreatedAt: i.CreatedAt})}),
			is("$push", D{op("invited", "$each", []string{i.User, i.ID})}),
			is("$inc", D{is("pending", 1)}),
		})
		if ok || err != nil {
			return err
		}
		g, err := db.readGroup(ctx, here(i.Group), only(member, invitation, "pending"))
		if err != nil {
			return err
		}
		_, invited := g.Invitations[i.User]
		switch _, in := g.Members[i.User]; {
		case in:
			return groups.ErrAlreadyMember
		case invited:
			return groups.ErrAlreadyInvited
		case g.Pending >= groups.MaxInvitations:
			return groups.ErrTooManyInvitations
		} // else it was so for a moment
	}
}

// invitations lists those of groups that f wants, by id, after one.
func (db *DB) invitations(
	ctx context.Context, filter D, wanted func(user string, i invitationDoc) bool, limit int,
) ([]groups.Invitation, error) {
	docs, err := find[groupDoc](ctx, db.groups(), filter, options.Find().SetProjection(D{is("name", 1), is("invitations", 1)}))
	if err != nil {
		return nil, err
	}
	var all []groups.Invitation
	for _, g := range docs {
		for user, i := range g.Invitations {
			if wanted(user, i) {
				all = append(all, groups.Invitation{
					ID: i.ID, Group: g.ID, GroupName: g.Name, User: user, InvitedBy: i.InvitedBy, CreatedAt: i.CreatedAt,
				})
			}
		}
	}
	all = page(all, func(i groups.Invitation) string { return i.ID }, limit)
	var users []string
	for _, i := range all {
		users = append(users, i.User, i.InvitedBy)
	}
	names, err := db.usernames(ctx, users)
	for i := range all {
		all[i].Username, all[i].InvitedByName = names[all[i].User], names[all[i].InvitedBy]
	}
	return all, err
}

// InvitationByID implements groups.InvitationStore.
func (db *DB) InvitationByID(ctx context.Context, id string) (groups.Invitation, error) {
	found, err := db.invitations(ctx, D{is("invited", id)}, func(_ string, i invitationDoc) bool { return i.ID == id }, 1)
	if err == nil && len(found) == 0 {
		err = groups.ErrNoInvitation
	}
	if err != nil {
		return groups.Invitation{}, err
	}
	return found[0], nil
}

// InvitationsTo implements groups.InvitationStore.
func (db *DB) InvitationsTo(ctx context.Context, user, after string, limit int) ([]groups.Invitation, error) {
	return db.invitations(ctx, D{is("invited", user)}, func(u string, i invitationDoc) bool { return u == user && i.ID > after }, limit)
}

// InvitationsOf implements groups.InvitationStore.
func (db *DB) InvitationsOf(ctx context.Context, group, after string, limit int) ([]groups.Invitation, error) {
	return db.invitations(ctx, here(group), func(_ string, i invitationDoc) bool { return i.ID > after }, limit)
}

// AnswerInvitation implements groups.InvitationStore.
func (db *DB) AnswerInvitation(ctx context.Context, id, user string, join *groups.Membership) error {
	for {
		g, err := findOne[groupDoc](ctx, db.groups(), groups.ErrNoInvitation, D{is("invited", id)},
			options.FindOne().SetProjection(only("members."+user, "invitations."+user)))
		if err != nil {
			return err
		}
		if g.Invitations[user].ID != id {
			return groups.ErrNoInvitation
		}
		var ok bool
		if join == nil {
			ok, err = db.dropInvitation(ctx, g.ID, user, id)
		} else {
			if err := g.room(user); err != nil {
				return err
			}
			m := *join
			m.User = user
			ok, err = db.join(ctx, &g, m)
		}
		if ok || err != nil {
			return err
		}
	}
}

func (db *DB) dropInvitation(ctx context.Context, group, user, id string) (bool, error) {
	return update(ctx, db.groups(), here(group, D{is("invitations."+user+".id", id)}), D{
		is("$unset", D{is("invitations."+user, "")}), is("$pullAll", D{is("invited", []string{user, id})}),
		is("$inc", D{is("pending", -1)}),
	})
}

// WithdrawInvitation implements groups.InvitationStore.
func (db *DB) WithdrawInvitation(ctx context.Context, group, id string) error {
	i, err := db.InvitationByID(ctx, id)
	if err != nil {
		return err
	}
	if i.Group != group {
		return groups.ErrNoInvitation
	}
	ok, err := db.dropInvitation(ctx, group, i.User, id)
	if err == nil && !ok {
		err = groups.ErrNoInvitation
	}
	return err
}
