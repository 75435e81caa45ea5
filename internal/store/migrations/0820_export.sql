-- +goose Up

-- A copy of a recording that left a viewing: which, to where, and whether all
-- of it was given out.
CREATE TABLE viewing_export (
    id         TEXT PRIMARY KEY,
    viewing_id TEXT NOT NULL REFERENCES viewing (id),
    hearing_id TEXT NOT NULL,
    form       TEXT NOT NULL,
    lane       BIGINT NOT NULL,
    place      TEXT NOT NULL,    -- page or console
    sealed     BOOLEAN NOT NULL,
    begun_at   BIGINT NOT NULL,  -- seconds since 1970
    ended_at   BIGINT NOT NULL,  -- 0: it did not end in order
    bytes      BIGINT NOT NULL,
    sha256     TEXT NOT NULL     -- hex; '' while not all of it was given out
);
CREATE INDEX viewing_export_viewing ON viewing_export (viewing_id, begun_at);
