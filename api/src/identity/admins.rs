//! Commands and queries on admins, for the command line and the notifier.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{AdminAccount, Error, NewAdmin, Recipient, account::Account, accounts, claims::Role, sessions};

/// Creates an admin with the hash of the password.
///
/// # Errors
/// [`Error::Taken`] if another account has the username or the address.
pub async fn create(conn: &mut PgConnection, new: &NewAdmin, password_hash: &str, now: DateTime<Utc>) -> Result<AdminAccount, Error> {
    accounts::create(conn, new, password_hash, now).await
}

/// Reads one page of admins, oldest first, and the start of the next page.
///
/// # Errors
/// If the database fails.
pub async fn list(pool: &PgPool, after: Option<Uuid>, limit: u16) -> Result<(Vec<AdminAccount>, Option<Uuid>), Error> {
    accounts::list(pool, None, after, limit).await
}

/// Finds an admin by username, case-insensitively.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find_by_username(pool: &PgPool, username: &str) -> Result<AdminAccount, Error> {
    let found = sqlx::query_as!(
        Account,
        "SELECT id, username, email, full_name, is_superuser, is_active, created_at, updated_at FROM identity.accounts
         WHERE role = 'admin' AND lower(username) = lower($1)",
        username,
    )
    .fetch_optional(pool)
    .await?;
    found.map(AdminAccount::from).ok_or(Error::NotFound(Role::Admin))
}

/// Deactivates an admin and revokes the admin's sessions. Repeating it changes nothing.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::Superuser`].
pub async fn deactivate(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<AdminAccount, Error> {
    accounts::set_active(pool, id, false, now).await
}

/// Sets the password of any admin, the superuser included, and revokes the admin's sessions.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn set_password(pool: &PgPool, id: Uuid, password_hash: &str, now: DateTime<Utc>) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    let updated = sqlx::query!(
        "UPDATE identity.accounts SET password_hash = $2, updated_at = $3 WHERE id = $1 AND role = 'admin'",
        id,
        password_hash,
        now,
    )
    .execute(&mut *tx)
    .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::NotFound(Role::Admin));
    }
    sessions::revoke_all(&mut tx, id, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Reads the recipients of notifications about changes by `actor_id`: every other active admin.
///
/// # Errors
/// If the database fails.
pub async fn active_admins_except(conn: &mut PgConnection, actor_id: Uuid) -> Result<Vec<Recipient>, sqlx::Error> {
    sqlx::query_as!(
        Recipient,
        r#"SELECT id, email, coalesce(full_name, username) AS "name!" FROM identity.accounts
           WHERE role = 'admin' AND is_active AND id <> $1 ORDER BY id"#,
        actor_id,
    )
    .fetch_all(conn)
    .await
}
