-- The operator's process that leads, and former leaders, whose late writes are refused.

-- +goose Up
ALTER TABLE identity_configuration ADD COLUMN leader TEXT NOT NULL DEFAULT '';
CREATE TABLE former_leaders (
    name        TEXT PRIMARY KEY,
    replaced_at BIGINT NOT NULL
);
