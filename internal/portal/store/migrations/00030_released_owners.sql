-- The revision at which each user's account was released or went to another user. It stays when the account is deleted, and
-- contains no personal data: owner_name is the SCIM id. A newer write of the user removes the row.
-- Down loses: which users were released, so an old backup of the cluster can bring them back.

-- +goose Up
CREATE TABLE released_owners (
    owner_name  TEXT PRIMARY KEY,
    revision    BIGINT NOT NULL,
    released_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE released_owners;
