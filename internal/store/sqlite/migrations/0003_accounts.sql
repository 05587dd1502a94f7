-- +goose Up
ALTER TABLE users ADD COLUMN disabled      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN last_login_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN deleted_at    INTEGER NOT NULL DEFAULT 0;

CREATE INDEX users_disabled ON users (disabled) WHERE disabled = 1;

ALTER TABLE login_sessions ADD COLUMN user_agent   TEXT    NOT NULL DEFAULT '';
ALTER TABLE login_sessions ADD COLUMN address      TEXT    NOT NULL DEFAULT '';
ALTER TABLE login_sessions ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;

DROP INDEX login_sessions_user;
CREATE INDEX login_sessions_user ON login_sessions (user_id, id);

-- What ended lately, for other servers to ask for: ids of sessions and tokens,
-- and of users who were disabled or deleted.
CREATE TABLE revocations (
    at INTEGER NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (at, id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE revocations;
DROP INDEX login_sessions_user;
CREATE INDEX login_sessions_user ON login_sessions (user_id);
ALTER TABLE login_sessions DROP COLUMN last_used_at;
ALTER TABLE login_sessions DROP COLUMN address;
ALTER TABLE login_sessions DROP COLUMN user_agent;
DROP INDEX users_disabled;
ALTER TABLE users DROP COLUMN deleted_at;
ALTER TABLE users DROP COLUMN last_login_at;
ALTER TABLE users DROP COLUMN disabled;
