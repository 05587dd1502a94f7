package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

var _ groups.Store = (*DB)(nil)

const (
	groupColumns = "g.id, g.name, g.description, g.result_retention, g.created_at"
	mineQuery    = "SELECT " + groupColumns + `, m.role, m.starred, (SELECT count(*) FROM memberships WHERE group_id = g.id)
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

// GroupByID implements groups.Store.
func (db *DB) GroupByID(ctx context.Context, id string) (groups.Group, error) {
	m, err := db.groups.read(groupOfUser{group: id}, func() (m groups.Mine, err error) {
		found := false
		err = db.read(ctx, func(rows *sql.Rows) error {
			found = true
			return scanGroup(rows.Scan, &m.Group)
		}, "SELECT "+groupColumns+" FROM user_groups g WHERE g.id = ?", id)
		if err == nil && !found {
			err = groups.ErrNoGroup
		}
		return m, err
	})
	return m.Group, err
}

// GroupOf implements groups.Store.
func (db *DB) GroupOf(ctx context.Context, id, user string) (groups.Mine, error) {
	return db.groups.read(groupOfUser{id, user}, func() (groups.Mine, error) {
		found, err := db.mine(ctx, "WHERE m.user_id = ? AND m.group_id = ?", user, id)
		if err == nil && len(found) == 0 {
			err = groups.ErrNoGroup
		}
		if err != nil {
			return groups.Mine{}, err
		}
		return found[0], nil
	})
}

// GroupsOf implements groups.Store.
func (db *DB) GroupsOf(ctx context.Context, user, after string, limit int) ([]groups.Mine, error) {
	return db.mine(ctx, "WHERE m.user_id = ? AND m.group_id > ? ORDER BY m.group_id LIMIT ?", user, after, limit)
}

func (db *DB) mine(ctx context.Context, where string, args ...any) ([]groups.Mine, error) {
	var found []groups.Mine
	err := db.read(ctx, func(rows *sql.Rows) error {
		var m groups.Mine
		err := scanGroup(rows.Scan, &m.Group, &m.Role, &m.Starred, &m.Members)
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

const rolesOfEach = "SELECT user_id, group_id, role FROM memberships WHERE user_id IN (SELECT value FROM json_each(?))"

// RolesOfEach implements auth.Memberships.
func (db *DB) RolesOfEach(ctx context.Context, users ...string) (map[string]map[string]auth.Role, error) {
	roles := make(map[string]map[string]auth.Role, len(users))
	err := db.read(ctx, func(rows *sql.Rows) error {
		var user, group string
		var role auth.Role
		err := rows.Scan(&user, &group, &role)
		if roles[user] == nil {
			roles[user] = map[string]auth.Role{}
		}
		roles[user][group] = role
		return err
	}, rolesOfEach, toJSON(users))
	return roles, err
}
