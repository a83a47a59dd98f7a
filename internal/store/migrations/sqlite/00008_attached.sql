-- What a session has attached, may cost and works towards. Everything is added, nothing changed.

-- +goose Up
ALTER TABLE sessions ADD COLUMN resources TEXT; -- JSON: core.Resource
ALTER TABLE sessions ADD COLUMN budget TEXT;    -- JSON: core.Budget
ALTER TABLE sessions ADD COLUMN outcomes TEXT;  -- JSON: core.Outcome

-- +goose Down
ALTER TABLE sessions DROP COLUMN outcomes;
ALTER TABLE sessions DROP COLUMN budget;
ALTER TABLE sessions DROP COLUMN resources;
