-- The held change of a pool, and the object for the decision.

-- +goose Up
ALTER TABLE pools ADD COLUMN held TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN held_at TEXT NOT NULL DEFAULT '';
