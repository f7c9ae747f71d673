-- The audit names accounts by id; what names or describes a person is in audit_names, which an erasure clears. Each event has
-- a digest of its names, and a MAC over itself and the MAC of the event before, under a key that is not in the database.
-- Down loses: the names of people in the audit, and its chain: changes before now cannot be noticed any more.

-- +goose Up
ALTER TABLE audit_events ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_events ADD COLUMN names TEXT NOT NULL DEFAULT ''; -- JSON: account id, and the digest of its row in audit_names
ALTER TABLE audit_events ADD COLUMN mac TEXT NOT NULL DEFAULT ''; -- empty: the portal had no key
ALTER TABLE meta ADD COLUMN audit_mac TEXT NOT NULL DEFAULT ''; -- of the newest event that has one
CREATE TABLE audit_names (
    event_id   BIGINT NOT NULL,
    account_id TEXT   NOT NULL, -- empty: a user who has no account
    salt       TEXT   NOT NULL, -- so that the digest does not disclose an erased name
    body       TEXT   NOT NULL, -- JSON
    PRIMARY KEY (event_id, account_id)
);
CREATE INDEX audit_names_account ON audit_names (account_id, event_id);
CREATE INDEX audit_events_at ON audit_events (at, id);
CREATE INDEX audit_events_by ON audit_events (actor_id, id);
CREATE INDEX audit_events_cause ON audit_events (cause, id);

-- +goose Down
DROP INDEX audit_events_cause;
DROP INDEX audit_events_by;
DROP INDEX audit_events_at;
DROP TABLE audit_names;
ALTER TABLE meta DROP COLUMN audit_mac;
ALTER TABLE audit_events DROP COLUMN mac;
ALTER TABLE audit_events DROP COLUMN names;
ALTER TABLE audit_events DROP COLUMN cause;
