-- Files and skills. Their bytes are in the blob store, under blob_key.

-- +goose Up

-- Bytes that may lie in the blob store and belong to nothing: see core.BlobStore.
CREATE TABLE strays (
    project_id TEXT   NOT NULL REFERENCES projects (id),
    blob_key   TEXT   NOT NULL,
    due_at     BIGINT NOT NULL,
    PRIMARY KEY (project_id, blob_key)
);
CREATE INDEX strays_by_due ON strays (due_at, blob_key);

-- session_id is no foreign key: a file may outlive its session, and a cascade would leave its bytes behind.
CREATE TABLE files (
    project_id   TEXT     NOT NULL REFERENCES projects (id),
    id           TEXT     NOT NULL,
    blob_key     TEXT     NOT NULL,
    bytes        BIGINT   NOT NULL,
    sha256       TEXT     NOT NULL,
    name         TEXT     NOT NULL,
    media_type   TEXT     NOT NULL,
    downloadable SMALLINT NOT NULL,
    session_id   TEXT     NOT NULL, -- '' for none
    metadata     TEXT     NOT NULL, -- JSON: an object
    created_at   BIGINT   NOT NULL,
    expires_at   BIGINT   NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX files_by_age ON files (project_id, created_at, id);
CREATE INDEX files_by_session ON files (project_id, session_id, created_at, id);
CREATE INDEX files_by_expiry ON files (expires_at, project_id, id) WHERE expires_at > 0;

CREATE TABLE skills (
    project_id TEXT   NOT NULL REFERENCES projects (id),
    id         TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    title      TEXT,
    metadata   TEXT   NOT NULL, -- JSON: an object of strings
    latest     BIGINT NOT NULL, -- number of the newest version; 0: none
    latest_id  TEXT   NOT NULL,
    mark       BIGINT NOT NULL, -- the highest number ever given
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX skills_by_age ON skills (project_id, created_at, id);

CREATE TABLE skill_versions (
    project_id  TEXT   NOT NULL,
    skill_id    TEXT   NOT NULL,
    number      BIGINT NOT NULL,
    id          TEXT   NOT NULL,
    blob_key    TEXT   NOT NULL,
    bytes       BIGINT NOT NULL,
    sha256      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    directory   TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    files       TEXT   NOT NULL, -- JSON: core.SkillFile
    PRIMARY KEY (project_id, skill_id, number),
    UNIQUE (project_id, id),
    FOREIGN KEY (project_id, skill_id) REFERENCES skills (project_id, id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE skill_versions;
DROP TABLE skills;
DROP TABLE files;
DROP TABLE strays;
