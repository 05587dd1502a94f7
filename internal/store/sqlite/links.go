package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

const (
	linkColumns = "id, group_id, hash, role, max_uses, uses, expires_at, created_by, created_at"
	linkQuery   = `SELECT l.id, l.group_id, g.name, l.hash, l.role, l.max_uses, l.uses, l.expires_at,
		l.created_by, COALESCE(u.username, ''), l.created_at
		FROM invite_links l JOIN user_groups g ON g.id = l.group_id LEFT JOIN users u ON u.id = l.created_by `
	linksAfter  = "WHERE l.group_id = ? AND l.id > ? ORDER BY l.id LIMIT ?"
	linkInForce = "WHERE l.hash = ? AND l.uses < l.max_uses AND l.expires_at > ?"
)

func (db *DB) links(ctx context.Context, where string, args ...any) ([]groups.Link, error) {
	var found []groups.Link
	err := db.read(ctx, func(rows *sql.Rows) error {
		var l groups.Link
		var expires, created int64
		err := rows.Scan(&l.ID, &l.Group, &l.GroupName, &l.Hash, &l.Role, &l.MaxUses, &l.Uses, &expires,
			&l.CreatedBy, &l.CreatedByName, &created)
		l.ExpiresAt, l.CreatedAt = at(expires), at(created)
		found = append(found, l)
		return err
	}, linkQuery+where, args...)
	return found, err
}

// InsertLink implements groups.LinkStore.
func (db *DB) InsertLink(ctx context.Context, l groups.Link, now time.Time) error {
	return db.write(ctx, func(tx *writeTx) error {
		var role auth.Role
		err := tx.row("SELECT role FROM memberships WHERE user_id = ? AND group_id = ?", []any{l.CreatedBy, l.Group}, &role)
		if err != nil {
			return orElse(err, groups.ErrNoGroup)
		}
		if !role.May(auth.ManageMembers) {
			return groups.ErrRole
		}
		err = tx.exec1("DELETE FROM invite_links WHERE group_id = ? AND (uses >= max_uses OR expires_at <= ?)", l.Group, ms(now))
		if err != nil {
			return err
		}
		if err := tx.below(groups.MaxLinks, "invite_links", l.Group, groups.ErrTooManyLinks); err != nil {
			return err
		}
		return tx.exec1("INSERT INTO invite_links ("+linkColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			l.ID, l.Group, l.Hash, string(l.Role), l.MaxUses, l.Uses, ms(l.ExpiresAt), l.CreatedBy, ms(l.CreatedAt))
	})
}

// Links implements groups.LinkStore.
func (db *DB) Links(ctx context.Context, group, after string, limit int) ([]groups.Link, error) {
	return db.links(ctx, linksAfter, group, after, limit)
}

// LinkByHash implements groups.LinkStore.
func (db *DB) LinkByHash(ctx context.Context, hash string, now time.Time) (groups.Link, error) {
	found, err := db.links(ctx, linkInForce, hash, ms(now))
	if err == nil && len(found) == 0 {
		err = groups.ErrNoLink
	}
	if err != nil {
		return groups.Link{}, err
	}
	return found[0], nil
}

// TakeLink implements groups.LinkStore.
func (db *DB) TakeLink(ctx context.Context, hash string, now time.Time) (groups.Link, error) {
	l, err := db.LinkByHash(ctx, hash, now)
	if err != nil {
		return l, err
	}
	err = db.write(ctx, func(tx *writeTx) error {
		if err := tx.below(groups.MaxMembers, "memberships", l.Group, groups.ErrGroupFull); err != nil {
			return err
		}
		return tx.mustExec(groups.ErrNoLink,
			"UPDATE invite_links SET uses = uses + 1 WHERE id = ? AND uses < max_uses AND expires_at > ?", l.ID, ms(now))
	})
	l.Uses++
	return l, err
}

// GiveBackLink implements groups.LinkStore.
func (db *DB) GiveBackLink(ctx context.Context, id string) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.exec1("UPDATE invite_links SET uses = uses - 1 WHERE id = ? AND uses > 0", id)
	})
}

// DeleteLink implements groups.LinkStore.
func (db *DB) DeleteLink(ctx context.Context, group, id string) error {
	return db.writeOne(ctx, func(tx *writeTx) error {
		return tx.mustExec(groups.ErrNoLink, "DELETE FROM invite_links WHERE id = ? AND group_id = ?", id, group)
	})
}
