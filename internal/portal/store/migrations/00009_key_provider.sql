-- The identity provider of a key with the scope scim.

-- +goose Up
ALTER TABLE api_keys ADD COLUMN provider_type TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN provider_name TEXT NOT NULL DEFAULT '';
UPDATE api_keys SET provider_type = (SELECT provider_type FROM identity_configuration) WHERE scope = 'scim';
