-- Who owns a pool, by name too; whether its owner created it; and which memberships and roles of pools an owner granted. What
-- nobody's owner granted, the operator takes back as soon as it sees it.

-- +goose Up
ALTER TABLE accounts RENAME COLUMN owner_scim_id TO owner_name;
ALTER TABLE accounts RENAME COLUMN waiting_scim_id TO waiting_name;
ALTER TABLE pools ADD COLUMN owner_name TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN created_by_owner BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE pools ADD COLUMN handed_over BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE memberships ADD COLUMN granted BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE pool_roles ADD COLUMN granted BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE memberships SET granted = TRUE WHERE account_id IN (SELECT id FROM accounts WHERE owner_uid IS NOT NULL);
UPDATE pool_roles SET granted = TRUE WHERE pool_id IN (SELECT id FROM pools WHERE owner_uid IS NOT NULL);
