-- +goose Up

-- A waiting number. It names nobody: a person holds it, and a screen calls it.
CREATE TABLE queue_number (
    id        TEXT PRIMARY KEY,
    day       TEXT NOT NULL,   -- YYYY-MM-DD, as people here count days
    letter    TEXT NOT NULL,   -- of the queue that gave it
    number    BIGINT NOT NULL, -- from 1, each day and letter
    queue     TEXT NOT NULL,   -- in which it waits
    for_desk  TEXT NOT NULL,   -- handed to this desk alone; '' any
    matter    TEXT NOT NULL,
    language  TEXT NOT NULL,   -- that the person chose
    kiosk_id  TEXT NOT NULL,
    draw      TEXT NOT NULL,   -- the kiosk's name of the request: asked again, it is the same number
    drawn_at  BIGINT NOT NULL, -- milliseconds
    first_at  BIGINT NOT NULL, -- first called; 0: not yet
    called_at BIGINT NOT NULL, -- called last; 0: it waits
    calls     BIGINT NOT NULL,
    desk      TEXT NOT NULL,   -- that called it
    officer   TEXT NOT NULL,   -- hash of who called it
    handed    BIGINT NOT NULL, -- times that it went on to another desk
    ended_at  BIGINT NOT NULL, -- 0: not yet
    outcome   TEXT NOT NULL,   -- done, absent; '' not yet
    version   BIGINT NOT NULL,
    UNIQUE (day, letter, number),
    UNIQUE (kiosk_id, draw)
);
CREATE INDEX queue_number_open ON queue_number (day, queue) WHERE ended_at = 0;
CREATE INDEX queue_number_ended ON queue_number (queue, ended_at);
INSERT INTO append_only (table_name, frozen) VALUES ('queue_number', 'id, day, letter, number, matter, language, kiosk_id, draw, drawn_at');

-- Calls for help ring in a queue that has a name; whoever has it open is there to
-- hear them.
ALTER TABLE desk_call ADD COLUMN queue TEXT NOT NULL DEFAULT '';
CREATE TABLE desk_watch (
    queue   TEXT NOT NULL,
    officer TEXT NOT NULL,   -- hash
    seen_at BIGINT NOT NULL, -- milliseconds
    PRIMARY KEY (queue, officer)
);
