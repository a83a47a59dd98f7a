-- Webhooks, and what is sent to them. Everything is added, nothing changed.

-- +goose Up
CREATE TABLE webhooks (
    project_id    TEXT     NOT NULL REFERENCES projects (id),
    id            TEXT     NOT NULL,
    url           TEXT     NOT NULL,
    description   TEXT     NOT NULL,
    events        TEXT     NOT NULL, -- JSON: an array of strings
    off           TEXT     NOT NULL, -- core.WebhookOff; '' while it is on
    off_at        BIGINT   NOT NULL,
    seal_key      TEXT     NOT NULL,
    sealed        BLOB     NOT NULL,
    old_until     BIGINT   NOT NULL,
    failed        BIGINT   NOT NULL,
    failing_since BIGINT   NOT NULL,
    due_at        BIGINT   NOT NULL, -- the earliest of its deliveries; 0 if there is none, or while it is off
    created_at    BIGINT   NOT NULL,
    updated_at    BIGINT   NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX webhooks_by_age ON webhooks (project_id, created_at, id);
CREATE INDEX webhooks_on ON webhooks (project_id) WHERE off = '';
CREATE INDEX webhooks_due ON webhooks (due_at, project_id, id) WHERE due_at > 0;

-- webhook_id is no foreign key: a webhook with a long log is deleted at once, and its log in small steps.
CREATE TABLE webhook_deliveries (
    project_id TEXT   NOT NULL REFERENCES projects (id),
    id         TEXT   NOT NULL,
    webhook_id TEXT   NOT NULL,
    event_id   TEXT   NOT NULL,
    type       TEXT   NOT NULL,
    payload    TEXT   NOT NULL, -- as it is signed, to the byte
    state      TEXT   NOT NULL, -- core.DeliveryState
    due_at     BIGINT NOT NULL, -- 0 unless it is pending
    tries      BIGINT NOT NULL,
    attempts   TEXT   NOT NULL, -- JSON: core.Attempt
    created_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (project_id, webhook_id, created_at, id);
CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (project_id, webhook_id, state, created_at, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (project_id, webhook_id, due_at, id) WHERE due_at > 0;
CREATE INDEX webhook_deliveries_oldest ON webhook_deliveries (created_at, project_id, id);

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
