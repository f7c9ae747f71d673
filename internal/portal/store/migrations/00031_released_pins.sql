-- What the lines of an AgentPool meant when its pool was deleted or released, or went to another AgentPool. owner_name is the name
-- of the AgentPool; pins has a digest in place of each line. The next pool of an AgentPool with the name removes the row.
-- Down loses: what the lines of deleted pools meant, so a pool of managers that is applied again can mean other users.

-- +goose Up
CREATE TABLE released_pins (
    owner_name  TEXT PRIMARY KEY,
    pins        TEXT NOT NULL,
    released_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE released_pins;
