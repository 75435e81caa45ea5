-- +goose Up

-- What remains of the files of a case whose recording key was destroyed, by
-- recorder: how many went so far, and how many write-once storage still keeps.
CREATE TABLE erased_file (
    case_id     TEXT NOT NULL,
    recorder    TEXT NOT NULL,
    deleted     BIGINT NOT NULL,
    left_behind BIGINT NOT NULL,
    until       BIGINT NOT NULL, -- seconds since 1970; 0: none is left
    at          BIGINT NOT NULL, -- seconds since 1970
    PRIMARY KEY (case_id, recorder)
);
