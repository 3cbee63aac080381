//! Admins: created, listed, changed, deactivated and restored.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{AdminAccount, AdminPatch, Error, NewAdmin, Recipient, error::Unique, sessions};

/// Creates an admin whose password has this hash.
///
/// # Errors
/// [`Error::Taken`] if username or address belong to somebody else.
pub async fn create(conn: &mut PgConnection, new: &NewAdmin, password_hash: &str, now: DateTime<Utc>) -> Result<AdminAccount, Error> {
    let id = Uuid::now_v7();
    refuse_taken(conn, id, Some(&new.username), Some(&new.email)).await?;
    sqlx::query_as!(
        AdminAccount,
        "INSERT INTO identity.accounts (id, role, username, email, full_name, password_hash, created_at, updated_at)
         VALUES ($1, 'admin', $2, $3, $4, $5, $6, $6)
         RETURNING id, username, email, full_name, is_superuser, is_active, created_at, updated_at",
        id,
        new.username,
        new.email,
        new.full_name,
        password_hash,
        now,
    )
    .fetch_one(conn)
    .await
    .map_err(taken)
}

/// One page of admins, oldest first, and where the next page starts.
///
/// # Errors
/// If the database refuses.
pub async fn list(pool: &PgPool, after: Option<Uuid>, limit: u16) -> Result<(Vec<AdminAccount>, Option<Uuid>), Error> {
    let mut admins = sqlx::query_as!(
        AdminAccount,
        "SELECT id, username, email, full_name, is_superuser, is_active, created_at, updated_at FROM identity.accounts
         WHERE role = 'admin' AND id > $1 ORDER BY id LIMIT $2",
        after.unwrap_or(Uuid::nil()),
        i64::from(limit) + 1,
    )
    .fetch_all(pool)
    .await?;
    let more = admins.len() > usize::from(limit);
    admins.truncate(limit.into());
    let next = admins.last().filter(|_| more).map(|last| last.id);
    Ok((admins, next))
}

/// One admin, active or not.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find(pool: &PgPool, id: Uuid) -> Result<AdminAccount, Error> {
    sqlx::query_as!(
        AdminAccount,
        "SELECT id, username, email, full_name, is_superuser, is_active, created_at, updated_at FROM identity.accounts
         WHERE role = 'admin' AND id = $1",
        id,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::NotFound)
}

/// One admin by username, in any case.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find_by_username(pool: &PgPool, username: &str) -> Result<AdminAccount, Error> {
    sqlx::query_as!(
        AdminAccount,
        "SELECT id, username, email, full_name, is_superuser, is_active, created_at, updated_at FROM identity.accounts
         WHERE role = 'admin' AND lower(username) = lower($1)",
        username,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::NotFound)
}

/// Changes an admin; `password_hash` is that of the patch's password. What is given and already so
/// changes nothing; a password, whose old value nobody knows, always does.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Superuser`] or [`Error::Taken`].
pub async fn change(
    pool: &PgPool,
    id: Uuid,
    patch: &AdminPatch,
    password_hash: Option<&str>,
    now: DateTime<Utc>,
) -> Result<AdminAccount, Error> {
    let mut tx = pool.begin().await?;
    let before = lock(&mut tx, id).await?;
    let after = AdminAccount {
        username: patch.username.clone().unwrap_or_else(|| before.username.clone()),
        email: patch.email.clone().unwrap_or_else(|| before.email.clone()),
        full_name: patch.full_name.clone().unwrap_or_else(|| before.full_name.clone()),
        ..before.clone()
    };
    if after == before && password_hash.is_none() {
        return Ok(before);
    }
    refuse_taken(&mut tx, id, patch.username.as_deref(), patch.email.as_deref()).await?;
    sqlx::query!(
        "UPDATE identity.accounts SET username = $2, email = $3, full_name = $4, password_hash = coalesce($5, password_hash), updated_at = $6
         WHERE id = $1",
        id,
        after.username,
        after.email,
        after.full_name,
        password_hash,
        now,
    )
    .execute(&mut *tx)
    .await
    .map_err(taken)?;
    if password_hash.is_some() {
        sessions::revoke_all(&mut tx, id, now).await?;
    }
    tx.commit().await?;
    Ok(AdminAccount { updated_at: now, ..after })
}

/// Takes away an admin's right to sign in, and ends all sessions. Doing it again changes nothing.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::Superuser`].
pub async fn deactivate(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<AdminAccount, Error> {
    set_active(pool, id, false, now).await
}

/// Gives an admin the right to sign in again. Doing it again changes nothing.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::Superuser`].
pub async fn restore(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<AdminAccount, Error> {
    set_active(pool, id, true, now).await
}

async fn set_active(pool: &PgPool, id: Uuid, active: bool, now: DateTime<Utc>) -> Result<AdminAccount, Error> {
    let mut tx = pool.begin().await?;
    let before = lock(&mut tx, id).await?;
    if before.is_active == active {
        return Ok(before);
    }
    sqlx::query!("UPDATE identity.accounts SET is_active = $2, updated_at = $3 WHERE id = $1", id, active, now).execute(&mut *tx).await?;
    if !active {
        sessions::revoke_all(&mut tx, id, now).await?;
    }
    tx.commit().await?;
    Ok(AdminAccount { is_active: active, updated_at: now, ..before })
}

/// Gives any admin, the superuser included, a new password, and ends all sessions.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn set_password(pool: &PgPool, id: Uuid, password_hash: &str, now: DateTime<Utc>) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    let set = sqlx::query!(
        "UPDATE identity.accounts SET password_hash = $2, updated_at = $3 WHERE id = $1 AND role = 'admin'",
        id,
        password_hash,
        now,
    )
    .execute(&mut *tx)
    .await?;
    if set.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    sessions::revoke_all(&mut tx, id, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Those who hear of what `actor_id` did: every other active admin.
///
/// # Errors
/// If the database refuses.
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

/// An admin that may be changed, locked against other changes.
async fn lock(conn: &mut PgConnection, id: Uuid) -> Result<AdminAccount, Error> {
    let admin = sqlx::query_as!(
        AdminAccount,
        "SELECT id, username, email, full_name, is_superuser, is_active, created_at, updated_at FROM identity.accounts
         WHERE role = 'admin' AND id = $1 FOR UPDATE",
        id,
    )
    .fetch_optional(conn)
    .await?
    .ok_or(Error::NotFound)?;
    if admin.is_superuser { Err(Error::Superuser) } else { Ok(admin) }
}

/// Names everything that is taken at once; the unique indexes alone would name one at a time.
pub(super) async fn refuse_taken(conn: &mut PgConnection, own_id: Uuid, username: Option<&str>, email: Option<&str>) -> Result<(), Error> {
    let found = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM identity.accounts WHERE lower(username) = lower($2) AND id <> $1) AS "username!",
                  EXISTS (SELECT FROM identity.accounts WHERE role = 'admin' AND lower(email) = lower($3) AND id <> $1) AS "email!""#,
        own_id,
        username,
        email,
    )
    .fetch_one(conn)
    .await?;
    let taken: Vec<_> = [(found.username, Unique::Username), (found.email, Unique::Email)]
        .into_iter()
        .filter_map(|(yes, field)| yes.then_some(field))
        .collect();
    if taken.is_empty() { Ok(()) } else { Err(Error::Taken(taken)) }
}

/// The same, for somebody who came first since [`refuse_taken`] looked.
pub(super) fn taken(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("accounts_username_key") => Error::Taken(vec![Unique::Username]),
        Some("accounts_email_key") => Error::Taken(vec![Unique::Email]),
        _ => error.into(),
    }
}

/// The customer of this id, unless the account is deactivated.
///
/// # Errors
/// If the database refuses.
pub async fn active_customer(conn: &mut PgConnection, id: Uuid) -> Result<Option<Recipient>, sqlx::Error> {
    sqlx::query_as!(
        Recipient,
        r#"SELECT id, email, coalesce(full_name, username) AS "name!" FROM identity.accounts
           WHERE role = 'customer' AND is_active AND id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await
}
