-- The keys with which agents join a pool: at most one is active, and the one before it works until a date.
-- Down loses: the keys of all agent pools: agents need new ones.

-- +goose Up
CREATE TABLE pool_keys (
    id           TEXT   PRIMARY KEY,
    pool_id      TEXT   NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    sha256       TEXT   NOT NULL UNIQUE,
    hint         TEXT   NOT NULL, -- the last characters of the secret
    ends_at      BIGINT NOT NULL, -- 0: the key is active; otherwise it is deprecated and works until then
    created_at   BIGINT NOT NULL,
    created_by   TEXT   NOT NULL,
    last_used_at BIGINT NOT NULL
);
CREATE INDEX pool_keys_pool ON pool_keys (pool_id);

-- +goose Down
DROP TABLE pool_keys;
