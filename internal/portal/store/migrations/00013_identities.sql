-- Which identity at the provider signs in as which user. It is bound at the first sign-in, or by the user's own link.
-- Down loses: which identity at the provider belongs to which user: it is bound again at the next sign-in.

-- +goose Up
CREATE TABLE identities (
    issuer     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    account_id TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    bound_at   BIGINT NOT NULL,
    refused_at BIGINT NOT NULL, -- when another identity last tried to sign in as this user; 0: never
    PRIMARY KEY (issuer, subject),
    UNIQUE (account_id, issuer)
);
CREATE INDEX accounts_external ON accounts (external_id);

-- +goose Down
DROP INDEX accounts_external;
DROP TABLE identities;
