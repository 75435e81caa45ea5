-- +goose Up

-- The applicant who listens to the own hearing: which participant it is, and the
-- device at which an interviewer said who sits there.
ALTER TABLE viewing ADD COLUMN participant_id TEXT;
ALTER TABLE viewing ADD COLUMN station_id TEXT;
CREATE INDEX viewing_participant ON viewing (participant_id, created_at);
CREATE INDEX viewing_station ON viewing (station_id, created_at);
