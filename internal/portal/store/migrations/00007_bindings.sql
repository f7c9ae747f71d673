-- The id of each binding, which survives the operator: records name the binding under which they were written.
-- Down loses: the ids of the bindings, so a restored cluster does not find its records.

-- +goose Up
ALTER TABLE identity_configuration ADD COLUMN binding_id TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN owner_binding TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN owner_binding TEXT NOT NULL DEFAULT '';
CREATE TABLE bindings (
    id        TEXT PRIMARY KEY,
    cluster   TEXT NOT NULL, -- of the last operator with this binding
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    UNIQUE (cluster, namespace, name)
);

-- +goose Down
DROP TABLE bindings;
ALTER TABLE pools DROP COLUMN owner_binding;
ALTER TABLE accounts DROP COLUMN owner_binding;
ALTER TABLE identity_configuration DROP COLUMN binding_id;
