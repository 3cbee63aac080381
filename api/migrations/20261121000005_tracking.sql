CREATE SCHEMA tracking;

-- Ids of counted messages. Partitioned by the day in the id (a UUIDv7), so that the same message
-- always meets its first copy, and old days are dropped whole. Trackers make the partitions.
CREATE TABLE tracking.counted_messages (
    day date NOT NULL,
    id  uuid NOT NULL,
    PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);

-- Every view, ever. No index but the key and room on the pages, so that counting rewrites rows in place.
CREATE TABLE tracking.product_views (
    product_id uuid PRIMARY KEY,
    total      bigint NOT NULL CHECK (total >= 0),
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE tracking.hourly_views (
    product_id uuid NOT NULL,
    hour       timestamptz NOT NULL,       -- start of the hour, UTC
    views      bigint NOT NULL CHECK (views >= 0),
    PRIMARY KEY (product_id, hour)
) WITH (fillfactor = 70);
CREATE INDEX hourly_views_hour_idx ON tracking.hourly_views (hour, product_id);

-- Which totals each counting changed, written with it: what others have not copied yet.
CREATE TABLE tracking.changed_totals (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_ids uuid[] NOT NULL
);
