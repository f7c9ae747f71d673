-- What the pages search and sort by. The words of an account's names are in hexadecimal, so that "starts with" is a range
-- in every collation. The program fills the table for accounts that exist already.
-- Down loses: nothing.

-- +goose Up
CREATE TABLE account_words (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    word       TEXT NOT NULL,
    PRIMARY KEY (account_id, word)
);
CREATE INDEX account_words_word ON account_words (word, account_id);
ALTER TABLE meta ADD COLUMN words_filled BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX accounts_status ON accounts (status);
CREATE INDEX accounts_seen ON accounts (last_sign_in_at, id);
CREATE INDEX audit_events_refused ON audit_events (id) WHERE code <> '';

-- +goose Down
DROP INDEX audit_events_refused;
DROP INDEX accounts_seen;
DROP INDEX accounts_status;
ALTER TABLE meta DROP COLUMN words_filled;
DROP TABLE account_words;
