CREATE SCHEMA notifications;

-- One row per event that was turned into deliveries, with the mail's text, the same for everybody.
CREATE TABLE notifications.messages (
    event_id   uuid PRIMARY KEY,
    subject    text NOT NULL,
    body       text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX messages_created_at_idx ON notifications.messages (created_at);

CREATE TABLE notifications.deliveries (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id        uuid NOT NULL REFERENCES notifications.messages (event_id) ON DELETE CASCADE,
    recipient_id    uuid NOT NULL,
    address         text NOT NULL,
    recipient_name  text NOT NULL,
    message_id      text NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'refused')),
    deferrals       integer NOT NULL DEFAULT 0,   -- how often the server said "later" to this one
    next_attempt_at timestamptz NOT NULL,
    last_reply      text,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    UNIQUE (event_id, recipient_id)
);
CREATE INDEX deliveries_pending_idx ON notifications.deliveries (next_attempt_at, id) WHERE state = 'pending';
CREATE INDEX deliveries_refused_idx ON notifications.deliveries (finished_at) WHERE state = 'refused';
