//! Stock of products. Changes of stock make no new version of the product and send no mail.
//!
//! `on_hand` are the units that the shop has, `reserved` those of them that carts hold; the difference can be sold. A
//! transaction changes stock once, after it has taken all its other locks, in one statement that locks the rows in the
//! order of their product ids. Therefore two transactions cannot deadlock.

mod availability;
mod count;
mod deltas;
mod movements;
mod purge;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::{
    availability::{AvailabilityChange, append_availability_events},
    count::{StockCount, set_quantities},
    deltas::{DeltaOutcome, StockDelta, apply_deltas},
    movements::{Cause, MovementKind, StockMovement, list_movements},
    purge::purge_stock,
};
use super::Error;

/// The stock of one product.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stock {
    /// Units that can be sold now; null if stock isn't tracked.
    pub quantity: Option<i64>,
    /// Time of the reading.
    pub as_of: DateTime<Utc>,
}

/// Reads the stock of a product that isn't deleted.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn read_stock(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<Stock, Error> {
    let quantity = sqlx::query_scalar!(
        "SELECT s.on_hand - s.reserved FROM products.products p LEFT JOIN products.stock s ON s.product_id = p.id
         WHERE p.id = $1 AND p.deleted_at IS NULL",
        id,
    )
    .fetch_optional(pool)
    .await?;
    quantity.map(|quantity| Stock { quantity, as_of: now }).ok_or(Error::NotFound)
}
