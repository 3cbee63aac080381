//! What can be sold now. It moves without touching the product's version, and mails nobody.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Error;

/// The stock of one product.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stock {
    /// Units that can be sold now; null where stock isn't tracked.
    pub quantity: Option<i64>,
    /// When this was true.
    pub as_of: DateTime<Utc>,
}

/// The stock of a product that isn't deleted.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn of(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<Stock, Error> {
    let quantity = sqlx::query_scalar!(
        "SELECT s.on_hand - s.reserved FROM products.products p LEFT JOIN products.stock s ON s.product_id = p.id
         WHERE p.id = $1 AND p.deleted_at IS NULL",
        id,
    )
    .fetch_optional(pool)
    .await?;
    quantity.map(|quantity| Stock { quantity, as_of: now }).ok_or(Error::NotFound)
}

/// Makes `quantity` units available, and says whether the product is in stock then.
/// What is reserved stays reserved.
///
/// # Errors
/// If the database refuses.
pub async fn set(tx: &mut PgConnection, id: Uuid, quantity: i64) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "INSERT INTO products.stock AS s (product_id, on_hand) VALUES ($1, $2)
         ON CONFLICT (product_id) DO UPDATE SET on_hand = s.reserved + excluded.on_hand",
        id,
        quantity,
    )
    .execute(tx)
    .await?;
    Ok(quantity > 0)
}

/// Makes the given quantities of products available, and says for which of them that is a change.
/// What is reserved stays reserved.
///
/// # Errors
/// If the database refuses.
pub async fn set_many(tx: &mut PgConnection, quantities: &HashMap<Uuid, i64>) -> Result<HashSet<Uuid>, sqlx::Error> {
    if quantities.is_empty() {
        return Ok(HashSet::new());
    }
    let mut rows: Vec<_> = quantities.iter().map(|(id, quantity)| (*id, *quantity)).collect();
    // In one order everywhere, so that two transactions never wait for each other.
    rows.sort_unstable();
    let (ids, on_hand): (Vec<Uuid>, Vec<i64>) = rows.into_iter().unzip();
    let changed = sqlx::query_scalar!(
        "INSERT INTO products.stock AS s (product_id, on_hand) SELECT * FROM UNNEST($1::uuid[], $2::bigint[])
         ON CONFLICT (product_id) DO UPDATE SET on_hand = s.reserved + excluded.on_hand WHERE s.on_hand <> s.reserved + excluded.on_hand
         RETURNING product_id",
        &ids,
        &on_hand,
    )
    .fetch_all(tx)
    .await?;
    Ok(changed.into_iter().collect())
}
