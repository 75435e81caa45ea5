-- +goose Up

-- Each piece that was given at a kiosk is sealed under a data key of its own,
-- which the case's records key wraps. Authority unwraps it for a reader whom it
-- approved, and for nobody else.
ALTER TABLE kiosk_piece ADD COLUMN wrapped TEXT NOT NULL DEFAULT '';

-- Who read back what, when, and for what purpose. It is written before anything
-- is opened.
CREATE TABLE kiosk_reading (
    id       TEXT PRIMARY KEY,
    visit_id TEXT NOT NULL REFERENCES kiosk_visit (id),
    reader   TEXT NOT NULL,   -- hash of issuer and subject
    device   TEXT NOT NULL,
    at       BIGINT NOT NULL, -- milliseconds
    pieces   BIGINT NOT NULL,
    sealed   BYTEA NOT NULL   -- {purpose}, under the case's records key
);
CREATE INDEX kiosk_reading_visit ON kiosk_reading (visit_id);
INSERT INTO append_only (table_name, frozen) VALUES ('kiosk_reading', '');
