-- What a coordinator's threads are and do. Everything is added, nothing changed: the primary thread of a
-- session made before, and of one without a team, has the session's own state.

-- +goose Up
ALTER TABLE session_snapshots ADD COLUMN team TEXT; -- JSON: a list of core.Teammate; NULL without a roster

ALTER TABLE threads ADD COLUMN kind          TEXT   NOT NULL DEFAULT ''; -- core.RosterKind; '' for the primary thread
ALTER TABLE threads ADD COLUMN agent_id      TEXT   NOT NULL DEFAULT '';
ALTER TABLE threads ADD COLUMN agent_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE threads ADD COLUMN name          TEXT   NOT NULL DEFAULT '';
ALTER TABLE threads ADD COLUMN spec          TEXT; -- JSON: core.AgentSpec
ALTER TABLE threads ADD COLUMN model         TEXT; -- JSON: core.ModelChoice
ALTER TABLE threads ADD COLUMN status        TEXT   NOT NULL DEFAULT 'idle';
ALTER TABLE threads ADD COLUMN stop_reason   TEXT; -- JSON: core.StopReason
ALTER TABLE threads ADD COLUMN usage         TEXT   NOT NULL DEFAULT '{}'; -- JSON: core.Usage
ALTER TABLE threads ADD COLUMN updated_at    BIGINT NOT NULL DEFAULT 0;
ALTER TABLE threads ADD COLUMN archived_at   BIGINT NOT NULL DEFAULT 0;
CREATE INDEX threads_by_age ON threads (session_id, created_at, id);
CREATE INDEX threads_open ON threads (session_id, created_at, id) WHERE archived_at = 0 AND status <> 'terminated';

ALTER TABLE events ADD COLUMN shared SMALLINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE events DROP COLUMN shared;
DROP INDEX threads_open;
DROP INDEX threads_by_age;
ALTER TABLE threads DROP COLUMN archived_at;
ALTER TABLE threads DROP COLUMN updated_at;
ALTER TABLE threads DROP COLUMN usage;
ALTER TABLE threads DROP COLUMN stop_reason;
ALTER TABLE threads DROP COLUMN status;
ALTER TABLE threads DROP COLUMN model;
ALTER TABLE threads DROP COLUMN spec;
ALTER TABLE threads DROP COLUMN name;
ALTER TABLE threads DROP COLUMN agent_version;
ALTER TABLE threads DROP COLUMN agent_id;
ALTER TABLE threads DROP COLUMN kind;
ALTER TABLE session_snapshots DROP COLUMN team;
