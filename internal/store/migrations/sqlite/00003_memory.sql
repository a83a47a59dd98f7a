-- What agents remember. Everything is added, nothing changed.

-- +goose Up
CREATE TABLE memory_stores (
    project_id  TEXT   NOT NULL REFERENCES projects (id),
    id          TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    metadata    TEXT   NOT NULL, -- JSON: an object of strings
    entries     BIGINT NOT NULL, -- memories in it
    bytes       BIGINT NOT NULL, -- of their contents together
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    archived_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX memory_stores_by_age ON memory_stores (project_id, created_at, id);

-- A memory's content is in its newest version, so that it is stored once.
CREATE TABLE memories (
    project_id TEXT   NOT NULL,
    store_id   TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    path       TEXT   NOT NULL, -- compared byte by byte
    sha256     TEXT   NOT NULL,
    bytes      BIGINT NOT NULL,
    metadata   TEXT   NOT NULL, -- JSON: an object of strings
    number     BIGINT NOT NULL, -- of the newest version
    version_id TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, store_id, id),
    UNIQUE (project_id, store_id, path),
    FOREIGN KEY (project_id, store_id) REFERENCES memory_stores (project_id, id) ON DELETE CASCADE
);

-- Versions outlive their memory, so memory_id is no foreign key. content stands last: a list that does
-- not show it does not read it.
CREATE TABLE memory_versions (
    project_id  TEXT   NOT NULL,
    store_id    TEXT   NOT NULL,
    id          TEXT   NOT NULL,
    memory_id   TEXT   NOT NULL,
    number      BIGINT NOT NULL,
    operation   TEXT   NOT NULL,
    path        TEXT   NOT NULL, -- '' if redacted
    sha256      TEXT   NOT NULL, -- '' if redacted or deleted
    bytes       BIGINT NOT NULL,
    by_kind     TEXT   NOT NULL,
    by_id       TEXT   NOT NULL,
    erased_kind TEXT   NOT NULL, -- who redacted it; '' for nobody
    erased_id   TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    redacted_at BIGINT NOT NULL,
    content     TEXT   NOT NULL,
    PRIMARY KEY (project_id, store_id, id),
    FOREIGN KEY (project_id, store_id) REFERENCES memory_stores (project_id, id) ON DELETE CASCADE
);
CREATE INDEX memory_versions_by_age ON memory_versions (project_id, store_id, created_at, id);
CREATE INDEX memory_versions_by_memory ON memory_versions (project_id, store_id, memory_id, created_at, id);
CREATE INDEX memory_versions_by_actor ON memory_versions (project_id, store_id, by_kind, by_id, created_at, id);

-- +goose Down
DROP TABLE memory_versions;
DROP TABLE memories;
DROP TABLE memory_stores;
