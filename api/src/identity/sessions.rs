//! Sessions: each is one sign-in, with the refresh tokens that were issued since.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use catalog_process::config::Secret;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Error,
    claims::{Role, Subject},
    error::RefreshTokenError,
};
use crate::telemetry;

/// Refresh tokens are kept this long after their expiry, because access tokens of the session may still be valid; this is the
/// longest lifetime that can be configured.
const RETENTION_AFTER_EXPIRY: TimeDelta = TimeDelta::days(1);

/// What a sign-in needs to know about an account.
pub struct Login {
    /// Account id.
    pub account_id: Uuid,
    /// Role of the account.
    pub role: Role,
    /// Hash of the password.
    pub password_hash: String,
    /// Whether the account may sign in.
    pub is_active: bool,
}

/// Finds the account with this username, case-insensitively.
///
/// # Errors
/// If the database fails.
pub async fn find_login(pool: &PgPool, username: &str) -> Result<Option<Login>, sqlx::Error> {
    sqlx::query_as!(
        Login,
        r#"SELECT id AS account_id, role AS "role: Role", password_hash, is_active FROM identity.accounts WHERE lower(username) = lower($1)"#,
        username,
    )
    .fetch_optional(pool)
    .await
}

/// Starts a session, unless the account was deactivated or got another password since [`find_login`].
///
/// # Errors
/// [`Error::InvalidCredentials`] in that case.
pub async fn start(pool: &PgPool, login: &Login, now: DateTime<Utc>, ttl: Duration) -> Result<(Uuid, Secret), Error> {
    let session_id = Uuid::now_v7();
    let token = new_refresh_token();
    // The share lock makes a concurrent change of the account wait, so that it revokes this session as well.
    let started = sqlx::query!(
        "WITH account AS (
             SELECT id FROM identity.accounts WHERE id = $1 AND password_hash = $2 AND is_active FOR SHARE
         ), session AS (
             INSERT INTO identity.sessions (id, account_id, created_at) SELECT $3, id, $4 FROM account RETURNING id
         )
         INSERT INTO identity.refresh_tokens (token_hash, session_id, expires_at) SELECT $5, id, $6 FROM session",
        login.account_id,
        login.password_hash,
        session_id,
        now,
        digest(token.expose_secret()),
        now + ttl,
    )
    .execute(pool)
    .await?;
    if started.rows_affected() == 1 { Ok((session_id, token)) } else { Err(Error::InvalidCredentials) }
}

/// Exchanges a refresh token for the next one of the same session. A token that was exchanged before may have been stolen, so
/// its session is revoked.
///
/// # Errors
/// [`Error::RefreshToken`] unless the token is the current one of an active session.
pub async fn rotate(pool: &PgPool, token: &str, now: DateTime<Utc>, ttl: Duration) -> Result<(Subject, Secret), Error> {
    let token_hash = digest(token);
    let mut tx = pool.begin().await?;
    // Locks the session before the token: the same lock order as deleting an account, to avoid deadlocks.
    let found = sqlx::query!(
        r#"SELECT t.session_id, t.expires_at, t.used_at, s.revoked_at, a.id AS account_id, a.role AS "role: Role", a.is_active
           FROM identity.refresh_tokens t
           JOIN identity.sessions s ON s.id = t.session_id
           JOIN identity.accounts a ON a.id = s.account_id
           WHERE t.token_hash = $1
           FOR UPDATE OF s, t"#,
        token_hash,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(RefreshTokenError::Unknown)?;
    telemetry::record_account(found.account_id);
    if found.used_at.is_some() && found.revoked_at.is_none() {
        revoke(&mut tx, found.session_id, now).await?;
        tx.commit().await?;
        tracing::warn!(session_id = %found.session_id, "refresh token reused; session revoked");
        return Err(RefreshTokenError::Reused.into());
    }
    if found.revoked_at.is_some() || !found.is_active {
        return Err(RefreshTokenError::Revoked.into());
    }
    if found.expires_at <= now {
        return Err(RefreshTokenError::Expired.into());
    }
    let next = new_refresh_token();
    sqlx::query!("UPDATE identity.refresh_tokens SET used_at = $2 WHERE token_hash = $1", token_hash, now).execute(&mut *tx).await?;
    sqlx::query!(
        "INSERT INTO identity.refresh_tokens (token_hash, session_id, expires_at) VALUES ($1, $2, $3)",
        digest(next.expose_secret()),
        found.session_id,
        now + ttl,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok((Subject { account_id: found.account_id, role: found.role, session_id: found.session_id }, next))
}

/// Finds the session of a refresh token, also of one that is used, expired or revoked.
///
/// # Errors
/// [`RefreshTokenError::Unknown`] if no session has issued the token.
pub async fn find_session_by_refresh_token(pool: &PgPool, token: &str) -> Result<Uuid, Error> {
    sqlx::query_scalar!("SELECT session_id FROM identity.refresh_tokens WHERE token_hash = $1", digest(token))
        .fetch_optional(pool)
        .await?
        .ok_or(RefreshTokenError::Unknown.into())
}

/// Returns the username of an account, if the account and this session of it are active.
///
/// # Errors
/// If the database fails.
pub async fn active_username(pool: &PgPool, session_id: Uuid, account_id: Uuid) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT a.username FROM identity.sessions s JOIN identity.accounts a ON a.id = s.account_id
         WHERE s.id = $1 AND a.id = $2 AND s.revoked_at IS NULL AND a.is_active",
        session_id,
        account_id,
    )
    .fetch_optional(pool)
    .await
}

/// Revokes a session. A session that is revoked already stays as it is.
///
/// # Errors
/// If the database fails.
pub async fn revoke(conn: &mut PgConnection, session_id: Uuid, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE identity.sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", session_id, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Revokes all sessions of an account. Call it after the account's row was changed in the same transaction; the row lock then
/// keeps new sessions from starting meanwhile.
///
/// # Errors
/// If the database fails.
pub async fn revoke_all(conn: &mut PgConnection, account_id: Uuid, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE identity.sessions SET revoked_at = $2 WHERE account_id = $1 AND revoked_at IS NULL", account_id, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes tokens and sessions that can no longer be used. Used tokens are kept until their expiry, so that reuse is detected.
///
/// # Errors
/// If the database fails.
pub async fn purge(pool: &PgPool, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let before = now - RETENTION_AFTER_EXPIRY;
    sqlx::query!("DELETE FROM identity.refresh_tokens WHERE expires_at <= $1", before).execute(pool).await?;
    sqlx::query!(
        "DELETE FROM identity.sessions s WHERE created_at <= $1
         AND NOT EXISTS (SELECT FROM identity.refresh_tokens t WHERE t.session_id = s.id)",
        before,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Generates a token of 256 random bits.
fn new_refresh_token() -> Secret {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()).into()
}

/// Hashes a refresh token for storage. A fast hash is enough for 256 random bits.
fn digest(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refresh_tokens_are_long_random_and_stored_as_digests_only() {
        let (one, other) = (new_refresh_token(), new_refresh_token());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_eq!(one.expose_secret().len(), 43);
        assert_eq!(digest(one.expose_secret()).len(), 32);
        assert!(!digest(one.expose_secret()).starts_with(&one.expose_secret().as_bytes()[..4]));
    }
}
