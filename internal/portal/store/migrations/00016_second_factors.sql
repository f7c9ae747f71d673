-- Second factors of users with a password: a TOTP secret (RFC 6238), and codes for when its device is lost.
-- Down loses: all second factors and recovery codes: users sign in with the password alone.

-- +goose Up
CREATE TABLE second_factors (
    account_id   TEXT   PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    secret       TEXT   NOT NULL,
    last_step    BIGINT NOT NULL, -- of the last accepted code; codes of it and of earlier steps are refused
    confirmed_at BIGINT NOT NULL
);

CREATE TABLE recovery_codes (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    sha256     TEXT NOT NULL,
    PRIMARY KEY (account_id, sha256)
);

-- Sign-ins with a right password that wait for the code.
CREATE TABLE pending_sign_ins (
    token_sha256 TEXT   PRIMARY KEY,
    account_id   TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    epoch        BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX pending_sign_ins_expiry ON pending_sign_ins (expires_at);

-- +goose Down
DROP TABLE pending_sign_ins;
DROP TABLE recovery_codes;
DROP TABLE second_factors;
