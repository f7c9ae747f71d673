-- SAML: the provider's metadata in place of its URL, and which attributes name the user. used_assertions has the assertions
-- that signed a user in, until they are too old for another sign-in.
-- Down loses: pasted SAML metadata, and the attributes that name the user.

-- +goose Up
ALTER TABLE identity_configuration ADD COLUMN sso_metadata TEXT NOT NULL DEFAULT '';
ALTER TABLE identity_configuration ADD COLUMN sso_id_attribute TEXT NOT NULL DEFAULT '';
ALTER TABLE identity_configuration ADD COLUMN sso_user_name_attribute TEXT NOT NULL DEFAULT '';
CREATE TABLE used_assertions (
    sha256     TEXT   PRIMARY KEY, -- of the issuer and the assertion's id
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_assertions_expiry ON used_assertions (expires_at);

-- +goose Down
DROP TABLE used_assertions;
ALTER TABLE identity_configuration DROP COLUMN sso_user_name_attribute;
ALTER TABLE identity_configuration DROP COLUMN sso_id_attribute;
ALTER TABLE identity_configuration DROP COLUMN sso_metadata;
