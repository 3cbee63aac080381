//! Carts as rows. Whoever changes what is in a cart holds its lock.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::orders::Error;

/// What is in a cart.
#[derive(Debug, Clone)]
pub(in crate::orders) struct ItemRow {
    pub product_id: Uuid,
    pub sku: String,
    pub name: String,
    pub price: Decimal,
    pub quantity: i64,
    /// The part of it that is reserved: all, or nothing where stock isn't tracked.
    pub reserved: i64,
}

/// Locks a customer's cart that hasn't expired.
///
/// # Errors
/// [`Error::NoCart`].
pub(in crate::orders) async fn lock(tx: &mut PgConnection, id: Uuid, customer_id: Uuid, now: DateTime<Utc>) -> Result<(), Error> {
    let locked = sqlx::query_scalar!(
        "SELECT id FROM orders.carts WHERE id = $1 AND customer_id = $2 AND expires_at > $3 FOR UPDATE",
        id,
        customer_id,
        now,
    );
    locked.fetch_optional(tx).await?.map(drop).ok_or(Error::NoCart)
}

/// When a customer's cart expires, if it hasn't.
///
/// # Errors
/// [`Error::NoCart`].
pub(super) async fn expiry(conn: &mut PgConnection, id: Uuid, customer_id: Uuid, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    let found = sqlx::query_scalar!(
        "SELECT expires_at FROM orders.carts WHERE id = $1 AND customer_id = $2 AND expires_at > $3",
        id,
        customer_id,
        now,
    );
    found.fetch_optional(conn).await?.ok_or(Error::NoCart)
}

/// Puts off the expiry of a cart, and gives the new one.
pub(super) async fn touch(tx: &mut PgConnection, id: Uuid, ttl: TimeDelta, now: DateTime<Utc>) -> Result<DateTime<Utc>, sqlx::Error> {
    let until = now + ttl;
    sqlx::query!("UPDATE orders.carts SET expires_at = $2 WHERE id = $1", id, until).execute(tx).await?;
    Ok(until)
}

/// What is in a cart.
pub(super) async fn items(conn: &mut PgConnection, id: Uuid) -> Result<Vec<ItemRow>, sqlx::Error> {
    sqlx::query_as!(
        ItemRow,
        "SELECT product_id, sku, name, price, quantity, reserved FROM orders.cart_items WHERE cart_id = $1 ORDER BY added_at, product_id",
        id,
    )
    .fetch_all(conn)
    .await
}

/// Takes everything out of a cart and gives it. What it holds stays reserved: the caller gives it back or sells it.
pub(in crate::orders) async fn empty(tx: &mut PgConnection, id: Uuid) -> Result<Vec<ItemRow>, sqlx::Error> {
    let items = items(tx, id).await?;
    sqlx::query!("DELETE FROM orders.cart_items WHERE cart_id = $1", id).execute(tx).await?;
    Ok(items)
}

/// Removes carts that are empty.
pub(in crate::orders) async fn remove(tx: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM orders.carts WHERE id = ANY($1)", ids).execute(tx).await?;
    Ok(())
}
