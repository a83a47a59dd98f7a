-- What deployments attach, which sessions have a memory store, and files that share their bytes. Everything is
-- added, nothing changed.

-- +goose Up
ALTER TABLE deployments ADD COLUMN resources TEXT; -- JSON: core.Resource; NULL for none

-- Which sessions have a memory store attached, in the order of their lists.
CREATE TABLE session_memory_stores (
    project_id TEXT   NOT NULL,
    store_id   TEXT   NOT NULL, -- no foreign key: a session outlives what it had attached
    created_at BIGINT NOT NULL, -- of the session
    id         TEXT   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE, -- of the session
    PRIMARY KEY (project_id, store_id, created_at, id)
);
CREATE INDEX session_memory_stores_by_session ON session_memory_stores (id);

CREATE INDEX files_by_blob ON files (project_id, blob_key, id);

-- +goose Down
DROP INDEX files_by_blob;
DROP TABLE session_memory_stores;
ALTER TABLE deployments DROP COLUMN resources;
