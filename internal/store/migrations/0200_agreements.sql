-- +goose Up

-- One number for the whole register, raised at every change. Whoever holds a
-- decision made under an older number decides again.
CREATE TABLE register_generation (
    id         BIGINT PRIMARY KEY,
    generation BIGINT NOT NULL
);
INSERT INTO register_generation (id, generation) VALUES (1, 0);

-- A security agreement and where it stands.
CREATE TABLE agreement (
    id                  TEXT PRIMARY KEY,
    organisation_name   TEXT NOT NULL,
    organisation_number TEXT NOT NULL,
    organisation_kind   TEXT NOT NULL,
    criteria_set        TEXT NOT NULL,
    criteria_version    TEXT NOT NULL,
    criteria_level      TEXT NOT NULL,
    state               TEXT NOT NULL,
    revision            BIGINT NOT NULL, -- of the signed document in use; 0: none yet
    generation          BIGINT NOT NULL, -- of the register at the last change
    version             BIGINT NOT NULL
);
INSERT INTO append_only (table_name, frozen) VALUES ('agreement', 'id, organisation_number, organisation_kind');

-- Every step, who took it and why.
CREATE TABLE agreement_step (
    agreement_id TEXT NOT NULL REFERENCES agreement (id),
    generation   BIGINT NOT NULL,
    state        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    by_subject   TEXT NOT NULL,
    at           BIGINT NOT NULL, -- milliseconds
    PRIMARY KEY (agreement_id, generation)
);
INSERT INTO append_only (table_name, frozen) VALUES ('agreement_step', '');

-- Documents as the security office signed them (compact JWS).
CREATE TABLE agreement_document (
    agreement_id TEXT NOT NULL REFERENCES agreement (id),
    revision     BIGINT NOT NULL,
    signed       TEXT NOT NULL,
    PRIMARY KEY (agreement_id, revision)
);
INSERT INTO append_only (table_name, frozen) VALUES ('agreement_document', '');

-- Where to look for a device. What holds is the signed document alone.
CREATE TABLE agreement_device (
    agreement_id         TEXT NOT NULL REFERENCES agreement (id),
    revision             BIGINT NOT NULL,
    device_id            TEXT NOT NULL,
    permanent_identifier TEXT NOT NULL,
    PRIMARY KEY (agreement_id, revision, device_id)
);
CREATE INDEX agreement_device_device ON agreement_device (device_id);
CREATE INDEX agreement_device_tpm ON agreement_device (permanent_identifier);
INSERT INTO append_only (table_name, frozen) VALUES ('agreement_device', '');

-- A device whose approval was withdrawn. It comes back as another device id in
-- a new document, never by changing this.
CREATE TABLE device_revocation (
    device_id  TEXT PRIMARY KEY,
    reason     TEXT NOT NULL,
    by_subject TEXT NOT NULL,
    at         BIGINT NOT NULL,
    generation BIGINT NOT NULL
);
INSERT INTO append_only (table_name, frozen) VALUES ('device_revocation', '');
