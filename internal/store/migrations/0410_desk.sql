-- +goose Up

-- A person whom officers identify. The evidence is fixed when the first of them
-- begins; each then stands for it at a device of their own. What was written
-- about the person is inside sealed, under the case's records key.
CREATE TABLE desk_identification (
    visit_id       TEXT PRIMARY KEY,
    case_id        TEXT NOT NULL,
    hearing_id     TEXT NOT NULL,
    participant_id TEXT NOT NULL,
    method         TEXT NOT NULL,
    evidence       TEXT NOT NULL,   -- canonical JSON
    checks         TEXT NOT NULL,   -- canonical JSON
    sealed         BYTEA NOT NULL,  -- {note, name, reference}
    begun_at       BIGINT NOT NULL, -- milliseconds
    needed         BIGINT NOT NULL, -- officers
    ended_at       BIGINT NOT NULL, -- milliseconds; 0: waits for an officer
    version        BIGINT NOT NULL
);
CREATE INDEX desk_identification_waiting ON desk_identification (begun_at) WHERE ended_at = 0;
INSERT INTO append_only (table_name, frozen)
VALUES ('desk_identification', 'visit_id, case_id, hearing_id, participant_id, method, evidence, checks, sealed, begun_at, needed');

-- One officer's word for it.
CREATE TABLE desk_word (
    visit_id TEXT NOT NULL REFERENCES desk_identification (visit_id),
    officer  TEXT NOT NULL,   -- hash of issuer and subject
    device   TEXT NOT NULL,
    signed   TEXT NOT NULL,   -- kuule-identification+jws
    at       BIGINT NOT NULL, -- milliseconds
    PRIMARY KEY (visit_id, officer)
);
INSERT INTO append_only (table_name, frozen) VALUES ('desk_word', '');

-- Somebody at a kiosk asked for help. Nothing of the person is kept.
CREATE TABLE desk_call (
    id          TEXT PRIMARY KEY,
    kiosk_id    TEXT NOT NULL,
    place       TEXT NOT NULL,   -- the kiosk's premises, for people
    language    TEXT NOT NULL,   -- that the person chose
    step        TEXT NOT NULL,   -- what the screen showed
    raised_at   BIGINT NOT NULL, -- milliseconds
    answered_at BIGINT NOT NULL, -- 0: not yet
    answered_by TEXT NOT NULL,   -- hash of the officer; '' not yet
    version     BIGINT NOT NULL
);
CREATE INDEX desk_call_open ON desk_call (raised_at) WHERE answered_at = 0;
INSERT INTO append_only (table_name, frozen) VALUES ('desk_call', 'id, kiosk_id, place, language, step, raised_at');
