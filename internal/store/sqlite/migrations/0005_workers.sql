-- +goose Up
-- What the owner of a worker decided about it, and what it said when it last
-- connected.
ALTER TABLE workers ADD COLUMN settings TEXT    NOT NULL DEFAULT ''; -- JSON; empty: never set
ALTER TABLE workers ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;  -- of the settings
ALTER TABLE workers ADD COLUMN kinds    TEXT    NOT NULL DEFAULT '[]';   -- JSON
ALTER TABLE workers ADD COLUMN labels   TEXT    NOT NULL DEFAULT 'null'; -- JSON
ALTER TABLE workers ADD COLUMN sdk      TEXT    NOT NULL DEFAULT '';

CREATE INDEX workers_owner ON workers (owner, id);

-- Beside slots, kinds and groups in force, what the worker offers and asked for.
ALTER TABLE sessions ADD COLUMN offered TEXT NOT NULL DEFAULT '[]';   -- JSON
ALTER TABLE sessions ADD COLUMN asked   TEXT NOT NULL DEFAULT 'null'; -- JSON; null: every group

-- What a worker did, by day (UTC) and who submitted it.
CREATE TABLE worker_days (
    worker    TEXT NOT NULL,
    day       INTEGER NOT NULL, -- its start
    group_id  TEXT NOT NULL,
    member    TEXT NOT NULL,
    succeeded INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    run       INTEGER NOT NULL, -- milliseconds
    PRIMARY KEY (worker, day, group_id, member)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE worker_days;
ALTER TABLE sessions DROP COLUMN asked;
ALTER TABLE sessions DROP COLUMN offered;
DROP INDEX workers_owner;
ALTER TABLE workers DROP COLUMN sdk;
ALTER TABLE workers DROP COLUMN labels;
ALTER TABLE workers DROP COLUMN kinds;
ALTER TABLE workers DROP COLUMN revision;
ALTER TABLE workers DROP COLUMN settings;
