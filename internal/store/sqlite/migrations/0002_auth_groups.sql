-- +goose Up
-- Times are Unix milliseconds, 0 for "not set"; retentions are milliseconds.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL UNIQUE,
    email         TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    admin         INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX users_admin ON users (admin) WHERE admin = 1;

CREATE TABLE login_sessions (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    generation INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX login_sessions_user    ON login_sessions (user_id);
CREATE INDEX login_sessions_expires ON login_sessions (expires_at);

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL,
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,
    groups       TEXT NOT NULL, -- JSON, null for every group of the user
    scopes       TEXT NOT NULL, -- JSON
    device_id    TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX tokens_user    ON tokens (user_id, id);
CREATE INDEX tokens_expires ON tokens (expires_at) WHERE expires_at > 0;

CREATE TABLE user_groups (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    description      TEXT NOT NULL,
    result_retention INTEGER, -- NULL: the default by status
    created_at       INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE memberships (
    id        TEXT PRIMARY KEY,
    group_id  TEXT NOT NULL,
    user_id   TEXT NOT NULL,
    role      TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    UNIQUE (user_id, group_id)
) WITHOUT ROWID;

CREATE INDEX memberships_group ON memberships (group_id, id);

CREATE TABLE invitations (
    id         TEXT PRIMARY KEY,
    group_id   TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (user_id, group_id)
) WITHOUT ROWID;

CREATE INDEX invitations_user ON invitations (user_id, id);
