-- +goose Up
-- When silent devices were last looked for, and when no server did for the last time:
-- one row.
CREATE TABLE sync_watch (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    at    INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL
);

-- +goose Down
DROP TABLE sync_watch;
