-- What the sessions of a deployment may cost. Everything is added, nothing changed.

-- +goose Up
ALTER TABLE deployments ADD COLUMN budget TEXT; -- JSON: core.Budget

-- +goose Down
ALTER TABLE deployments DROP COLUMN budget;
