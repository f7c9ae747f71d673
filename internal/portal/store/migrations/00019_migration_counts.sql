-- The page of the login methods counts these accounts at each view.
-- Down loses: nothing.

-- +goose Up
CREATE INDEX accounts_to_migrate ON accounts (managed_by, waiting_uid) WHERE waiting_uid <> '';
CREATE INDEX accounts_migrated ON accounts (managed_by, migrated) WHERE migrated;

-- +goose Down
DROP INDEX accounts_migrated;
DROP INDEX accounts_to_migrate;
