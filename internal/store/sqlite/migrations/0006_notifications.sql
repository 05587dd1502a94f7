-- +goose Up
-- Times are Unix milliseconds.
CREATE TABLE notifications (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    slot       TEXT NOT NULL UNIQUE, -- where another one is counted; the id: nowhere
    type       TEXT NOT NULL,
    about      TEXT NOT NULL, -- JSON
    count      INTEGER NOT NULL,
    read       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX notifications_user   ON notifications (user_id, updated_at, id);
CREATE INDEX notifications_unread ON notifications (user_id, updated_at, id) WHERE read = 0;
CREATE INDEX notifications_age    ON notifications (updated_at);

CREATE TABLE notification_settings (
    user_id TEXT PRIMARY KEY,
    off     TEXT NOT NULL -- JSON
) WITHOUT ROWID;

-- +goose Down
DROP TABLE notification_settings;
DROP TABLE notifications;
