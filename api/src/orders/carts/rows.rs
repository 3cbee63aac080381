//! Rows of carts and their items. Every transaction that changes the items of a cart holds the cart's lock.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{events::UnitOfWork, orders::Error};

#[derive(Debug, Clone)]
pub(in crate::orders) struct ItemRow {
    pub product_id: Uuid,
    pub sku: String,
    pub name: String,
    pub price: Decimal,
    pub quantity: i64,
    /// Reserved units: `quantity`, or 0 if stock isn't tracked.
    pub reserved: i64,
}

/// Locks a cart of the customer who makes the command, unless it has expired.
///
/// # Errors
/// [`Error::CartNotFound`].
pub(in crate::orders) async fn lock_cart(work: &mut UnitOfWork, id: Uuid) -> Result<(), Error> {
    let locked = sqlx::query_scalar!(
        "SELECT id FROM orders.carts WHERE id = $1 AND customer_id = $2 AND expires_at > $3 FOR UPDATE",
        id,
        work.origin().actor.id,
        work.now(),
    );
    locked.fetch_optional(&mut **work).await?.map(drop).ok_or(Error::CartNotFound)
}

/// Reads when a customer's cart expires, unless it has expired.
///
/// # Errors
/// [`Error::CartNotFound`].
pub(super) async fn read_expiry(conn: &mut PgConnection, id: Uuid, customer_id: Uuid, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    let found = sqlx::query_scalar!(
        "SELECT expires_at FROM orders.carts WHERE id = $1 AND customer_id = $2 AND expires_at > $3",
        id,
        customer_id,
        now,
    );
    found.fetch_optional(conn).await?.ok_or(Error::CartNotFound)
}

/// Extends the expiry of a cart and returns the new one.
pub(super) async fn extend_expiry(work: &mut UnitOfWork, id: Uuid, ttl: TimeDelta) -> Result<DateTime<Utc>, sqlx::Error> {
    let until = work.now() + ttl;
    sqlx::query!("UPDATE orders.carts SET expires_at = $2 WHERE id = $1", id, until).execute(&mut **work).await?;
    Ok(until)
}

pub(super) async fn read_items(conn: &mut PgConnection, id: Uuid) -> Result<Vec<ItemRow>, sqlx::Error> {
    sqlx::query_as!(
        ItemRow,
        "SELECT product_id, sku, name, price, quantity, reserved FROM orders.cart_items WHERE cart_id = $1 ORDER BY added_at, product_id",
        id,
    )
    .fetch_all(conn)
    .await
}

/// Deletes all items of a cart and returns them. Their units stay reserved; the caller releases or sells them.
pub(in crate::orders) async fn take_items(tx: &mut PgConnection, id: Uuid) -> Result<Vec<ItemRow>, sqlx::Error> {
    let items = read_items(tx, id).await?;
    sqlx::query!("DELETE FROM orders.cart_items WHERE cart_id = $1", id).execute(tx).await?;
    Ok(items)
}

/// Deletes carts without items.
pub(in crate::orders) async fn delete_carts(tx: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM orders.carts WHERE id = ANY($1)", ids).execute(tx).await?;
    Ok(())
}
