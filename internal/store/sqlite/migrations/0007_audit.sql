-- +goose Up
-- The id says when (UUIDv7), so it is also the order and the range of times.
CREATE TABLE audit (
    id          TEXT PRIMARY KEY,
    actor       TEXT NOT NULL,
    actor_name  TEXT NOT NULL,
    token_kind  TEXT NOT NULL,
    action      TEXT NOT NULL,
    target_type TEXT NOT NULL,
    target      TEXT NOT NULL,
    group_id    TEXT NOT NULL,
    address     TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    status      INTEGER NOT NULL,
    request_id  TEXT NOT NULL,
    left_out    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX audit_actor   ON audit (actor, id);
CREATE INDEX audit_name    ON audit (actor_name, id);
CREATE INDEX audit_action  ON audit (action, id);
CREATE INDEX audit_target  ON audit (target, id);
CREATE INDEX audit_group   ON audit (group_id, id);
CREATE INDEX audit_outcome ON audit (outcome, id) WHERE outcome <> 'ok';
CREATE INDEX audit_refused ON audit (id)          WHERE outcome <> 'ok';

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('audit', 'audit',         '1000000 1'),
    ('audit', 'audit_actor',   '1000000 1000 1'),
    ('audit', 'audit_name',    '1000000 1000 1'),
    ('audit', 'audit_action',  '1000000 20000 1'),
    ('audit', 'audit_target',  '1000000 20 1'),
    ('audit', 'audit_group',   '1000000 2000 1'),
    ('audit', 'audit_outcome', '100000 10000 1'),
    ('audit', 'audit_refused', '100000 1');

-- +goose Down
DROP TABLE audit;
