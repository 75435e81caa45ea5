-- +goose Up

-- The steps of a visit: the way it took, where the kiosk stands, the rules by
-- which it was judged, the kiosk's own journal (for whose hash it vouches) and
-- the bridge's account with verdicts and times. None holds personal content.
ALTER TABLE kiosk_visit ADD COLUMN role TEXT NOT NULL DEFAULT '';
ALTER TABLE kiosk_visit ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
ALTER TABLE kiosk_visit ADD COLUMN route TEXT NOT NULL DEFAULT 'document';
ALTER TABLE kiosk_visit ADD COLUMN site TEXT NOT NULL DEFAULT '';
ALTER TABLE kiosk_visit ADD COLUMN policy TEXT NOT NULL DEFAULT '';
ALTER TABLE kiosk_visit ADD COLUMN journal TEXT NOT NULL DEFAULT '';
ALTER TABLE kiosk_visit ADD COLUMN steps TEXT NOT NULL DEFAULT '';
CREATE INDEX kiosk_visit_case ON kiosk_visit (case_id, ended_at);
CREATE INDEX kiosk_visit_ended ON kiosk_visit (ended_at);

-- What a service is about: a photograph and a signature for a card, papers for
-- the case. Pictures that were compared are not here, nor anywhere.
CREATE TABLE kiosk_piece (
    visit_id TEXT NOT NULL REFERENCES kiosk_visit (id),
    n        BIGINT NOT NULL,
    case_id  TEXT NOT NULL,
    step     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    sha256   TEXT NOT NULL,  -- of the bytes, as in the journal
    sealed   BYTEA NOT NULL, -- {kind, format, bytes}
    PRIMARY KEY (visit_id, n)
);
INSERT INTO append_only (table_name, frozen) VALUES ('kiosk_piece', '');

-- A kiosk's visit in the hands of the desk. The code that the person carries is
-- here as its hash; it is used once, by compare-and-set on version.
CREATE TABLE kiosk_handover (
    code_hash  TEXT PRIMARY KEY,
    visit_id   TEXT NOT NULL UNIQUE REFERENCES kiosk_visit (id),
    expires_at BIGINT NOT NULL, -- milliseconds
    used_at    BIGINT NOT NULL, -- 0: not yet
    used_by    TEXT NOT NULL,   -- hash of the officer; '' not yet
    version    BIGINT NOT NULL
);
INSERT INTO append_only (table_name, frozen) VALUES ('kiosk_handover', 'code_hash, visit_id, expires_at');

-- Something about a kiosk that staff should see to. Nothing of a person.
CREATE TABLE kiosk_notice (
    id        TEXT PRIMARY KEY,
    kiosk_id  TEXT NOT NULL,
    place     TEXT NOT NULL,   -- the kiosk's premises, for people
    part      TEXT NOT NULL,
    code      TEXT NOT NULL,
    raised_at BIGINT NOT NULL, -- milliseconds
    times     BIGINT NOT NULL, -- while nobody saw to it
    seen_at   BIGINT NOT NULL, -- 0: not yet
    seen_by   TEXT NOT NULL    -- hash of the officer; '' not yet
);
CREATE INDEX kiosk_notice_open ON kiosk_notice (kiosk_id, part, code) WHERE seen_at = 0;
INSERT INTO append_only (table_name, frozen) VALUES ('kiosk_notice', 'id, kiosk_id, place, part, code, raised_at');

-- The identification at a desk that goes on from a kiosk's visit.
ALTER TABLE desk_identification ADD COLUMN from_visit TEXT NOT NULL DEFAULT '';
