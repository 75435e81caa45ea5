-- +goose Up

-- A viewing of a hearing's recordings: who asked, who allowed it, until when.
-- Persons are named by hashes; names and purpose are inside sealed, under the
-- case's records key.
CREATE TABLE viewing (
    id         TEXT PRIMARY KEY,
    case_id    TEXT NOT NULL,
    hearing_id TEXT NOT NULL,
    asker      TEXT NOT NULL,   -- hash of the person
    approver   TEXT NOT NULL,   -- hash of the person, or '' where none is needed
    state      TEXT NOT NULL,   -- asked, allowed or declined
    created_at BIGINT NOT NULL, -- seconds since 1970
    decided_at BIGINT NOT NULL, -- 0: not yet
    expires    BIGINT NOT NULL,
    approval   TEXT NOT NULL,   -- kuule-approval+jws, or ''
    sealed     BYTEA NOT NULL,  -- {purpose, asker, approver, reason}
    version    BIGINT NOT NULL
);
CREATE INDEX viewing_hearing ON viewing (hearing_id, created_at);
CREATE INDEX viewing_asker ON viewing (asker, created_at);
CREATE INDEX viewing_approver ON viewing (approver, created_at);

-- What was given out of a recording and what was played, by contiguous spans.
CREATE TABLE viewing_span (
    opening    TEXT NOT NULL,
    number     BIGINT NOT NULL,
    viewing_id TEXT NOT NULL REFERENCES viewing (id),
    hearing_id TEXT NOT NULL,
    kind       TEXT NOT NULL,   -- served or heard
    from_us    BIGINT NOT NULL, -- hearing clock
    to_us      BIGINT NOT NULL,
    first_at   BIGINT NOT NULL, -- seconds since 1970
    last_at    BIGINT NOT NULL,
    logged     BOOLEAN NOT NULL, -- its audit event is in the outbox
    PRIMARY KEY (opening, number)
);
CREATE INDEX viewing_span_hearing ON viewing_span (hearing_id, first_at);
