CREATE SCHEMA http;

-- Responses kept for Idempotency-Key, written in the transaction of the effect itself.
CREATE TABLE http.idempotency_keys (
    caller       uuid NOT NULL,
    route        text NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,           -- SHA-256 of the body
    status       smallint NOT NULL,
    headers      jsonb NOT NULL,
    body         bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (caller, route, key)
);
CREATE INDEX idempotency_keys_created_at_idx ON http.idempotency_keys (created_at);
