-- People come and go, and keys end for different reasons. Everything is added, nothing changed.

-- +goose Up
CREATE TABLE invitations (
    id          TEXT   NOT NULL PRIMARY KEY,
    project_id  TEXT   NOT NULL REFERENCES projects (id),
    email       TEXT   NOT NULL,
    role        TEXT   NOT NULL,
    prefix      TEXT   NOT NULL UNIQUE,
    hash        BLOB   NOT NULL,
    invited_by  TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL,
    revoked_at  BIGINT NOT NULL
);
CREATE INDEX invitations_waiting ON invitations (project_id, created_at, id) WHERE accepted_at = 0 AND revoked_at = 0;

-- 1: the key was revoked for itself, not replaced, and the sessions that it had opened ended with it.
ALTER TABLE credentials ADD COLUMN ends_sessions SMALLINT NOT NULL DEFAULT 0;

CREATE INDEX credentials_by_age ON credentials (project_id, created_at, id);
CREATE INDEX memberships_by_age ON memberships (project_id, created_at, user_id);

-- +goose Down
DROP INDEX memberships_by_age;
DROP INDEX credentials_by_age;
ALTER TABLE credentials DROP COLUMN ends_sessions;
DROP TABLE invitations;
