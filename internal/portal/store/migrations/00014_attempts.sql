-- The budgets of attempts to sign in, shared by all replicas, and the browsers in which a user has signed in.
-- Down loses: the limits of attempts, and the browsers in which users have signed in.

-- +goose Up
CREATE TABLE attempt_budgets (
    key_sha256 TEXT PRIMARY KEY,
    full_at    BIGINT NOT NULL -- when all attempts are available again; from then on the row means nothing
);
CREATE INDEX attempt_budgets_full ON attempt_budgets (full_at);

CREATE TABLE known_browsers (
    token_sha256 TEXT   PRIMARY KEY,
    account_id   TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    seen_at      BIGINT NOT NULL
);
CREATE INDEX known_browsers_account ON known_browsers (account_id, seen_at);

-- +goose Down
DROP TABLE known_browsers;
DROP TABLE attempt_budgets;
