-- +goose Up

-- What was signed in a hearing's room, as it came: statements, admissions and
-- rosters. No names: admissions hold commitments only.
CREATE TABLE room_message (
    hearing_id TEXT NOT NULL,
    hash       TEXT NOT NULL, -- base64url SHA-256 of the message
    kind       TEXT NOT NULL, -- statement, admission, roster
    message    TEXT NOT NULL, -- compact JWS
    at         BIGINT NOT NULL, -- microseconds since 1970, to keep their order
    PRIMARY KEY (hearing_id, hash)
);
INSERT INTO append_only (table_name, frozen) VALUES ('room_message', '');
