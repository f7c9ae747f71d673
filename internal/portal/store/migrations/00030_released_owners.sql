-- The revision at which each user's account was released or went to another user. It stays when the account is deleted, and
-- contains no personal data: owner_name is the SCIM id. A newer write of the user removes the row.

-- +goose Up
CREATE TABLE released_owners (
    owner_name  TEXT PRIMARY KEY,
    revision    BIGINT NOT NULL,
    released_at BIGINT NOT NULL
);
