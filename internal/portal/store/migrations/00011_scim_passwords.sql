-- A SCIM-managed account has no password: it ended when the account was adopted.

-- +goose Up
UPDATE accounts SET password_hash = '' WHERE managed_by = 'SCIM';
