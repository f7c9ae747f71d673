-- The plan of the migration of local accounts, as the operator computed it, and the one that a manager approved.
-- Down loses: the plan of the migration of local users, and its approval.

-- +goose Up
CREATE TABLE migration_plan_lines (
    plan_id      TEXT    NOT NULL,
    account_id   TEXT    NOT NULL,
    position     BIGINT  NOT NULL,
    outcome      TEXT    NOT NULL,
    becomes      TEXT    NOT NULL, -- the new status; empty: unchanged
    loses        BOOLEAN NOT NULL, -- a role or a pool
    loses_manager BOOLEAN NOT NULL,
    line         TEXT    NOT NULL, -- JSON
    PRIMARY KEY (plan_id, account_id)
);
CREATE INDEX migration_plan_order ON migration_plan_lines (plan_id, position);
ALTER TABLE identity_configuration ADD COLUMN plan_request BIGINT NOT NULL DEFAULT 0; -- grows with each request for a plan
ALTER TABLE identity_configuration ADD COLUMN plan_id TEXT NOT NULL DEFAULT ''; -- the newest whole plan
ALTER TABLE identity_configuration ADD COLUMN plan_answers BIGINT NOT NULL DEFAULT 0; -- the request that it answers
ALTER TABLE identity_configuration ADD COLUMN plan_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE identity_configuration ADD COLUMN approved_plan TEXT NOT NULL DEFAULT ''; -- empty: no plan limits the migration

-- +goose Down
ALTER TABLE identity_configuration DROP COLUMN approved_plan;
ALTER TABLE identity_configuration DROP COLUMN plan_at;
ALTER TABLE identity_configuration DROP COLUMN plan_answers;
ALTER TABLE identity_configuration DROP COLUMN plan_id;
ALTER TABLE identity_configuration DROP COLUMN plan_request;
DROP TABLE migration_plan_lines;
