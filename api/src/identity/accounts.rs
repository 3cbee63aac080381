//! The accounts of one role: created, listed, changed, deactivated and restored.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Error,
    account::{Account, Changes, OfRole},
    claims::Role,
    error::Unique,
    sessions,
};

/// Creates an account whose password has this hash.
///
/// # Errors
/// [`Error::Taken`] if another account has the username or the address.
pub async fn create<A: OfRole>(conn: &mut PgConnection, new: &A::New, password_hash: &str, now: DateTime<Utc>) -> Result<A, Error> {
    let id = Uuid::now_v7();
    let new = A::details(new);
    reject_taken(conn, A::ROLE, id, Some(new.username), Some(new.email)).await?;
    let account = sqlx::query_as!(
        Account,
        "INSERT INTO identity.accounts (id, role, username, email, full_name, password_hash, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
         RETURNING id, username, email, full_name, is_superuser, is_active, created_at, updated_at",
        id,
        A::ROLE as Role,
        new.username,
        new.email,
        new.full_name,
        password_hash,
        now,
    )
    .fetch_one(conn)
    .await
    .map_err(taken)?;
    Ok(account.into())
}

/// One page of accounts, oldest first, and where the next page starts; with `email`, only the one that
/// has it, case-insensitively.
///
/// # Errors
/// If the database fails.
pub async fn list<A: OfRole>(pool: &PgPool, email: Option<&str>, after: Option<Uuid>, limit: u16) -> Result<(Vec<A>, Option<Uuid>), Error> {
    let mut accounts = sqlx::query_as!(
        Account,
        "SELECT id, username, email, full_name, is_superuser, is_active, created_at, updated_at FROM identity.accounts
         WHERE role = $1 AND id > $2 AND ($3::text IS NULL OR lower(email) = lower($3)) ORDER BY id LIMIT $4",
        A::ROLE as Role,
        after.unwrap_or(Uuid::nil()),
        email,
        i64::from(limit) + 1,
    )
    .fetch_all(pool)
    .await?;
    let more = accounts.len() > usize::from(limit);
    accounts.truncate(limit.into());
    let next = accounts.last().filter(|_| more).map(|last| last.id);
    Ok((accounts.into_iter().map(A::from).collect(), next))
}

/// One account, active or not.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find<A: OfRole>(pool: &PgPool, id: Uuid) -> Result<A, Error> {
    Ok(read(pool, A::ROLE, id).await?.into())
}

/// Rejects changes of the superuser and of unknown accounts.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::Superuser`].
pub async fn reject_unchangeable<A: OfRole>(pool: &PgPool, id: Uuid) -> Result<(), Error> {
    changeable(read(pool, A::ROLE, id).await?).map(drop)
}

/// Changes an account; `password_hash` is that of the patch's password. Fields with their current value change nothing; a
/// password always does, because the old one cannot be compared.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Superuser`] or [`Error::Taken`].
pub async fn change<A: OfRole>(
    pool: &PgPool,
    id: Uuid,
    patch: &A::Patch,
    password_hash: Option<&str>,
    now: DateTime<Utc>,
) -> Result<A, Error> {
    let Changes { username, email, full_name, password: _ } = A::changes(patch);
    let mut tx = pool.begin().await?;
    let before = lock(&mut tx, A::ROLE, id).await?;
    let after = Account {
        username: username.map_or_else(|| before.username.clone(), str::to_owned),
        email: email.map_or_else(|| before.email.clone(), str::to_owned),
        full_name: full_name.map_or_else(|| before.full_name.clone(), |name| name.map(str::to_owned)),
        ..before.clone()
    };
    if after == before && password_hash.is_none() {
        return Ok(before.into());
    }
    reject_taken(&mut tx, A::ROLE, id, username, email).await?;
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
    Ok(Account { updated_at: now, ..after }.into())
}

/// Deactivates an account and ends its sessions, or activates it again. Doing it
/// again changes nothing.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::Superuser`].
pub async fn set_active<A: OfRole>(pool: &PgPool, id: Uuid, active: bool, now: DateTime<Utc>) -> Result<A, Error> {
    let mut tx = pool.begin().await?;
    let before = lock(&mut tx, A::ROLE, id).await?;
    if before.is_active == active {
        return Ok(before.into());
    }
    sqlx::query!("UPDATE identity.accounts SET is_active = $2, updated_at = $3 WHERE id = $1", id, active, now).execute(&mut *tx).await?;
    if !active {
        sessions::revoke_all(&mut tx, id, now).await?;
    }
    tx.commit().await?;
    Ok(Account { is_active: active, updated_at: now, ..before }.into())
}

async fn read(pool: &PgPool, role: Role, id: Uuid) -> Result<Account, Error> {
    sqlx::query_as!(
        Account,
        "SELECT id, username, email, full_name, is_superuser, is_active, created_at, updated_at FROM identity.accounts
         WHERE role = $1 AND id = $2",
        role as Role,
        id,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::NotFound(role))
}

/// An account that may be changed, locked against other changes.
async fn lock(conn: &mut PgConnection, role: Role, id: Uuid) -> Result<Account, Error> {
    let account = sqlx::query_as!(
        Account,
        "SELECT id, username, email, full_name, is_superuser, is_active, created_at, updated_at FROM identity.accounts
         WHERE role = $1 AND id = $2 FOR UPDATE",
        role as Role,
        id,
    )
    .fetch_optional(conn)
    .await?
    .ok_or(Error::NotFound(role))?;
    changeable(account)
}

fn changeable(account: Account) -> Result<Account, Error> {
    if account.is_superuser { Err(Error::Superuser) } else { Ok(account) }
}

/// Reports all taken values at once; the unique indexes alone would report one at a time.
pub(super) async fn reject_taken(
    conn: &mut PgConnection,
    role: Role,
    own_id: Uuid,
    username: Option<&str>,
    email: Option<&str>,
) -> Result<(), Error> {
    let found = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM identity.accounts WHERE lower(username) = lower($3) AND id <> $2) AS "username!",
                  EXISTS (SELECT FROM identity.accounts WHERE role = $1 AND lower(email) = lower($4) AND id <> $2) AS "email!""#,
        role as Role,
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

/// The same, for an account that was created after [`reject_taken`].
pub(super) fn taken(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("accounts_username_key") => Error::Taken(vec![Unique::Username]),
        Some("accounts_email_key") => Error::Taken(vec![Unique::Email]),
        _ => error.into(),
    }
}
