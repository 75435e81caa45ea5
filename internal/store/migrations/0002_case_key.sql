-- +goose Up

-- The data key under which a case's personal content is sealed, wrapped by the
-- case's records key in the keyring. Destroying that key erases the content.
CREATE TABLE case_key (
    case_id TEXT PRIMARY KEY,
    wrapped TEXT NOT NULL
);
INSERT INTO append_only (table_name, frozen) VALUES ('case_key', '');
