-- The removals that the operator's deprovisioning guard holds, so that the pages can show them.

-- +goose Up
ALTER TABLE accounts ADD COLUMN held TEXT NOT NULL DEFAULT '';
CREATE INDEX accounts_held ON accounts (user_name_folded) WHERE held <> '';
