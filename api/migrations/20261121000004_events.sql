CREATE SCHEMA events;

CREATE TABLE events.outbox (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           uuid NOT NULL UNIQUE,     -- CloudEvents id, and Nats-Msg-Id
    partition    smallint NOT NULL,
    aggregate_id uuid NOT NULL,            -- events of one aggregate are published in order
    subject      text NOT NULL,            -- below `<prefix>.changes.`
    headers      jsonb NOT NULL,
    payload      text NOT NULL,            -- the whole CloudEvent, as it is published: nobody looks into it here
    created_at   timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX outbox_waiting_idx ON events.outbox (partition, seq) WHERE published_at IS NULL;
CREATE INDEX outbox_published_idx ON events.outbox (published_at) WHERE published_at IS NOT NULL;

-- A relay holds the row lock of a partition while it publishes from it.
CREATE TABLE events.outbox_partitions (
    partition smallint PRIMARY KEY
);
INSERT INTO events.outbox_partitions SELECT generate_series(0, 15);

-- When the stream we publish to was made: a newer one is empty and gets a replay.
CREATE TABLE events.streams (
    name       text PRIMARY KEY,
    created_at timestamptz NOT NULL
);
