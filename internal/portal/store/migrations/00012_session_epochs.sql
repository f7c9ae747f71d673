-- A session has the epochs of its account and of single sign-on from when it began. A change of who may sign in raises an
-- epoch, which ends the older sessions.

-- +goose Up
DELETE FROM sessions;
ALTER TABLE accounts ADD COLUMN session_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE identity_configuration ADD COLUMN sso_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN sso_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN last_seen_at BIGINT NOT NULL DEFAULT 0;
