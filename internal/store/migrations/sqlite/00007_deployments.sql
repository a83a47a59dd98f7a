-- Deployments, and what became of each of their starts. Everything is added, nothing changed.

-- +goose Up

-- environment_id is no foreign key: an environment may be deleted, and the next run says that it is gone.
CREATE TABLE deployments (
    project_id     TEXT   NOT NULL REFERENCES projects (id),
    id             TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    description    TEXT   NOT NULL,
    agent_id       TEXT   NOT NULL,
    agent_version  BIGINT NOT NULL,
    environment_id TEXT   NOT NULL,
    events         TEXT   NOT NULL, -- JSON: core.InitialEvent
    vault_ids      TEXT,            -- JSON: an array of strings
    env_vars       TEXT,            -- JSON: an object of strings
    env_text       TEXT   NOT NULL,
    metadata       TEXT   NOT NULL, -- JSON: an object of strings
    cron           TEXT   NOT NULL, -- '' without a schedule
    timezone       TEXT   NOT NULL,
    pause          TEXT   NOT NULL, -- '' while active
    due_at         BIGINT NOT NULL,
    next_run_at    BIGINT NOT NULL, -- 0 unless the schedule is to fire
    last_run_at    BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    archived_at    BIGINT NOT NULL,
    PRIMARY KEY (project_id, id),
    FOREIGN KEY (project_id, agent_id) REFERENCES agents (project_id, id)
);
CREATE INDEX deployments_by_age ON deployments (project_id, created_at, id);
CREATE INDEX deployments_by_agent ON deployments (project_id, agent_id, created_at, id);
CREATE INDEX deployments_due ON deployments (next_run_at, project_id, id) WHERE next_run_at > 0;

-- session_id is no foreign key: a run outlives its session.
CREATE TABLE deployment_runs (
    project_id    TEXT   NOT NULL,
    id            TEXT   NOT NULL,
    deployment_id TEXT   NOT NULL,
    agent_id      TEXT   NOT NULL,
    agent_version BIGINT NOT NULL,
    session_id    TEXT   NOT NULL, -- '' if it failed
    error_type    TEXT   NOT NULL, -- '' if it came off
    error_message TEXT   NOT NULL,
    trigger_type  TEXT   NOT NULL,
    scheduled_at  BIGINT NOT NULL, -- 0 unless the schedule started it
    created_at    BIGINT NOT NULL,
    PRIMARY KEY (project_id, id),
    FOREIGN KEY (project_id, deployment_id) REFERENCES deployments (project_id, id)
);
CREATE INDEX deployment_runs_by_age ON deployment_runs (project_id, created_at, id);
CREATE INDEX deployment_runs_by_deployment ON deployment_runs (project_id, deployment_id, created_at, id);
-- Whatever else goes wrong, a moment of a schedule has one run.
CREATE UNIQUE INDEX deployment_runs_once ON deployment_runs (project_id, deployment_id, scheduled_at) WHERE scheduled_at > 0;

-- NULL for a session that no deployment made.
ALTER TABLE sessions ADD COLUMN deployment_id TEXT;
CREATE INDEX sessions_by_deployment ON sessions (project_id, deployment_id, created_at, id) WHERE deployment_id IS NOT NULL;

-- +goose Down
DROP INDEX sessions_by_deployment;
ALTER TABLE sessions DROP COLUMN deployment_id;
DROP TABLE deployment_runs;
DROP TABLE deployments;
