-- Vaults and what is kept in them. Of a secret, everything that must not be read is in sealed.

-- +goose Up
CREATE TABLE vaults (
    project_id  TEXT   NOT NULL REFERENCES projects (id),
    id          TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    metadata    TEXT   NOT NULL, -- JSON: an object of strings
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    archived_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX vaults_by_age ON vaults (project_id, created_at, id);

CREATE TABLE secrets (
    project_id    TEXT   NOT NULL,
    vault_id      TEXT   NOT NULL,
    id            TEXT   NOT NULL,
    kind          TEXT   NOT NULL,
    target        TEXT   NOT NULL, -- the normalised URL of an MCP server, or the name of a variable
    name          TEXT,
    metadata      TEXT   NOT NULL, -- JSON: an object of strings
    terms         TEXT   NOT NULL, -- JSON: core.SecretTerms
    expires_at    BIGINT NOT NULL,
    refresh_until BIGINT NOT NULL, -- 0: nobody refreshes it
    seal_key      TEXT   NOT NULL, -- which key sealed it; '' when purged
    sealed        BLOB,            -- NULL when purged
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    archived_at   BIGINT NOT NULL,
    PRIMARY KEY (project_id, id),
    FOREIGN KEY (project_id, vault_id) REFERENCES vaults (project_id, id) ON DELETE CASCADE
);
CREATE INDEX secrets_by_age ON secrets (project_id, vault_id, created_at, id);
CREATE UNIQUE INDEX secrets_by_target ON secrets (project_id, vault_id, target) WHERE archived_at = 0;

-- +goose Down
DROP TABLE secrets;
DROP TABLE vaults;
