-- The operator's process that leads, and former leaders, whose late writes are refused.
-- Down loses: which process of the operator leads, so late writes of former leaders are accepted.

-- +goose Up
ALTER TABLE identity_configuration ADD COLUMN leader TEXT NOT NULL DEFAULT '';
CREATE TABLE former_leaders (
    name        TEXT PRIMARY KEY,
    replaced_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE former_leaders;
ALTER TABLE identity_configuration DROP COLUMN leader;
