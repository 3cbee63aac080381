CREATE SCHEMA identity;

-- Admins and customers share one username namespace, hence one table.
CREATE TABLE identity.accounts (
    id            uuid PRIMARY KEY,
    role          text NOT NULL CHECK (role IN ('admin', 'customer')),
    username      text NOT NULL,
    email         text NOT NULL,
    full_name     text,
    password_hash text NOT NULL,           -- PHC string, argon2id
    is_superuser  boolean NOT NULL DEFAULT false,
    is_active     boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CHECK (NOT is_superuser OR role = 'admin')
);
CREATE UNIQUE INDEX accounts_username_key ON identity.accounts (lower(username));
CREATE UNIQUE INDEX accounts_email_key ON identity.accounts (role, lower(email));
CREATE INDEX accounts_role_idx ON identity.accounts (role, id);

-- The password setting `catalog migrate` last applied to the superuser, as a hash:
-- only a changed setting resets a password that was changed by hand.
CREATE TABLE identity.superuser_setting (
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    account_id    uuid NOT NULL REFERENCES identity.accounts (id),
    password_hash text NOT NULL
);

-- One sign-in: a family of refresh tokens that lives and dies together.
CREATE TABLE identity.sessions (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES identity.accounts (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX sessions_account_idx ON identity.sessions (account_id) WHERE revoked_at IS NULL;

CREATE TABLE identity.refresh_tokens (
    token_hash bytea PRIMARY KEY,          -- SHA-256 of the opaque token
    session_id uuid NOT NULL REFERENCES identity.sessions (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_session_idx ON identity.refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expiry_idx ON identity.refresh_tokens (expires_at);
