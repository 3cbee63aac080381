//! Queries that create, list, change, deactivate and restore accounts of one role.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Error,
    account::{Account, Changes, RoleAccount},
    claims::Role,
    error::Unique,
    sessions,
};

/// Creates an account with the hash of its password.
///
/// # Errors
/// [`Error::Taken`] if another account has the username or the e-mail address.
pub async fn create<A: RoleAccount>(conn: &mut PgConnection, new: &A::New, password_hash: &str, now: DateTime<Utc>) -> Result<A, Error> {
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
    .map_err(map_unique_violation)?;
    Ok(account.into())
}

/// Reads one page of accounts, oldest first, and the start of the next page. With `email`, reads only the account with this
/// address, case-insensitively.
///
/// # Errors
/// If the database fails.
pub async fn list<A: RoleAccount>(
    pool: &PgPool,
    email: Option<&str>,
    after: Option<Uuid>,
    limit: u16,
) -> Result<(Vec<A>, Option<Uuid>), Error> {
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

/// Finds an account, active or not.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find<A: RoleAccount>(pool: &PgPool, id: Uuid) -> Result<A, Error> {
    Ok(read(pool, A::ROLE, id).await?.into())
}

/// Returns an error if the account is the superuser or does not exist.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::Superuser`].
pub async fn reject_unchangeable<A: RoleAccount>(pool: &PgPool, id: Uuid) -> Result<(), Error> {
    require_changeable(read(pool, A::ROLE, id).await?).map(drop)
}

/// Applies a patch to an account. `password_hash` is the hash of the patch's password. If all fields have their current value,
/// nothing is written; a password is always written, because it cannot be compared with the old one.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Superuser`] or [`Error::Taken`].
pub async fn change<A: RoleAccount>(
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
    .map_err(map_unique_violation)?;
    if password_hash.is_some() {
        sessions::revoke_all(&mut tx, id, now).await?;
    }
    tx.commit().await?;
    Ok(Account { updated_at: now, ..after }.into())
}

/// Deactivates an account and revokes its sessions, or activates the account. Repeating it changes nothing.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::Superuser`].
pub async fn set_active<A: RoleAccount>(pool: &PgPool, id: Uuid, active: bool, now: DateTime<Utc>) -> Result<A, Error> {
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

/// Locks the row of an account for a change, and returns the account.
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
    require_changeable(account)
}

fn require_changeable(account: Account) -> Result<Account, Error> {
    if account.is_superuser { Err(Error::Superuser) } else { Ok(account) }
}

/// Returns an error with all values that another account has. The unique indexes would report only the first of them.
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
        .filter_map(|(is_taken, field)| is_taken.then_some(field))
        .collect();
    if taken.is_empty() { Ok(()) } else { Err(Error::Taken(taken)) }
}

/// Maps a unique violation caused by a concurrent request to [`Error::Taken`].
pub(super) fn map_unique_violation(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("accounts_username_key") => Error::Taken(vec![Unique::Username]),
        Some("accounts_email_key") => Error::Taken(vec![Unique::Email]),
        _ => error.into(),
    }
}
