-- The page of the login methods counts these accounts at each view.

-- +goose Up
CREATE INDEX accounts_to_migrate ON accounts (managed_by, waiting_uid) WHERE waiting_uid <> '';
CREATE INDEX accounts_migrated ON accounts (managed_by, migrated) WHERE migrated;
