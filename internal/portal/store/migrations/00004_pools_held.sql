-- The held change of a pool, and the object for the decision.
-- Down loses: the held changes of pools.

-- +goose Up
ALTER TABLE pools ADD COLUMN held TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN held_at TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE pools DROP COLUMN held_at;
ALTER TABLE pools DROP COLUMN held;
