-- +goose Up

-- A visit that was broken off after a biometric had failed in it: it has no record
-- of its own, and the person still needs two officers that day.
CREATE TABLE kiosk_broken_off (
    visit_id       TEXT PRIMARY KEY,
    participant_id TEXT NOT NULL,
    purpose        TEXT NOT NULL,
    at             BIGINT NOT NULL -- milliseconds
);
CREATE INDEX kiosk_broken_off_participant ON kiosk_broken_off (participant_id, at);
INSERT INTO append_only (table_name, frozen) VALUES ('kiosk_broken_off', '');
