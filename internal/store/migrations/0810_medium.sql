-- +goose Up

-- A sealed medium that was made of a hearing's recording, and who received it.
-- The receiver's name is inside sealed, under the case's records key.
CREATE TABLE medium (
    id         TEXT PRIMARY KEY, -- SHA-256 of the sealed file, in hex
    case_id    TEXT NOT NULL,
    hearing_id TEXT NOT NULL,
    viewing_id TEXT NOT NULL REFERENCES viewing (id),
    form       TEXT NOT NULL,    -- sealed or open
    made_at    BIGINT NOT NULL,  -- seconds since 1970
    handed_on  TEXT NOT NULL,    -- YYYY-MM-DD, or '': not yet
    sealed     BYTEA NOT NULL,   -- {intended, receiver}
    version    BIGINT NOT NULL
);
CREATE INDEX medium_viewing ON medium (viewing_id, made_at);
