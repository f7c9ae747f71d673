-- Held and dropped removals, with the decision's id and the object for the decision.

-- +goose Up
ALTER TABLE accounts ADD COLUMN held_state TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN held_decision TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN held_at TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN held_state TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN held_decision TEXT NOT NULL DEFAULT '';
UPDATE accounts SET held_state = 'Held' WHERE held <> '';
UPDATE pools SET held_state = 'Held' WHERE held <> '';
