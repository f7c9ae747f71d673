-- Which groups fill a pool, as its owner wrote it last: JSON that the portal keeps for an owner that lost it.

-- +goose Up
ALTER TABLE pools ADD COLUMN pins TEXT NOT NULL DEFAULT '';
