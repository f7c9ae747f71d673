-- The identity provider of a key with the scope scim.
-- Down loses: which provider a SCIM token is for.

-- +goose Up
ALTER TABLE api_keys ADD COLUMN provider_type TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN provider_name TEXT NOT NULL DEFAULT '';
UPDATE api_keys SET provider_type = (SELECT provider_type FROM identity_configuration) WHERE scope = 'scim';

-- +goose Down
ALTER TABLE api_keys DROP COLUMN provider_name;
ALTER TABLE api_keys DROP COLUMN provider_type;
