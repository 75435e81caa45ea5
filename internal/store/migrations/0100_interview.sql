-- +goose Up

-- A case: one applicant's matter. What speaks of a person (the diary number)
-- is inside sealed, under the case's records key.
CREATE TABLE interview_case (
    id         TEXT PRIMARY KEY,
    lodged     TEXT NOT NULL,   -- date, YYYY-MM-DD
    language   TEXT NOT NULL,   -- BCP 47
    sealed     BYTEA NOT NULL,  -- {diary}
    created_by TEXT NOT NULL,   -- subject of the interviewer
    created_at BIGINT NOT NULL  -- milliseconds
);
INSERT INTO append_only (table_name, frozen) VALUES ('interview_case', '');

-- A hearing. Justification, vulnerabilities and the names of participants are
-- inside sealed. Only the phase moves on, by compare-and-set on version.
CREATE TABLE hearing (
    id         TEXT PRIMARY KEY,
    case_id    TEXT NOT NULL REFERENCES interview_case (id),
    language   TEXT NOT NULL,
    mode       TEXT NOT NULL,
    opens_at   BIGINT NOT NULL,  -- the door's window, milliseconds
    closes_at  BIGINT NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    opened_at  BIGINT NOT NULL,  -- wall clock, microseconds; 0: not opened yet
    phase      TEXT NOT NULL,
    cause      TEXT NOT NULL,
    since_us   BIGINT NOT NULL,  -- hearing clock
    phase_seq  BIGINT NOT NULL,
    phase_by   TEXT NOT NULL,
    version    BIGINT NOT NULL
);
CREATE INDEX hearing_opens ON hearing (opens_at);
INSERT INTO append_only (table_name, frozen)
VALUES ('hearing', 'id, case_id, language, mode, opens_at, closes_at, sealed, created_at');

CREATE TABLE participant (
    id         TEXT PRIMARY KEY,
    hearing_id TEXT NOT NULL REFERENCES hearing (id),
    place      BIGINT NOT NULL,  -- order of the booking
    role       TEXT NOT NULL,
    subject    TEXT NOT NULL     -- of the sign-in; '' for who comes by ticket
);
CREATE INDEX participant_hearing ON participant (hearing_id, place);
CREATE INDEX participant_subject ON participant (subject);
INSERT INTO append_only (table_name, frozen) VALUES ('participant', '');

CREATE TABLE seat (
    id             TEXT PRIMARY KEY,
    hearing_id     TEXT NOT NULL REFERENCES hearing (id),
    participant_id TEXT NOT NULL UNIQUE REFERENCES participant (id),
    device_id      TEXT NOT NULL,
    premises_id    TEXT NOT NULL,
    agreement_id   TEXT NOT NULL, -- the agreement that covered it at booking
    place          TEXT NOT NULL  -- the premises' label, for people
);
CREATE INDEX seat_hearing ON seat (hearing_id);
CREATE INDEX seat_device ON seat (device_id);
INSERT INTO append_only (table_name, frozen) VALUES ('seat', '');

-- Every phase that a hearing went through.
CREATE TABLE hearing_phase (
    hearing_id TEXT NOT NULL REFERENCES hearing (id),
    seq        BIGINT NOT NULL,
    phase      TEXT NOT NULL,
    cause      TEXT NOT NULL,
    since_us   BIGINT NOT NULL,
    by_id      TEXT NOT NULL,   -- participant; '' when nobody asked
    sealed     BYTEA NOT NULL,  -- {reason}
    PRIMARY KEY (hearing_id, seq)
);
INSERT INTO append_only (table_name, frozen) VALUES ('hearing_phase', '');

-- Points where the hearing clock and other clocks were read together.
CREATE TABLE hearing_anchor (
    hearing_id TEXT NOT NULL REFERENCES hearing (id),
    seq        BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    at_us      BIGINT NOT NULL,  -- hearing clock
    wall_us    BIGINT NOT NULL,  -- Unix, microseconds
    mono_us    BIGINT NOT NULL,  -- since the process began
    epoch      BIGINT NOT NULL,  -- of the room's lease
    PRIMARY KEY (hearing_id, seq)
);
INSERT INTO append_only (table_name, frozen) VALUES ('hearing_anchor', '');
