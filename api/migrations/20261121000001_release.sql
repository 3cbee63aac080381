-- What the whole installation agrees on: one row, written by `catalog migrate`.
CREATE SCHEMA release;

CREATE TABLE release.installation (
    singleton      boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    currency       text NOT NULL,          -- ISO 4217, fixed once products exist
    min_compatible text NOT NULL,          -- the oldest release that may use this schema
    migrated_by    text NOT NULL,          -- the newest release that migrated it
    migrated_at    timestamptz NOT NULL DEFAULT now()
);
