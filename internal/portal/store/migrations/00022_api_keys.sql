-- Who made an API key, so that it ends when that person leaves, and how keys follow each other in a rotation.
-- Down loses: who made an API key: keys of users who left would work again, so they are deleted.

-- +goose Up
ALTER TABLE api_keys ADD COLUMN created_by_id TEXT NOT NULL DEFAULT ''; -- the account of the person who made it, also through another key
ALTER TABLE api_keys ADD COLUMN ended_at BIGINT NOT NULL DEFAULT 0; -- from then on it is refused, because that person left; 0: not ended
ALTER TABLE api_keys ADD COLUMN rotate_since BIGINT NOT NULL DEFAULT 0; -- that person left then and may know the secret; 0: not
ALTER TABLE api_keys ADD COLUMN replaced_by TEXT NOT NULL DEFAULT ''; -- the id of the key that a rotation made for it
CREATE INDEX api_keys_created_by ON api_keys (created_by_id);
UPDATE api_keys SET created_by_id = COALESCE((SELECT e.actor_id FROM audit_events e
    WHERE e.target_id = api_keys.id AND e.action = 'api-key.create' AND e.code = '' AND e.actor_kind = 'Person' ORDER BY e.id LIMIT 1), '');

-- +goose Down
DELETE FROM api_keys WHERE ended_at <> 0;
DROP INDEX api_keys_created_by;
ALTER TABLE api_keys DROP COLUMN replaced_by;
ALTER TABLE api_keys DROP COLUMN rotate_since;
ALTER TABLE api_keys DROP COLUMN ended_at;
ALTER TABLE api_keys DROP COLUMN created_by_id;
