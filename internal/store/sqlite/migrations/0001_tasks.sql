-- +goose Up
-- Times are Unix milliseconds, 0 for "not set"; durations are milliseconds.
-- docs/store.md lists the queries that each index serves.
CREATE TABLE tasks (
    seq                 INTEGER PRIMARY KEY, -- what the other tables refer to
    id                  TEXT NOT NULL UNIQUE,
    group_id            TEXT NOT NULL,
    kind                TEXT NOT NULL,
    title               TEXT NOT NULL,
    words               TEXT NOT NULL, -- of the title, each with a space before it
    created_by          TEXT NOT NULL,
    priority            TEXT NOT NULL,
    status              TEXT NOT NULL,
    phase               TEXT NOT NULL,
    created_at          INTEGER NOT NULL,
    run_at              INTEGER NOT NULL,
    enqueued_at         INTEGER NOT NULL,
    started_at          INTEGER NOT NULL,
    deadline            INTEGER NOT NULL,
    finished_at         INTEGER NOT NULL,
    cancel_requested_at INTEGER NOT NULL,
    attempt             INTEGER NOT NULL,
    failures            INTEGER NOT NULL,
    max_attempts        INTEGER NOT NULL,
    reassignments       INTEGER NOT NULL,
    max_reassignments   INTEGER NOT NULL,
    timeout             INTEGER NOT NULL,
    server              TEXT NOT NULL,
    session             TEXT NOT NULL,
    epoch               INTEGER NOT NULL,
    worker              TEXT NOT NULL,
    worker_name         TEXT NOT NULL,
    run_by              TEXT NOT NULL,
    accepted            INTEGER NOT NULL,
    percent             REAL,
    message             TEXT NOT NULL,
    error               TEXT, -- JSON
    trace               TEXT NOT NULL,
    in_bytes            INTEGER NOT NULL,
    out_bytes           INTEGER NOT NULL,
    drop_at             INTEGER NOT NULL,
    dropped_at          INTEGER NOT NULL,
    result_retention    INTEGER,
    parent              TEXT NOT NULL,
    key                 TEXT NOT NULL,
    idx                 INTEGER NOT NULL,
    cnt                 INTEGER NOT NULL,
    target              TEXT NOT NULL,
    fan_out             TEXT NOT NULL, -- JSON, empty for none
    gen                 INTEGER NOT NULL,
    reduce_by           TEXT NOT NULL,
    reduce_until        INTEGER NOT NULL,
    reduce_n            INTEGER NOT NULL
);

-- Lists of a group, newest first.
CREATE INDEX tasks_list        ON tasks (group_id, id, created_at) WHERE parent = '';
CREATE INDEX tasks_list_status ON tasks (group_id, status, id)     WHERE parent = '';
CREATE INDEX tasks_list_kind   ON tasks (group_id, kind, id)       WHERE parent = '';
CREATE INDEX tasks_list_by     ON tasks (group_id, created_by, id) WHERE parent = '';
CREATE INDEX tasks_list_worker ON tasks (group_id, worker, id)     WHERE worker <> '';

-- What waits to be claimed: refill and the age audit; pairs; parts of a
-- broadcast that nobody starts.
CREATE INDEX tasks_refill ON tasks (group_id, kind, target, priority, enqueued_at, id, run_at, status)
    WHERE status IN ('queued', 'scheduled') AND phase = '';
CREATE INDEX tasks_pairs ON tasks (group_id, kind, target, run_at)
    WHERE status IN ('queued', 'scheduled') AND phase = '';
CREATE INDEX tasks_target ON tasks (id)
    WHERE status IN ('queued', 'scheduled') AND target <> '';

-- What runs on workers.
CREATE INDEX tasks_session  ON tasks (session, epoch, group_id) WHERE status = 'running' AND session <> '';
CREATE INDEX tasks_deadline ON tasks (deadline) WHERE status = 'running' AND deadline > 0;
CREATE INDEX tasks_cancel   ON tasks (cancel_requested_at) WHERE status = 'running' AND cancel_requested_at > 0;

-- Parents and their children.
CREATE UNIQUE INDEX tasks_child ON tasks (parent, key)              WHERE parent <> '';
CREATE INDEX tasks_child_status ON tasks (parent, status, idx, key) WHERE parent <> '';
CREATE INDEX tasks_child_idx    ON tasks (parent, idx)              WHERE parent <> '';
CREATE INDEX tasks_phase        ON tasks (id)                       WHERE phase <> '';

-- Retention of payloads, then of the rest.
CREATE INDEX tasks_drop     ON tasks (drop_at)     WHERE drop_at > 0 AND dropped_at = 0;
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at > 0 AND parent = '';

-- Words of titles, for search; without the children's. Names that tasks has not.
CREATE TABLE task_words (
    grp     TEXT NOT NULL,
    word    TEXT NOT NULL,
    task_id TEXT NOT NULL,
    task    INTEGER NOT NULL,
    PRIMARY KEY (grp, word, task_id)
) WITHOUT ROWID;

CREATE TABLE task_inputs      (task INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE task_outputs     (task INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE task_checkpoints (task INTEGER PRIMARY KEY, data BLOB NOT NULL);

CREATE TABLE task_history (
    task    INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    event   TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    worker  TEXT NOT NULL,
    session TEXT NOT NULL,
    detail  TEXT NOT NULL,
    PRIMARY KEY (task, n)
) WITHOUT ROWID;

-- One row for each task with a log: what task_log_lines holds of it.
CREATE TABLE task_logs (
    task     INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    lines    INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    dropped  INTEGER NOT NULL
);
CREATE TABLE task_log_lines (
    task    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    stream  TEXT NOT NULL,
    line    TEXT NOT NULL,
    PRIMARY KEY (task, seq)
) WITHOUT ROWID;

CREATE TABLE idempotency (
    key     TEXT PRIMARY KEY,
    task    TEXT NOT NULL,
    hash    TEXT NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_expires ON idempotency (expires);

-- Statistics: span 'h' counts an hour, 'd' a day (UTC); at is its start.
CREATE TABLE stats_members (
    group_id  TEXT NOT NULL,
    span      TEXT NOT NULL,
    at        INTEGER NOT NULL,
    member    TEXT NOT NULL,
    succeeded INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    PRIMARY KEY (group_id, span, at, member)
) WITHOUT ROWID;
CREATE TABLE stats_times (
    group_id TEXT NOT NULL,
    span     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    what     TEXT NOT NULL, -- wait or run
    bucket   INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (group_id, span, at, what, bucket)
) WITHOUT ROWID;
-- One row: hours before this were pruned, only their days are left.
CREATE TABLE stats_pruned (before INTEGER NOT NULL);
INSERT INTO stats_pruned VALUES (0);

-- Sessions, workers, servers.
CREATE TABLE workers (
    id         TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    name       TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    UNIQUE (owner, name)
) WITHOUT ROWID;
CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    worker       TEXT NOT NULL,
    name         TEXT NOT NULL,
    owner        TEXT NOT NULL,
    token        TEXT NOT NULL,
    server       TEXT NOT NULL,
    state        TEXT NOT NULL,
    epoch        INTEGER NOT NULL,
    until        INTEGER NOT NULL,
    last_heard   INTEGER NOT NULL,
    secret_hash  TEXT NOT NULL,
    groups       TEXT NOT NULL, -- JSON
    kinds        TEXT NOT NULL, -- JSON
    slots        INTEGER NOT NULL,
    labels       TEXT NOT NULL, -- JSON
    sdk          TEXT NOT NULL,
    draining     INTEGER NOT NULL,
    connected_at INTEGER NOT NULL,
    by_server    INTEGER NOT NULL,
    lost_at      INTEGER NOT NULL
);
CREATE INDEX sessions_server ON sessions (server, state);
CREATE INDEX sessions_owner  ON sessions (owner, state);
CREATE INDEX sessions_state  ON sessions (state, until);
CREATE INDEX sessions_lost   ON sessions (lost_at) WHERE lost_at > 0;

CREATE TABLE servers (
    id      TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    beat    INTEGER NOT NULL,
    started INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE leases (
    job    TEXT PRIMARY KEY,
    server TEXT NOT NULL,
    until  INTEGER NOT NULL,
    fence  INTEGER NOT NULL
) WITHOUT ROWID;

-- Fixed statistics of a large installation: the planner chooses the same
-- indexes from the first row to the last. Nothing runs ANALYZE again.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('tasks', 'sqlite_autoindex_tasks_1', '1000000 1'),
    ('tasks', 'tasks_list',         '500000 50000 1 1'),
    ('tasks', 'tasks_list_status',  '500000 50000 10000 1'),
    ('tasks', 'tasks_list_kind',    '500000 50000 10000 1'),
    ('tasks', 'tasks_list_by',      '500000 50000 5000 1'),
    ('tasks', 'tasks_list_worker',  '900000 90000 1000 1'),
    ('tasks', 'tasks_refill',       '100000 10000 5000 2000 1000 5 1 1 1'),
    ('tasks', 'tasks_pairs',        '100000 10000 5000 2000 2'),
    ('tasks', 'tasks_target',       '1000 1'),
    ('tasks', 'tasks_session',      '5000 5 5 4'),
    ('tasks', 'tasks_deadline',     '5000 2'),
    ('tasks', 'tasks_cancel',       '100 2'),
    ('tasks', 'tasks_child',        '500000 100 1'),
    ('tasks', 'tasks_child_status', '500000 100 30 1 1'),
    ('tasks', 'tasks_child_idx',    '500000 100 1'),
    ('tasks', 'tasks_phase',        '500 1'),
    ('tasks', 'tasks_drop',         '100000 2'),
    ('tasks', 'tasks_finished',     '900000 2');

-- +goose Down
DROP TABLE leases;
DROP TABLE servers;
DROP TABLE sessions;
DROP TABLE workers;
DROP TABLE stats_pruned;
DROP TABLE stats_times;
DROP TABLE stats_members;
DROP TABLE idempotency;
DROP TABLE task_log_lines;
DROP TABLE task_logs;
DROP TABLE task_history;
DROP TABLE task_checkpoints;
DROP TABLE task_outputs;
DROP TABLE task_inputs;
DROP TABLE task_words;
DROP TABLE tasks;
