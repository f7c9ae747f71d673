-- The removals that the operator's deprovisioning guard holds, so that the pages can show them.
-- Down loses: the held removals of users.

-- +goose Up
ALTER TABLE accounts ADD COLUMN held TEXT NOT NULL DEFAULT '';
CREATE INDEX accounts_held ON accounts (user_name_folded) WHERE held <> '';

-- +goose Down
DROP INDEX accounts_held;
ALTER TABLE accounts DROP COLUMN held;
