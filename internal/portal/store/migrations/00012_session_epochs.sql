-- A session has the epochs of its account and of single sign-on from when it began. A change of who may sign in raises an
-- epoch, which ends the older sessions.
-- Down loses: all sessions.

-- +goose Up
DELETE FROM sessions;
ALTER TABLE accounts ADD COLUMN session_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE identity_configuration ADD COLUMN sso_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN sso_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN last_seen_at BIGINT NOT NULL DEFAULT 0;

-- +goose Down
DELETE FROM sessions;
ALTER TABLE sessions DROP COLUMN last_seen_at;
ALTER TABLE sessions DROP COLUMN sso_epoch;
ALTER TABLE sessions DROP COLUMN epoch;
ALTER TABLE identity_configuration DROP COLUMN sso_epoch;
ALTER TABLE accounts DROP COLUMN session_epoch;
