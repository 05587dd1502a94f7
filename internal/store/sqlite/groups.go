package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

var _ groups.Store = (*DB)(nil)

const (
	groupColumns = "g.id, g.name, g.description, g.result_retention, g.created_at"
	mineQuery    = "SELECT " + groupColumns + `, m.role, (SELECT count(*) FROM memberships WHERE group_id = g.id)
		FROM memberships m JOIN user_groups g ON g.id = m.group_id `
)

// scanGroup reads groupColumns and what follows them.
func scanGroup(scan func(...any) error, g *groups.Group, more ...any) error {
	var retention sql.NullInt64
	var created int64
	err := scan(append([]any{&g.ID, &g.Name, &g.Description, &retention, &created}, more...)...)
	if retention.Valid {
		d := time.Duration(retention.Int64) * time.Millisecond
		g.ResultRetention = &d
	}
	g.CreatedAt = at(created)
	return err
}

// nullMillis is nil for SQL's NULL.
func nullMillis(d *time.Duration) any {
	if d == nil {
		return nil
	}
	return d.Milliseconds()
}

// InsertGroup implements groups.Store.
func (db *DB) InsertGroup(ctx context.Context, g groups.Group, owner groups.Membership) error {
	return db.write(ctx, func(tx *writeTx) error {
		err := tx.exec1("INSERT INTO user_groups (id, name, description, result_retention, created_at) VALUES (?, ?, ?, ?, ?)",
			g.ID, g.Name, g.Description, nullMillis(g.ResultRetention), ms(g.CreatedAt))
		if err != nil {
			return err
		}
		return tx.insertMembership(owner)
	})
}

func (tx *writeTx) insertMembership(m groups.Membership) error {
	return tx.exec1("INSERT INTO memberships (id, group_id, user_id, role, joined_at) VALUES (?, ?, ?, ?, ?)",
		m.ID, m.Group, m.User, string(m.Role), ms(m.JoinedAt))
}

// GroupByID implements groups.Store.
func (db *DB) GroupByID(ctx context.Context, id string) (groups.Group, error) {
	var g groups.Group
	found := false
	err := db.read(ctx, func(rows *sql.Rows) error {
		found = true
		return scanGroup(rows.Scan, &g)
	}, "SELECT "+groupColumns+" FROM user_groups g WHERE g.id = ?", id)
	if err == nil && !found {
		err = groups.ErrNoGroup
	}
	return g, err
}

// GroupOf implements groups.Store.
func (db *DB) GroupOf(ctx context.Context, id, user string) (groups.Mine, error) {
	found, err := db.mine(ctx, "WHERE m.user_id = ? AND m.group_id = ?", user, id)
	if err != nil {
		return groups.Mine{}, err
	}
	if len(found) == 0 {
		return groups.Mine{}, groups.ErrNoGroup
	}
	return found[0], nil
}

// GroupsOf implements groups.Store.
func (db *DB) GroupsOf(ctx context.Context, user, after string, limit int) ([]groups.Mine, error) {
	return db.mine(ctx, "WHERE m.user_id = ? AND m.group_id > ? ORDER BY m.group_id LIMIT ?", user, after, limit)
}

func (db *DB) mine(ctx context.Context, where string, args ...any) ([]groups.Mine, error) {
	var found []groups.Mine
	err := db.read(ctx, func(rows *sql.Rows) error {
		var m groups.Mine
		err := scanGroup(rows.Scan, &m.Group, &m.Role, &m.Members)
		found = append(found, m)
		return err
	}, mineQuery+where, args...)
	return found, err
}

// UpdateGroup implements groups.Store.
func (db *DB) UpdateGroup(ctx context.Context, id string, s groups.Settings) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.mustExec(groups.ErrNoGroup, `UPDATE user_groups SET name = COALESCE(?, name),
			description = COALESCE(?, description), result_retention = IIF(?, ?, result_retention) WHERE id = ?`,
			s.Name, s.Description, s.SetRetention, nullMillis(s.ResultRetention), id)
	})
}

// RolesOf implements groups.Store and auth.Memberships.
func (db *DB) RolesOf(ctx context.Context, user string) (map[string]auth.Role, error) {
	roles := map[string]auth.Role{}
	err := db.read(ctx, func(rows *sql.Rows) error {
		var group string
		var role auth.Role
		err := rows.Scan(&group, &role)
		roles[group] = role
		return err
	}, "SELECT group_id, role FROM memberships WHERE user_id = ?", user)
	return roles, err
}

// Members implements groups.Store.
func (db *DB) Members(ctx context.Context, group, after string, limit int) ([]groups.Membership, error) {
	var found []groups.Membership
	err := db.read(ctx, func(rows *sql.Rows) error {
		var m groups.Membership
		var joined int64
		err := rows.Scan(&m.ID, &m.Group, &m.User, &m.Username, &m.Role, &joined)
		m.JoinedAt = at(joined)
		found = append(found, m)
		return err
	}, `SELECT m.id, m.group_id, m.user_id, u.username, m.role, m.joined_at
		FROM memberships m JOIN users u ON u.id = m.user_id
		WHERE m.group_id = ? AND m.id > ? ORDER BY m.id LIMIT ?`, group, after, limit)
	return found, err
}

// InsertInvitation implements groups.Store.
func (db *DB) InsertInvitation(ctx context.Context, i groups.Invitation) error {
	return db.write(ctx, func(tx *writeTx) error {
		who := []any{i.User, i.Group}
		if err := tx.absent("SELECT 1 FROM memberships WHERE user_id = ? AND group_id = ?", who, groups.ErrAlreadyMember); err != nil {
			return err
		}
		if err := tx.absent("SELECT 1 FROM invitations WHERE user_id = ? AND group_id = ?", who, groups.ErrAlreadyInvited); err != nil {
			return err
		}
		return tx.exec1("INSERT INTO invitations (id, group_id, user_id, invited_by, created_at) VALUES (?, ?, ?, ?, ?)",
			i.ID, i.Group, i.User, i.InvitedBy, ms(i.CreatedAt))
	})
}

// InvitationsTo implements groups.Store.
func (db *DB) InvitationsTo(ctx context.Context, user, after string, limit int) ([]groups.Invitation, error) {
	var found []groups.Invitation
	err := db.read(ctx, func(rows *sql.Rows) error {
		var i groups.Invitation
		var created int64
		err := rows.Scan(&i.ID, &i.Group, &i.GroupName, &i.User, &i.Username, &i.InvitedBy, &i.InvitedByName, &created)
		i.CreatedAt = at(created)
		found = append(found, i)
		return err
	}, `SELECT i.id, i.group_id, g.name, i.user_id, u.username, i.invited_by, COALESCE(b.username, ''), i.created_at
		FROM invitations i JOIN user_groups g ON g.id = i.group_id JOIN users u ON u.id = i.user_id
		LEFT JOIN users b ON b.id = i.invited_by
		WHERE i.user_id = ? AND i.id > ? ORDER BY i.id LIMIT ?`, user, after, limit)
	return found, err
}

// AnswerInvitation implements groups.Store.
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
		return tx.insertMembership(m)
	})
}
