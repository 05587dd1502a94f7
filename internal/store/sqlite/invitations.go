package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/firmlight/firmlight/internal/groups"
)

const (
	invitationQuery = `SELECT i.id, i.group_id, g.name, i.user_id, u.username, i.invited_by, COALESCE(b.username, ''), i.created_at
		FROM invitations i JOIN user_groups g ON g.id = i.group_id JOIN users u ON u.id = i.user_id
		LEFT JOIN users b ON b.id = i.invited_by `
	invitationsTo = "WHERE i.user_id = ? AND i.id > ? ORDER BY i.id LIMIT ?"
	invitationsOf = "WHERE i.group_id = ? AND i.id > ? ORDER BY i.id LIMIT ?"
)

func (db *DB) invitations(ctx context.Context, where string, args ...any) ([]groups.Invitation, error) {
	var found []groups.Invitation
	err := db.read(ctx, func(rows *sql.Rows) error {
		var i groups.Invitation
		var created int64
		err := rows.Scan(&i.ID, &i.Group, &i.GroupName, &i.User, &i.Username, &i.InvitedBy, &i.InvitedByName, &created)
		i.CreatedAt = at(created)
		found = append(found, i)
		return err
	}, invitationQuery+where, args...)
	return found, err
}

// InsertInvitation implements groups.InvitationStore.
func (db *DB) InsertInvitation(ctx context.Context, i groups.Invitation) error {
	return db.write(ctx, func(tx *writeTx) error {
		var one int
		err := tx.row("SELECT 1 FROM user_groups WHERE id = ?", []any{i.Group}, &one)
		if err != nil {
			return orElse(err, groups.ErrNoGroup)
		}
		who := []any{i.User, i.Group}
		if err := tx.absent("SELECT 1 FROM memberships WHERE user_id = ? AND group_id = ?", who, groups.ErrAlreadyMember); err != nil {
			return err
		}
		if err := tx.absent("SELECT 1 FROM invitations WHERE user_id = ? AND group_id = ?", who, groups.ErrAlreadyInvited); err != nil {
			return err
		}
		if err := tx.below(groups.MaxInvitations, "invitations", i.Group, groups.ErrTooManyInvitations); err != nil {
			return err
		}
		return tx.exec1("INSERT INTO invitations (id, group_id, user_id, invited_by, created_at) VALUES (?, ?, ?, ?, ?)",
			i.ID, i.Group, i.User, i.InvitedBy, ms(i.CreatedAt))
	})
}

// InvitationByID implements groups.InvitationStore.
func (db *DB) InvitationByID(ctx context.Context, id string) (groups.Invitation, error) {
	found, err := db.invitations(ctx, "WHERE i.id = ?", id)
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
	return db.invitations(ctx, invitationsTo, user, after, limit)
}

// InvitationsOf implements groups.InvitationStore.
func (db *DB) InvitationsOf(ctx context.Context, group, after string, limit int) ([]groups.Invitation, error) {
	return db.invitations(ctx, invitationsOf, group, after, limit)
}

// AnswerInvitation implements groups.InvitationStore.
func (db *DB) AnswerInvitation(ctx context.Context, id, user string, join *groups.Membership) error {
	return db.write(ctx, func(tx *writeTx) error {
		var group string
		err := tx.row("DELETE FROM invitations WHERE id = ? AND user_id = ? RETURNING group_id", []any{id, user}, &group)
		if errors.Is(err, sql.ErrNoRows) {
			return groups.ErrNoInvitation
		}
		if err != nil || join == nil {
			return err
		}
		m := *join
		m.Group = group
		return tx.addMember(m)
	})
}

// WithdrawInvitation implements groups.InvitationStore.
func (db *DB) WithdrawInvitation(ctx context.Context, group, id string) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.mustExec(groups.ErrNoInvitation, "DELETE FROM invitations WHERE id = ? AND group_id = ?", id, group)
	})
}
