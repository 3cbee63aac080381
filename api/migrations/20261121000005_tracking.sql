CREATE SCHEMA tracking;

-- Ids of counted messages. Partitioned by the day in the id (a UUIDv7), so that the same message
-- always meets its first copy, and old days are dropped whole.
CREATE TABLE tracking.counted_messages (
    day date NOT NULL,
    id  uuid NOT NULL,
    PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE TABLE tracking.counted_messages_default PARTITION OF tracking.counted_messages DEFAULT;

CREATE TABLE tracking.product_views (
    product_id uuid PRIMARY KEY,
    total      bigint NOT NULL CHECK (total >= 0),
    updated_at timestamptz NOT NULL
);
CREATE INDEX product_views_updated_at_idx ON tracking.product_views (updated_at);

CREATE TABLE tracking.hourly_views (
    product_id uuid NOT NULL,
    hour       timestamptz NOT NULL,       -- start of the hour, UTC
    views      bigint NOT NULL CHECK (views >= 0),
    PRIMARY KEY (product_id, hour)
);
CREATE INDEX hourly_views_hour_idx ON tracking.hourly_views (hour);
