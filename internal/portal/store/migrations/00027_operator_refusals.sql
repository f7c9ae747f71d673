-- The page Provisioning searches the operator's refused writes, however many sign-ins were refused.
-- Down loses: nothing.

-- +goose Up
CREATE INDEX audit_events_operator_refused ON audit_events (id) WHERE code <> '' AND actor_kind = 'Operator';

-- +goose Down
DROP INDEX audit_events_operator_refused;
