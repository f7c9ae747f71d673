-- Which groups fill a pool, as its owner wrote it last: JSON that the portal keeps for an owner that lost it.
-- Down loses: which groups fill a pool, so the pools wait for a decision.

-- +goose Up
ALTER TABLE pools ADD COLUMN pins TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE pools DROP COLUMN pins;
