-- +goose Up
-- What a change of a group's people compares: it grows with each.
ALTER TABLE user_groups ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE memberships ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;

-- Never two owners, whatever else goes wrong.
CREATE UNIQUE INDEX memberships_owner ON memberships (group_id) WHERE role = 'owner';
CREATE INDEX invitations_group ON invitations (group_id, id);

CREATE TABLE invite_links (
    id         TEXT PRIMARY KEY,
    group_id   TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE,
    role       TEXT NOT NULL,
    max_uses   INTEGER NOT NULL,
    uses       INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX invite_links_group ON invite_links (group_id, id);

CREATE TABLE deleted_groups (
    id         TEXT PRIMARY KEY,
    deleted_at INTEGER NOT NULL,
    sweep_at   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX deleted_groups_sweep ON deleted_groups (sweep_at);

-- +goose Down
DROP TABLE deleted_groups;
DROP TABLE invite_links;
DROP INDEX invitations_group;
DROP INDEX memberships_owner;
ALTER TABLE memberships DROP COLUMN starred;
ALTER TABLE user_groups DROP COLUMN version;
