-- Conventions of every table:
--   ids          TEXT, 32 lower-case hex digits
--   *_at, *_until, *_since, *_after
--                BIGINT, microseconds since 1970 UTC; 0 stands for Go's zero time
--   flags        SMALLINT, 0 or 1
--   JSON         TEXT, read and written whole
-- Ids that refer to a thing of a project are foreign keys together with the project, so that the
-- database itself refuses a reference into another project.

-- +goose Up
CREATE TABLE projects (
    id          TEXT     NOT NULL PRIMARY KEY,
    name        TEXT     NOT NULL,
    description TEXT     NOT NULL,
    domain      TEXT,
    active      SMALLINT NOT NULL,
    created_by  TEXT     NOT NULL,
    created_at  BIGINT   NOT NULL,
    updated_at  BIGINT   NOT NULL
);
CREATE INDEX projects_by_age ON projects (created_at, id);

CREATE TABLE users (
    id            TEXT   NOT NULL PRIMARY KEY,
    first_name    TEXT   NOT NULL,
    middle_name   TEXT   NOT NULL,
    last_name     TEXT   NOT NULL,
    email         TEXT   NOT NULL UNIQUE,
    password_hash TEXT   NOT NULL,
    tokens_after  BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE memberships (
    project_id TEXT     NOT NULL REFERENCES projects (id),
    user_id    TEXT     NOT NULL REFERENCES users (id),
    role       TEXT     NOT NULL,
    active     SMALLINT NOT NULL,
    created_at BIGINT   NOT NULL,
    updated_at BIGINT   NOT NULL,
    PRIMARY KEY (project_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);

-- An agent's id may come from a client, so it is unique only within its project.
CREATE TABLE agents (
    project_id  TEXT     NOT NULL REFERENCES projects (id),
    id          TEXT     NOT NULL,
    version     BIGINT   NOT NULL, -- the newest
    search      TEXT     NOT NULL, -- name and description of the newest version, lower-case
    active      SMALLINT NOT NULL,
    created_by  TEXT     NOT NULL,
    created_at  BIGINT   NOT NULL,
    archived_at BIGINT   NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX agents_by_age ON agents (project_id, created_at, id);

CREATE TABLE agent_versions (
    project_id TEXT   NOT NULL,
    agent_id   TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    spec       TEXT   NOT NULL, -- JSON: core.AgentSpec
    made_at    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, agent_id, version),
    FOREIGN KEY (project_id, agent_id) REFERENCES agents (project_id, id)
);

CREATE TABLE credentials (
    id           TEXT   NOT NULL PRIMARY KEY,
    project_id   TEXT   NOT NULL REFERENCES projects (id),
    kind         TEXT   NOT NULL,
    prefix       TEXT   NOT NULL UNIQUE,
    hash         BLOB   NOT NULL,
    name         TEXT,
    role         TEXT   NOT NULL,
    agent_id     TEXT, -- NULL unless it is an agent's key
    created_by   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    FOREIGN KEY (project_id, agent_id) REFERENCES agents (project_id, id)
);
CREATE INDEX credentials_by_kind ON credentials (project_id, kind, created_at, id);
CREATE INDEX credentials_by_agent ON credentials (project_id, agent_id, created_at, id);

CREATE TABLE environments (
    project_id  TEXT   NOT NULL REFERENCES projects (id),
    id          TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    config      TEXT   NOT NULL, -- JSON: core.EnvironmentConfig
    metadata    TEXT   NOT NULL, -- JSON: an object of strings
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    archived_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX environments_by_age ON environments (project_id, created_at, id);

-- The row of a session changes with every append and every turn; what never changes and may be large
-- is kept apart in session_snapshots, so that those changes stay small.
CREATE TABLE sessions (
    log            INTEGER NOT NULL PRIMARY KEY, -- the number of its log, see events
    id             TEXT   NOT NULL UNIQUE,
    project_id     TEXT   NOT NULL REFERENCES projects (id),
    origin         TEXT   NOT NULL,
    agent_id       TEXT,
    agent_version  BIGINT NOT NULL,
    environment_id TEXT,
    agent_key      TEXT   NOT NULL,
    title          TEXT,
    metadata       TEXT   NOT NULL, -- JSON: an object of strings
    env_vars       TEXT,            -- JSON: an object of strings
    meta           TEXT,            -- JSON: an object
    vault_ids      TEXT,            -- JSON: an array of strings
    status         TEXT   NOT NULL,
    stop_reason    TEXT,            -- JSON: core.StopReason
    usage          TEXT   NOT NULL, -- JSON: core.Usage
    last_seq       BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    archived_at    BIGINT NOT NULL,
    FOREIGN KEY (project_id, agent_id) REFERENCES agents (project_id, id),
    FOREIGN KEY (project_id, environment_id) REFERENCES environments (project_id, id)
);
CREATE INDEX sessions_by_age ON sessions (project_id, created_at, id);
CREATE INDEX sessions_by_agent ON sessions (project_id, agent_id, created_at, id);
CREATE INDEX sessions_by_environment ON sessions (project_id, environment_id) WHERE environment_id IS NOT NULL;

CREATE TABLE session_snapshots (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    spec       TEXT NOT NULL -- JSON: core.AgentSpec
);

CREATE TABLE threads (
    session_id    TEXT     NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    id            TEXT     NOT NULL,
    project_id    TEXT     NOT NULL,
    parent_id     TEXT     NOT NULL,
    created_at    BIGINT   NOT NULL,
    pending       SMALLINT NOT NULL, -- a turn is owed or running
    pending_since BIGINT   NOT NULL, -- when the debt began; 0 unless pending
    node          TEXT     NOT NULL, -- who holds the lease; '' for nobody
    epoch         BIGINT   NOT NULL,
    lease_until   BIGINT   NOT NULL, -- 0 without a lease
    PRIMARY KEY (session_id, id)
);
CREATE INDEX threads_pending ON threads (pending_since, session_id, id) WHERE pending = 1;

-- The logs. An event's place is log * 2^32 + seq, so that a session's events lie side by side and in
-- order: reading a log touches few pages, and its order needs no index besides. (2^31 sessions, each of
-- 2^32 events.) The table names no project: a statement learns a log's number from the session's row
-- alone, by project and id, and so cannot reach another project's events.
CREATE TABLE events (
    place        INTEGER NOT NULL PRIMARY KEY,
    log          BIGINT  NOT NULL,
    id           TEXT    NOT NULL,
    thread_id    TEXT    NOT NULL,
    turn_id      TEXT    NOT NULL,
    type         TEXT    NOT NULL,
    at           BIGINT  NOT NULL,
    processed_at BIGINT  NOT NULL, -- 0 while the input waits
    data         TEXT    NOT NULL  -- JSON: an object
);
CREATE UNIQUE INDEX events_by_id ON events (log, id);
CREATE INDEX events_queued ON events (log, place) WHERE processed_at = 0;

CREATE TABLE idempotency (
    project_id  TEXT   NOT NULL,
    caller      TEXT   NOT NULL,
    key         TEXT   NOT NULL,
    fingerprint BLOB   NOT NULL,
    object      TEXT   NOT NULL,
    status      BIGINT NOT NULL, -- 0 while the request is in flight
    response    BLOB,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (project_id, caller, key)
);
CREATE INDEX idempotency_by_end ON idempotency (expires_at);

-- +goose Down
DROP TABLE idempotency;
DROP TABLE events;
DROP TABLE threads;
DROP TABLE session_snapshots;
DROP TABLE sessions;
DROP TABLE environments;
DROP TABLE credentials;
DROP TABLE agent_versions;
DROP TABLE agents;
DROP TABLE memberships;
DROP TABLE users;
DROP TABLE projects;
