-- +goose Up

-- Which room terminal holds a back-up of which hearing, as its agent says, and what
-- became of it.
CREATE TABLE terminal_backup (
    device_id  TEXT NOT NULL,
    hearing_id TEXT NOT NULL,
    files      BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    since      BIGINT NOT NULL, -- seconds since 1970
    goes       BIGINT NOT NULL, -- by age, seconds since 1970
    seen_at    BIGINT NOT NULL, -- seconds since 1970
    ended      TEXT NOT NULL,   -- '': it is there; released, age, room, unknown
    PRIMARY KEY (device_id, hearing_id)
);
