-- +goose Up

-- What the agency's case system is told of a case: that a stage is complete. It
-- is written in the transaction of what completed it, and sent afterwards. The
-- diary number is not here: it is opened when it is sent, while the case is there.
CREATE TABLE kiosk_stage (
    id        TEXT PRIMARY KEY, -- an event's id: the name of the request
    case_id   TEXT NOT NULL,
    visit_id  TEXT NOT NULL,
    kiosk_id  TEXT NOT NULL,
    site      TEXT NOT NULL,
    stage     TEXT NOT NULL,
    assurance TEXT NOT NULL,
    at        BIGINT NOT NULL,  -- milliseconds
    tries     BIGINT NOT NULL,
    next_at   BIGINT NOT NULL,  -- not sent before
    ended_at  BIGINT NOT NULL,  -- 0: to be sent
    outcome   TEXT NOT NULL,    -- taken, refused, erased; '' not yet
    version   BIGINT NOT NULL,
    UNIQUE (visit_id, stage)
);
CREATE INDEX kiosk_stage_open ON kiosk_stage (next_at) WHERE ended_at = 0;
INSERT INTO append_only (table_name, frozen) VALUES ('kiosk_stage', 'id, case_id, visit_id, kiosk_id, site, stage, assurance, at');
