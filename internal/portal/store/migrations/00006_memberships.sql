-- The memberships that the operator removed, and when, for the guard's budget of each pool.
-- Down loses: the removals from pools that the deprovisioning guard counts.

-- +goose Up
CREATE TABLE audit_pool_removals (
    event_id   BIGINT NOT NULL,
    pool_id    TEXT   NOT NULL,
    account_id TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (event_id, pool_id, account_id)
);
CREATE INDEX audit_pool_removals_at ON audit_pool_removals (at, pool_id, account_id);

-- +goose Down
DROP TABLE audit_pool_removals;
