-- A SCIM-managed account has no password: it ended when the account was adopted.
-- Down loses: nothing; the passwords that the migration deleted do not come back.

-- +goose Up
UPDATE accounts SET password_hash = '' WHERE managed_by = 'SCIM';

-- +goose Down
SELECT 1;
