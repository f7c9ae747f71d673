-- Links with which a local user sets a new password. An account has one at most. It ends with the account's epoch.
-- Down loses: open password reset links.

-- +goose Up
CREATE TABLE password_resets (
    token_sha256 TEXT   PRIMARY KEY,
    account_id   TEXT   NOT NULL UNIQUE REFERENCES accounts (id) ON DELETE CASCADE,
    epoch        BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);

-- +goose Down
DROP TABLE password_resets;
