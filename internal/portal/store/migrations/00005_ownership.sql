-- The name of a pool's owner; whether the owner created the pool; and the memberships and roles that an owner granted.
-- The operator removes memberships and roles without a grant as soon as it sees them.
-- Down loses: the names of the pools' owners, which pools were handed over, and which memberships and roles an owner granted.

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

-- +goose Down
ALTER TABLE pool_roles DROP COLUMN granted;
ALTER TABLE memberships DROP COLUMN granted;
ALTER TABLE pools DROP COLUMN handed_over;
ALTER TABLE pools DROP COLUMN created_by_owner;
ALTER TABLE pools DROP COLUMN owner_name;
ALTER TABLE accounts RENAME COLUMN waiting_name TO waiting_scim_id;
ALTER TABLE accounts RENAME COLUMN owner_name TO owner_scim_id;
