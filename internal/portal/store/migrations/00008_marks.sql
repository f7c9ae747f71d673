-- Held and dropped removals, with the decision's id and the object for the decision.
-- Down loses: which removals were dropped, and the ids of the decisions.

-- +goose Up
ALTER TABLE accounts ADD COLUMN held_state TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN held_decision TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN held_at TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN held_state TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN held_decision TEXT NOT NULL DEFAULT '';
UPDATE accounts SET held_state = 'Held' WHERE held <> '';
UPDATE pools SET held_state = 'Held' WHERE held <> '';

-- +goose Down
ALTER TABLE pools DROP COLUMN held_decision;
ALTER TABLE pools DROP COLUMN held_state;
ALTER TABLE accounts DROP COLUMN held_at;
ALTER TABLE accounts DROP COLUMN held_decision;
ALTER TABLE accounts DROP COLUMN held_state;
