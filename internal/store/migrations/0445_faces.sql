-- +goose Up

-- A face that was compared at the room terminal with the kiosk's picture, and
-- what the interviewer said of it. No picture and no template: the machine's word
-- and its numbers are inside sealed, under the case's records key.
CREATE TABLE kiosk_face (
    ticket_id      TEXT NOT NULL REFERENCES kiosk_ticket (id),
    n              BIGINT NOT NULL,  -- of this ticket, from 1
    case_id        TEXT NOT NULL,
    hearing_id     TEXT NOT NULL,
    participant_id TEXT NOT NULL,
    occasion       TEXT NOT NULL,   -- entered, returned, break, asked
    compared_at    BIGINT NOT NULL, -- milliseconds
    sealed         BYTEA NOT NULL,  -- {word, reason, score, threshold, engine, unmeasured}
    said           TEXT NOT NULL,   -- '' until the interviewer says: confirmed, doubted
    said_at        BIGINT NOT NULL, -- 0: not yet
    version        BIGINT NOT NULL,
    PRIMARY KEY (ticket_id, n)
);
CREATE INDEX kiosk_face_hearing ON kiosk_face (hearing_id, participant_id, compared_at);
INSERT INTO append_only (table_name, frozen)
VALUES ('kiosk_face', 'ticket_id, n, case_id, hearing_id, participant_id, occasion, compared_at, sealed');
