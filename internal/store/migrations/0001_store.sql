-- +goose Up

-- Tables that are written once. See the package comment of internal/store.
CREATE TABLE append_only (
    table_name TEXT PRIMARY KEY,
    frozen     TEXT NOT NULL -- comma-separated columns; '' freezes all
);
INSERT INTO append_only (table_name, frozen) VALUES ('append_only', '');

-- What happened, on its way to the audit log (internal/audit). The body holds
-- ids and codes, never personal content; only its salted hash leaves this table.
-- log_index is written once, when the log has the entry.
CREATE TABLE audit_outbox (
    id         TEXT PRIMARY KEY, -- UUIDv7: sorts by time
    hearing_id TEXT NOT NULL,    -- '' where the event belongs to no hearing
    type       TEXT NOT NULL,
    version    BIGINT NOT NULL,
    body       TEXT NOT NULL,    -- canonical JSON (RFC 8785)
    salt       TEXT NOT NULL,    -- base64url, 32 bytes
    created_at BIGINT NOT NULL,  -- database clock, milliseconds
    log_index  BIGINT
);
CREATE INDEX audit_outbox_waiting ON audit_outbox (id) WHERE log_index IS NULL;
CREATE INDEX audit_outbox_hearing ON audit_outbox (hearing_id, id);
INSERT INTO append_only (table_name, frozen)
VALUES ('audit_outbox', 'id, hearing_id, type, version, body, salt, created_at');
