-- +goose Up

-- A search of the register for duplicates, one for a visit at most. The probes
-- are never here. What the register answered is inside sealed, under the case's
-- records key: a candidate is another person.
CREATE TABLE kiosk_duplicate (
    visit_id       TEXT PRIMARY KEY,
    case_id        TEXT NOT NULL,
    participant_id TEXT NOT NULL,
    submitted_at   BIGINT NOT NULL, -- milliseconds
    probes         TEXT NOT NULL,   -- SHA-256 by which the result names them; '' until they are made
    state          TEXT NOT NULL,   -- waiting, running, clear, hits, lost
    reason         TEXT NOT NULL,   -- why it was lost
    ended_at       BIGINT NOT NULL, -- 0: not yet
    sealed         BYTEA,           -- {result, note}
    settlement     TEXT NOT NULL,   -- '' until an officer settles it
    settled_by     TEXT NOT NULL,   -- hash of the officer
    settled_at     BIGINT NOT NULL,
    version        BIGINT NOT NULL
);
CREATE INDEX kiosk_duplicate_open ON kiosk_duplicate (ended_at) WHERE settled_at = 0;
INSERT INTO append_only (table_name, frozen)
VALUES ('kiosk_duplicate', 'visit_id, case_id, participant_id, submitted_at');
