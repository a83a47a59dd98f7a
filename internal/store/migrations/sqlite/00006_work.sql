-- The queues of self-hosted environments, and the keys of their workers. Everything is added, nothing changed.

-- +goose Up
CREATE TABLE work (
    project_id        TEXT   NOT NULL,
    environment_id    TEXT   NOT NULL,
    id                TEXT   NOT NULL,
    session_id        TEXT   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    state             TEXT   NOT NULL, -- core.WorkState
    metadata          TEXT   NOT NULL, -- JSON: an object of strings
    ttl_seconds       BIGINT NOT NULL,
    attempt           BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    available_at      BIGINT NOT NULL,
    offered_at        BIGINT NOT NULL,
    acknowledged_at   BIGINT NOT NULL,
    started_at        BIGINT NOT NULL,
    last_heartbeat_at BIGINT NOT NULL,
    stop_requested_at BIGINT NOT NULL,
    stopped_at        BIGINT NOT NULL,
    lease_until       BIGINT NOT NULL, -- 0 while it is queued, and once it is stopped
    PRIMARY KEY (project_id, id),
    FOREIGN KEY (project_id, environment_id) REFERENCES environments (project_id, id)
);
CREATE UNIQUE INDEX work_live ON work (session_id) WHERE state <> 'stopped';
CREATE INDEX work_by_session ON work (session_id);
CREATE INDEX work_by_age ON work (project_id, environment_id, created_at, id);
CREATE INDEX work_queued ON work (project_id, environment_id, created_at, id) WHERE state = 'queued';
CREATE INDEX work_leases ON work (lease_until) WHERE lease_until > 0;

-- Who asked for work, by the name that it gave itself.
CREATE TABLE workers (
    project_id     TEXT   NOT NULL,
    environment_id TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    seen_at        BIGINT NOT NULL,
    PRIMARY KEY (project_id, environment_id, name),
    FOREIGN KEY (project_id, environment_id) REFERENCES environments (project_id, id) ON DELETE CASCADE
);
CREATE INDEX workers_by_time ON workers (seen_at);

-- NULL unless it is a worker's key. No foreign key: the record of a key outlives its environment.
ALTER TABLE credentials ADD COLUMN environment_id TEXT;
CREATE INDEX credentials_by_environment ON credentials (project_id, environment_id, created_at, id) WHERE environment_id IS NOT NULL;

-- +goose Down
DROP INDEX credentials_by_environment;
ALTER TABLE credentials DROP COLUMN environment_id;
DROP TABLE workers;
DROP TABLE work;
