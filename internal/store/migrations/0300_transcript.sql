-- +goose Up

-- One row per transcript: a draft until version 1 is sealed. Every change of
-- anything below passes through this row, so that changes have an order.
CREATE TABLE transcript (
    hearing_id TEXT PRIMARY KEY REFERENCES hearing (id),
    state      TEXT NOT NULL,   -- draft, sealed
    bytes      BIGINT NOT NULL, -- of the draft's current lines
    edits      BIGINT NOT NULL
);
INSERT INTO append_only (table_name, frozen) VALUES ('transcript', 'hearing_id');

-- Every version of every line. The current one is that of the highest version.
CREATE TABLE utterance (
    id         TEXT NOT NULL,
    version    BIGINT NOT NULL,
    hearing_id TEXT NOT NULL REFERENCES transcript (hearing_id),
    bytes      BIGINT NOT NULL,
    sealed     BYTEA NOT NULL,
    PRIMARY KEY (id, version)
);
CREATE INDEX utterance_hearing ON utterance (hearing_id, id, version);
INSERT INTO append_only (table_name, frozen) VALUES ('utterance', '');

-- Sealed versions: the signed record (ids and hashes) and its content.
CREATE TABLE transcript_record (
    id         TEXT PRIMARY KEY,
    hearing_id TEXT NOT NULL REFERENCES transcript (hearing_id),
    version    BIGINT NOT NULL,
    signed     TEXT NOT NULL,  -- kuule-record+jws
    sealed     BYTEA NOT NULL, -- canonical JSON
    at         BIGINT NOT NULL,
    UNIQUE (hearing_id, version)
);
INSERT INTO append_only (table_name, frozen) VALUES ('transcript_record', '');

CREATE TABLE record_delivery (
    record_id      TEXT NOT NULL REFERENCES transcript_record (id),
    participant_id TEXT NOT NULL REFERENCES participant (id),
    language       TEXT NOT NULL,
    rule           TEXT NOT NULL,
    at             BIGINT NOT NULL, -- seconds
    deadline       BIGINT NOT NULL, -- seconds, exclusive
    PRIMARY KEY (record_id, participant_id)
);
INSERT INTO append_only (table_name, frozen) VALUES ('record_delivery', '');

CREATE TABLE record_receipt (
    record_id      TEXT NOT NULL,
    participant_id TEXT NOT NULL,
    at             BIGINT NOT NULL,
    PRIMARY KEY (record_id, participant_id),
    FOREIGN KEY (record_id, participant_id) REFERENCES record_delivery (record_id, participant_id)
);
INSERT INTO append_only (table_name, frozen) VALUES ('record_receipt', '');

CREATE TABLE amendment (
    id         TEXT PRIMARY KEY,
    hearing_id TEXT NOT NULL REFERENCES transcript (hearing_id),
    record_id  TEXT NOT NULL REFERENCES transcript_record (id),
    number     BIGINT NOT NULL,
    sealed     BYTEA NOT NULL,
    at         BIGINT NOT NULL,
    late       BOOLEAN NOT NULL,
    UNIQUE (hearing_id, number)
);
INSERT INTO append_only (table_name, frozen) VALUES ('amendment', '');

CREATE TABLE amendment_reply (
    amendment_id TEXT PRIMARY KEY REFERENCES amendment (id),
    sealed       BYTEA NOT NULL,
    at           BIGINT NOT NULL
);
INSERT INTO append_only (table_name, frozen) VALUES ('amendment_reply', '');

-- Exactly one outcome per hearing: the primary key says so.
CREATE TABLE record_outcome (
    hearing_id TEXT PRIMARY KEY REFERENCES transcript (hearing_id),
    record_id  TEXT NOT NULL REFERENCES transcript_record (id),
    outcome    TEXT NOT NULL,
    sealed     BYTEA NOT NULL,
    at         BIGINT NOT NULL
);
INSERT INTO append_only (table_name, frozen) VALUES ('record_outcome', '');
