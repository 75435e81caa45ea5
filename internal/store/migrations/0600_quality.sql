-- +goose Up

-- How well one leg of a hearing carried speech (interview/quality). No names:
-- leg, member and device by their ids, figures for the rest.
CREATE TABLE leg_quality (
    leg_id     TEXT PRIMARY KEY,
    hearing_id TEXT NOT NULL,
    began      BIGINT NOT NULL, -- milliseconds since 1970
    lasted     BIGINT NOT NULL, -- milliseconds
    lost       BIGINT NOT NULL, -- of them lost
    summary    TEXT NOT NULL    -- interview/quality.Leg
);
CREATE INDEX leg_quality_hearing ON leg_quality (hearing_id, began);
