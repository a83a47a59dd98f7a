-- How often a memory store changed, and which versions of memories may go. Everything is added.

-- +goose Up
ALTER TABLE memory_stores ADD COLUMN changes BIGINT NOT NULL DEFAULT 0; -- memories written or deleted so far

-- 1: its memory has ten newer versions (core.SpareVersions)
ALTER TABLE memory_versions ADD COLUMN spare SMALLINT NOT NULL DEFAULT 0;
CREATE INDEX memory_versions_by_number ON memory_versions (project_id, store_id, memory_id, number);
UPDATE memory_versions SET spare = 1 WHERE number <= (
    SELECT MAX(n.number) FROM memory_versions n
    WHERE n.project_id = memory_versions.project_id AND n.store_id = memory_versions.store_id AND n.memory_id = memory_versions.memory_id
) - 10;
CREATE INDEX memory_versions_spare ON memory_versions (created_at) WHERE spare = 1;

-- +goose Down
DROP INDEX memory_versions_spare;
DROP INDEX memory_versions_by_number;
ALTER TABLE memory_versions DROP COLUMN spare;
ALTER TABLE memory_stores DROP COLUMN changes;
