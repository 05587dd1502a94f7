package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

const (
	memberQuery = `SELECT m.id, m.group_id, m.user_id, COALESCE(u.username, ''), m.role, m.joined_at
		FROM memberships m LEFT JOIN users u ON u.id = m.user_id `
	membersAfter  = "WHERE m.group_id = ? AND m.id > ? ORDER BY m.id LIMIT ?"
	dueTombstones = "SELECT id, deleted_at, sweep_at FROM deleted_groups WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?"
)

func (db *DB) members(ctx context.Context, where string, args ...any) ([]groups.Membership, error) {
	var found []groups.Membership
	err := db.read(ctx, func(rows *sql.Rows) error {
		var m groups.Membership
		var joined int64
		err := rows.Scan(&m.ID, &m.Group, &m.User, &m.Username, &m.Role, &joined)
		m.JoinedAt = at(joined)
		found = append(found, m)
		return err
	}, memberQuery+where, args...)
	return found, err
}

// Members implements groups.MemberStore.
func (db *DB) Members(ctx context.Context, group, after string, limit int) ([]groups.Membership, error) {
	return db.members(ctx, membersAfter, group, after, limit)
}

// Roster implements groups.MemberStore. The version is read before the members:
// when they change in between, no step on it succeeds.
func (db *DB) Roster(ctx context.Context, group string) (groups.Roster, error) {
	r, found := groups.Roster{}, false
	err := db.read(ctx, func(rows *sql.Rows) error {
		found = true
		return scanGroup(rows.Scan, &r.Group, &r.Version)
	}, "SELECT "+groupColumns+", g.version FROM user_groups g WHERE g.id = ?", group)
	if err != nil {
		return r, err
	}
	if !found {
		return r, groups.ErrNoGroup
	}
	r.Members, err = db.members(ctx, "WHERE m.group_id = ? ORDER BY m.id", group)
	return r, err
}

// ChangeMembers implements groups.MemberStore.
func (db *DB) ChangeMembers(ctx context.Context, c groups.Change) (bool, error) {
	var done bool
	err := db.write(ctx, func(tx *writeTx) error {
		n, err := tx.exec("UPDATE user_groups SET version = version + 1 WHERE id = ? AND version = ?", c.Group, c.Version)
		if err != nil || n == 0 {
			return err
		}
		done = true
		if c.Delete {
			return tx.deleteGroup(c.Group, c.At)
		}
		if c.Remove != "" {
			if err := tx.exec1("DELETE FROM memberships WHERE user_id = ? AND group_id = ?", c.Remove, c.Group); err != nil {
				return err
			}
		}
		if err := tx.setRoles(c.Group, c.Roles); err != nil {
			return err
		}
		return tx.exec1(`DELETE FROM invite_links WHERE group_id = ? AND created_by NOT IN (
			SELECT user_id FROM memberships WHERE group_id = ? AND role IN ('owner', 'admin'))`, c.Group, c.Group)
	})
	return err == nil && done, err
}

// setRoles makes the new owner last: there are never two.
func (tx *writeTx) setRoles(group string, roles map[string]auth.Role) error {
	for _, owners := range []bool{false, true} {
		for user, role := range roles {
			if (role == auth.Owner) != owners {
				continue
			}
			err := tx.exec1("UPDATE memberships SET role = ? WHERE user_id = ? AND group_id = ?", string(role), user, group)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx *writeTx) deleteGroup(group string, now time.Time) error {
	for _, q := range []string{
		"DELETE FROM user_groups WHERE id = ?", "DELETE FROM memberships WHERE group_id = ?",
		"DELETE FROM invitations WHERE group_id = ?", "DELETE FROM invite_links WHERE group_id = ?",
	} {
		if err := tx.exec1(q, group); err != nil {
			return err
		}
	}
	return tx.exec1("INSERT INTO deleted_groups (id, deleted_at, sweep_at) VALUES (?, ?, ?)", group, ms(now), ms(now))
}

// AddMember implements groups.MemberStore.
func (db *DB) AddMember(ctx context.Context, m groups.Membership) error {
	return db.write(ctx, func(tx *writeTx) error { return tx.addMember(m) })
}

func (tx *writeTx) addMember(m groups.Membership) error {
	if err := tx.mustExec(groups.ErrNoGroup, "UPDATE user_groups SET version = version + 1 WHERE id = ?", m.Group); err != nil {
		return err
	}
	who := []any{m.User, m.Group}
	if err := tx.absent("SELECT 1 FROM memberships WHERE user_id = ? AND group_id = ?", who, groups.ErrAlreadyMember); err != nil {
		return err
	}
	if err := tx.below(groups.MaxMembers, "memberships", m.Group, groups.ErrGroupFull); err != nil {
		return err
	}
	if err := tx.exec1("DELETE FROM invitations WHERE user_id = ? AND group_id = ?", who...); err != nil {
		return err
	}
	return tx.insertMembership(m)
}

// below returns full unless the table has fewer than limit rows of the group.
func (tx *writeTx) below(limit int, table, group string, full error) error {
	var n int
	err := tx.row("SELECT count(*) FROM "+table+" WHERE group_id = ?", []any{group}, &n)
	if err == nil && n >= limit {
		err = full
	}
	return err
}

func (tx *writeTx) insertMembership(m groups.Membership) error {
	return tx.exec1("INSERT INTO memberships (id, group_id, user_id, role, joined_at) VALUES (?, ?, ?, ?, ?)",
		m.ID, m.Group, m.User, string(m.Role), ms(m.JoinedAt))
}

// SetStar implements groups.MemberStore.
func (db *DB) SetStar(ctx context.Context, group, user string, starred bool) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.mustExec(groups.ErrNoGroup, "UPDATE memberships SET starred = ? WHERE user_id = ? AND group_id = ?", starred, user, group)
	})
}

// DueTombstones implements groups.TombstoneStore.
func (db *DB) DueTombstones(ctx context.Context, now time.Time, limit int) ([]groups.Tombstone, error) {
	var found []groups.Tombstone
	err := db.read(ctx, func(rows *sql.Rows) error {
		var t groups.Tombstone
		var deleted, sweep int64
		err := rows.Scan(&t.Group, &deleted, &sweep)
		t.DeletedAt, t.SweepAt = at(deleted), at(sweep)
		found = append(found, t)
		return err
	}, dueTombstones, ms(now), limit)
	return found, err
}

// SweepTombstone implements groups.TombstoneStore.
func (db *DB) SweepTombstone(ctx context.Context, group string, next time.Time) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		if next.IsZero() {
			return tx.exec1("DELETE FROM deleted_groups WHERE id = ?", group)
		}
		return tx.exec1("UPDATE deleted_groups SET sweep_at = ? WHERE id = ?", ms(next), group)
	})
}
