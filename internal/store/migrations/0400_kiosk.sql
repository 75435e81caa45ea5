-- +goose Up

-- A visit at a kiosk, written once when it ends. What was read of the document
-- is inside sealed, under the case's records key; the portrait is not kept.
CREATE TABLE kiosk_visit (
    id             TEXT PRIMARY KEY,
    case_id        TEXT NOT NULL,
    hearing_id     TEXT NOT NULL,
    participant_id TEXT NOT NULL,
    kiosk_id       TEXT NOT NULL,
    result         TEXT NOT NULL,   -- join, desk or again
    assurance      TEXT NOT NULL,
    started_at     BIGINT NOT NULL, -- milliseconds
    ended_at       BIGINT NOT NULL,
    evidence       TEXT NOT NULL,   -- canonical JSON that the kiosk vouched for
    vouched        TEXT NOT NULL,   -- kuule-kiosk-visit+jws
    checks         TEXT NOT NULL,   -- canonical JSON: verdicts and salt, no personal content
    sealed         BYTEA NOT NULL   -- {zone}
);
CREATE INDEX kiosk_visit_participant ON kiosk_visit (participant_id, ended_at);
INSERT INTO append_only (table_name, frozen) VALUES ('kiosk_visit', '');

-- A join ticket. It is redeemed once, by compare-and-set on version.
CREATE TABLE kiosk_ticket (
    id             TEXT PRIMARY KEY,
    visit_id       TEXT NOT NULL UNIQUE REFERENCES kiosk_visit (id),
    hearing_id     TEXT NOT NULL,
    participant_id TEXT NOT NULL,
    seat_id        TEXT NOT NULL,
    role           TEXT NOT NULL,
    purpose        TEXT NOT NULL,
    device_id      TEXT NOT NULL,   -- the room terminal
    not_before     BIGINT NOT NULL, -- seconds since 1970, as in the signed text
    expires        BIGINT NOT NULL,
    until          BIGINT NOT NULL,
    signed         TEXT NOT NULL,   -- kuule-ticket+jws
    redeemed_at    BIGINT NOT NULL, -- seconds since 1970; 0: not yet
    version        BIGINT NOT NULL
);
CREATE INDEX kiosk_ticket_device ON kiosk_ticket (device_id, until);
INSERT INTO append_only (table_name, frozen)
VALUES ('kiosk_ticket', 'id, visit_id, hearing_id, participant_id, seat_id, role, purpose, device_id, not_before, expires, until, signed');
