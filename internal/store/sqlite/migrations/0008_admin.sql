-- +goose Up
-- What administrators see of the whole installation.

-- A queue is the work of one kind in one group, over all priorities and
-- targets. Its counts are written with the tasks, once in each transaction;
-- parents are not counted, their parts are. Rows that say nothing go with the
-- retention of statistics.
CREATE TABLE queues (
    group_id  TEXT NOT NULL,
    kind      TEXT NOT NULL,
    waiting   INTEGER NOT NULL, -- queued or scheduled
    running   INTEGER NOT NULL,
    paused_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (group_id, kind)
) WITHOUT ROWID;
CREATE INDEX queues_paused ON queues (group_id, kind) WHERE paused_at > 0;

INSERT INTO queues (group_id, kind, waiting, running)
SELECT group_id, kind, sum(status <> 'running'), sum(status = 'running') FROM tasks
WHERE status IN ('queued', 'running', 'scheduled') AND phase = '' GROUP BY group_id, kind;

-- What may lie ahead; the hot path, tasks due at once, touches neither.
CREATE INDEX tasks_scheduled ON tasks (group_id, kind, run_at) WHERE status = 'scheduled' AND phase = '';
CREATE INDEX tasks_requeued  ON tasks (group_id, kind, run_at)
    WHERE status = 'queued' AND phase = '' AND run_at > created_at;

-- What ended in each minute, and what was taken back from lost workers and
-- servers; kept for a day.
CREATE TABLE stats_minutes (
    at        INTEGER PRIMARY KEY,
    succeeded INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    failovers INTEGER NOT NULL
);

-- Sessions that are connected, or may come back.
CREATE INDEX sessions_here ON sessions (worker, state, slots, name, owner) WHERE state IN ('connected', 'grace');

-- All users are counted, less these.
CREATE INDEX users_deleted ON users (deleted_at) WHERE deleted_at > 0;

-- For people's eyes: no program compares it with another machine's clock.
ALTER TABLE servers ADD COLUMN beat_at INTEGER NOT NULL DEFAULT 0;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('tasks',    'tasks_scheduled', '10000 1000 500 1'),
    ('tasks',    'tasks_requeued',  '10000 1000 500 1'),
    ('sessions', 'sessions_here',   '10000 2 2 2 2 2');

-- +goose Down
ALTER TABLE servers DROP COLUMN beat_at;
DROP INDEX users_deleted;
DROP INDEX sessions_here;
DROP TABLE stats_minutes;
DROP INDEX tasks_requeued;
DROP INDEX tasks_scheduled;
DROP TABLE queues;
