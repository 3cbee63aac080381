//! The superuser: the admin that settings create and that cannot be changed through the API.

use catalog_values::text::Text;
use chrono::{DateTime, Utc};
use garde::Validate;
use sqlx::{Connection, PgConnection};
use thiserror::Error;
use uuid::Uuid;

use super::{NewAdmin, accounts, admins, claims::Role, passwords, sessions};
use crate::config::SuperuserSettings;

/// Why the superuser could not be created or updated.
#[derive(Debug, Error)]
pub enum SuperuserError {
    /// The settings violate rules of accounts.
    #[error("the superuser's settings are not allowed: {}", messages(.0))]
    Invalid(garde::Report),
    /// Another account has the username or the address.
    #[error("SUPERUSER_USERNAME or SUPERUSER_EMAIL cannot be used: {0}")]
    Account(super::Error),
    /// A password could not be hashed.
    #[error("the superuser's password could not be hashed")]
    Hashing(#[from] argon2::password_hash::Error),
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn messages(report: &garde::Report) -> String {
    let messages = report.iter().map(|(path, error)| format!("SUPERUSER_{}: {error}", path.to_string().to_uppercase()));
    messages.collect::<Vec<_>>().join("; ")
}

impl From<super::Error> for SuperuserError {
    fn from(error: super::Error) -> Self {
        match error {
            super::Error::Database(error) => Self::Database(error),
            other => Self::Account(other),
        }
    }
}

/// Result of [`ensure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// The superuser was created.
    Created,
    /// The superuser was updated to changed settings.
    Changed,
    /// The superuser already matched the settings.
    Unchanged,
}

/// Checks the settings against the rules of accounts.
///
/// # Errors
/// [`SuperuserError::Invalid`].
pub fn check(settings: &SuperuserSettings) -> Result<(), SuperuserError> {
    desired_account(settings).validate().map_err(SuperuserError::Invalid)
}

fn desired_account(settings: &SuperuserSettings) -> NewAdmin {
    NewAdmin {
        username: settings.username.clone(),
        email: settings.email.clone().into_nfc(),
        password: settings.password.clone(),
        full_name: None,
    }
}

/// Creates the superuser, or updates it to the settings. A changed password setting is applied and revokes the superuser's
/// sessions. An unchanged setting does not overwrite a password that was set with `catalog admin set-password`.
///
/// # Errors
/// See [`SuperuserError`].
pub async fn ensure(conn: &mut PgConnection, settings: &SuperuserSettings, now: DateTime<Utc>) -> Result<Ensured, SuperuserError> {
    check(settings)?;
    let desired = desired_account(settings);
    let mut tx = conn.begin().await?;
    let applied = sqlx::query!(
        "SELECT s.account_id, s.password_hash, a.username, a.email
         FROM identity.superuser_setting s JOIN identity.accounts a ON a.id = s.account_id FOR UPDATE"
    )
    .fetch_optional(&mut *tx)
    .await?;
    let ensured = match applied {
        None => {
            create(&mut tx, &desired, now).await?;
            Ensured::Created
        }
        Some(applied) => {
            let mut ensured = Ensured::Unchanged;
            if applied.username != desired.username || applied.email != desired.email {
                rename(&mut tx, applied.account_id, &desired, now).await?;
                ensured = Ensured::Changed;
            }
            if !passwords::verify(&desired.password, &applied.password_hash)? {
                reset_password(&mut tx, applied.account_id, &passwords::hash(&desired.password)?, now).await?;
                ensured = Ensured::Changed;
            }
            ensured
        }
    };
    tx.commit().await?;
    Ok(ensured)
}

async fn create(conn: &mut PgConnection, desired: &NewAdmin, now: DateTime<Utc>) -> Result<(), SuperuserError> {
    let hash = passwords::hash(&desired.password)?;
    let account = admins::create(conn, desired, &hash, now).await?;
    sqlx::query!("UPDATE identity.accounts SET is_superuser = true WHERE id = $1", account.id).execute(&mut *conn).await?;
    sqlx::query!("INSERT INTO identity.superuser_setting (account_id, password_hash) VALUES ($1, $2)", account.id, hash)
        .execute(conn)
        .await?;
    Ok(())
}

async fn rename(conn: &mut PgConnection, id: Uuid, desired: &NewAdmin, now: DateTime<Utc>) -> Result<(), SuperuserError> {
    accounts::reject_taken(conn, Role::Admin, id, Some(&desired.username), Some(&desired.email)).await?;
    sqlx::query!(
        "UPDATE identity.accounts SET username = $2, email = $3, updated_at = $4 WHERE id = $1",
        id,
        desired.username,
        desired.email,
        now,
    )
    .execute(conn)
    .await
    .map_err(accounts::map_unique_violation)?;
    Ok(())
}

async fn reset_password(conn: &mut PgConnection, id: Uuid, hash: &str, now: DateTime<Utc>) -> Result<(), SuperuserError> {
    sqlx::query!("UPDATE identity.accounts SET password_hash = $2, updated_at = $3 WHERE id = $1", id, hash, now)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("UPDATE identity.superuser_setting SET password_hash = $1", hash).execute(&mut *conn).await?;
    sessions::revoke_all(conn, id, now).await?;
    Ok(())
}
