-- +goose Up
-- Times are Unix milliseconds, 0 for "not set". docs/store.md lists the queries
-- that each index serves.
CREATE TABLE devices (
    seq        INTEGER PRIMARY KEY, -- what the other tables refer to
    group_id   TEXT NOT NULL,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    tags       TEXT NOT NULL, -- JSON
    state      TEXT NOT NULL,
    first_seen INTEGER NOT NULL
);
CREATE UNIQUE INDEX devices_id    ON devices (group_id, id);
CREATE INDEX        devices_named ON devices (id, group_id);
CREATE INDEX        devices_others ON devices (group_id, id) WHERE state <> 'active';

-- What a device's events add up to: written with each of them.
CREATE TABLE device_sums (
    device         INTEGER PRIMARY KEY,
    last_seen      INTEGER NOT NULL,
    events         INTEGER NOT NULL,
    failed         INTEGER NOT NULL,
    partial        INTEGER NOT NULL,
    files          INTEGER NOT NULL,
    errors         INTEGER NOT NULL,
    newest_at      INTEGER NOT NULL,
    newest_id      TEXT NOT NULL,
    success_at     INTEGER NOT NULL,
    success_id     TEXT NOT NULL,
    failure_at     INTEGER NOT NULL,
    failure_id     TEXT NOT NULL,
    streak         INTEGER NOT NULL,
    usual_interval INTEGER NOT NULL,
    failing        TEXT NOT NULL, -- id of the open alert, or empty
    silent         TEXT NOT NULL
);
CREATE INDEX device_sums_streak ON device_sums (streak) WHERE streak > 0;

-- Events, with their devices' together in order of device time.
CREATE TABLE sync_events (
    device   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    id       TEXT NOT NULL, -- event_id, or empty
    received INTEGER NOT NULL,
    files    INTEGER NOT NULL,
    errors   INTEGER NOT NULL,
    speed    REAL NOT NULL,
    PRIMARY KEY (device, at, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX sync_events_id     ON sync_events (device, id) WHERE id <> '';
CREATE INDEX        sync_events_failed ON sync_events (device, at, id, errors) WHERE errors > 0; -- errors: else counting reads each event

-- Sums of a group by hour of device time, for good; speeds is a histogram.
CREATE TABLE sync_hours (
    group_id TEXT NOT NULL,
    hour     INTEGER NOT NULL,
    events   INTEGER NOT NULL,
    failed   INTEGER NOT NULL,
    partial  INTEGER NOT NULL,
    files    INTEGER NOT NULL,
    errors   INTEGER NOT NULL,
    PRIMARY KEY (group_id, hour)
) WITHOUT ROWID;
CREATE TABLE sync_speeds (
    group_id TEXT NOT NULL,
    hour     INTEGER NOT NULL,
    bucket   INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (group_id, hour, bucket)
) WITHOUT ROWID;

-- What the events of a device that were dropped add up to, by hour of device time.
CREATE TABLE device_hours (
    device  INTEGER NOT NULL,
    hour    INTEGER NOT NULL,
    events  INTEGER NOT NULL,
    failed  INTEGER NOT NULL,
    partial INTEGER NOT NULL,
    files   INTEGER NOT NULL,
    errors  INTEGER NOT NULL,
    speeds  TEXT NOT NULL, -- JSON: bucket to count
    PRIMARY KEY (device, hour)
) WITHOUT ROWID;

CREATE TABLE sync_rules (
    group_id    TEXT PRIMARY KEY,
    failures    INTEGER NOT NULL,
    silence     INTEGER NOT NULL,
    grace       INTEGER NOT NULL,
    approval    INTEGER NOT NULL,
    webhook_url TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sync_alerts (
    id             TEXT PRIMARY KEY,
    group_id       TEXT NOT NULL,
    type           TEXT NOT NULL,
    device         INTEGER NOT NULL,
    since          INTEGER NOT NULL,
    streak         INTEGER NOT NULL,
    opened_at      INTEGER NOT NULL,
    recovered_at   INTEGER NOT NULL,
    told           INTEGER NOT NULL, -- of its opening
    told_recovered INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sync_alerts_group ON sync_alerts (group_id, id);
CREATE INDEX sync_alerts_open  ON sync_alerts (group_id, id) WHERE recovered_at = 0;
CREATE INDEX sync_alerts_news  ON sync_alerts (id) WHERE told = 0 OR told_recovered = 0 AND recovered_at > 0;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('devices',     'devices_id',         '100000 1000 1'),
    ('devices',     'devices_named',      '100000 1 1'),
    ('devices',     'devices_others',     '1000 10 1'),
    ('device_sums', 'device_sums_streak', '5000 500'),
    ('sync_alerts', 'sync_alerts_group',  '10000 100 1'),
    ('sync_alerts', 'sync_alerts_open',   '1000 10 1'),
    ('sync_alerts', 'sync_alerts_news',   '100 1'),
    ('sync_events', 'sync_events',        '10000000 100 1 1'),
    ('sync_events', 'sync_events_id',     '5000000 50 1'),
    ('sync_events', 'sync_events_failed', '500000 5 1 1 1');

-- +goose Down
DROP TABLE sync_alerts;
DROP TABLE sync_rules;
DROP TABLE device_hours;
DROP TABLE sync_speeds;
DROP TABLE sync_hours;
DROP TABLE sync_events;
DROP TABLE device_sums;
DROP TABLE devices;
