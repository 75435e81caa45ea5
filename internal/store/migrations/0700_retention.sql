-- +goose Up

-- What moves a case's clocks (interview/retention). No personal content.
CREATE TABLE retention_event (
    id         TEXT PRIMARY KEY,
    case_id    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    matter     TEXT NOT NULL,  -- '' is the case's first matter
    on_date    TEXT NOT NULL,  -- YYYY-MM-DD
    by_id      TEXT NOT NULL,  -- subject of the sign-in
    created_at BIGINT NOT NULL -- milliseconds
);
CREATE INDEX retention_event_case ON retention_event (case_id, on_date);
INSERT INTO append_only (table_name, frozen) VALUES ('retention_event', '');

-- Legal holds. Lifting writes once.
CREATE TABLE retention_hold (
    id         TEXT PRIMARY KEY,
    case_id    TEXT NOT NULL,
    ground     TEXT NOT NULL,
    placed_by  TEXT NOT NULL,
    placed_at  BIGINT NOT NULL,
    lifted_by  TEXT NOT NULL,  -- '' while it lies
    lifted_at  BIGINT NOT NULL,
    version    BIGINT NOT NULL
);
CREATE INDEX retention_hold_case ON retention_hold (case_id, placed_at);
INSERT INTO append_only (table_name, frozen)
VALUES ('retention_hold', 'id, case_id, ground, placed_by, placed_at');

-- Longer periods: asked for by one person, approved by another.
CREATE TABLE retention_extension (
    id          TEXT PRIMARY KEY,
    case_id     TEXT NOT NULL,
    until_date  TEXT NOT NULL,  -- YYYY-MM-DD
    asked_by    TEXT NOT NULL,
    asked_at    BIGINT NOT NULL,
    approved_by TEXT NOT NULL,  -- '' until somebody else has
    approved_at BIGINT NOT NULL,
    version     BIGINT NOT NULL
);
CREATE INDEX retention_extension_case ON retention_extension (case_id, asked_at);
INSERT INTO append_only (table_name, frozen)
VALUES ('retention_extension', 'id, case_id, until_date, asked_by, asked_at');

-- Marks of secrecy with their grounds; the newest of a hearing counts.
CREATE TABLE secrecy_mark (
    id         TEXT PRIMARY KEY,
    hearing_id TEXT NOT NULL,
    mark       TEXT NOT NULL,  -- interview/retention.Mark
    by_id      TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX secrecy_mark_hearing ON secrecy_mark (hearing_id, created_at);
INSERT INTO append_only (table_name, frozen) VALUES ('secrecy_mark', '');

-- Notes that may have to go alone: each is sealed under a key of its own.
CREATE TABLE retention_note (
    id         TEXT PRIMARY KEY,
    case_id    TEXT NOT NULL,
    hearing_id TEXT NOT NULL,
    class      TEXT NOT NULL,   -- special or observation
    sealed     TEXT NOT NULL,   -- wrapped by the keyring
    by_id      TEXT NOT NULL,
    noted_on   TEXT NOT NULL,   -- YYYY-MM-DD
    needless   TEXT NOT NULL,   -- YYYY-MM-DD; '' while it is needed
    version    BIGINT NOT NULL
);
CREATE INDEX retention_note_hearing ON retention_note (hearing_id, id);
INSERT INTO append_only (table_name, frozen)
VALUES ('retention_note', 'id, case_id, hearing_id, class, sealed, by_id, noted_on');

-- Orders of erasure that wait for a second person, or were carried out.
CREATE TABLE erasure_order (
    id         TEXT PRIMARY KEY,
    case_id    TEXT NOT NULL,
    hearing_id TEXT NOT NULL,
    message    TEXT NOT NULL,   -- kuule-erasure-order+jws
    sealed     BYTEA NOT NULL,  -- {purpose}, under the case's records key
    asked_by   TEXT NOT NULL,
    asked_at   BIGINT NOT NULL,
    expires    BIGINT NOT NULL  -- seconds
);
INSERT INTO append_only (table_name, frozen) VALUES ('erasure_order', '');

-- What was erased: authority's proof, one row per key.
CREATE TABLE tombstone (
    subject   TEXT NOT NULL,   -- case or note
    kind      TEXT NOT NULL,   -- of the key
    message   TEXT NOT NULL,   -- kuule-erasure+jws
    erased_at BIGINT NOT NULL, -- seconds
    PRIMARY KEY (subject, kind)
);
INSERT INTO append_only (table_name, frozen) VALUES ('tombstone', '');
