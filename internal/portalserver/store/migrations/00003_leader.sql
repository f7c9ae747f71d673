-- Which process of the operator leads, and which led before: late writes of theirs are refused.

-- +goose Up
ALTER TABLE identity_configuration ADD COLUMN leader TEXT NOT NULL DEFAULT '';
CREATE TABLE former_leaders (
    name        TEXT PRIMARY KEY,
    replaced_at BIGINT NOT NULL
);
