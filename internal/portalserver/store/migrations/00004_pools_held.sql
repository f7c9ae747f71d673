-- What the deprovisioning guard holds back about a pool, and where a person decides about it.

-- +goose Up
ALTER TABLE pools ADD COLUMN held TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN held_at TEXT NOT NULL DEFAULT '';
