//! What can be sold now. It moves without touching the product's version, and mails nobody.
//!
//! `on_hand` is what is there, `reserved` the part of it that carts hold; what can be sold is the
//! difference. A transaction moves stock once, in one statement that locks the rows in the order of the
//! product ids, after every other lock it takes: so no two ever wait for each other in a circle.

mod adjust;
mod announce;
mod count;
mod movements;
mod purge;
mod shift;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::{
    adjust::{StockAdjustment, StockLevel, adjust},
    announce::{Turned, announce},
    count::{Counted, count},
    movements::{Cause, MovementKind, StockMovement, page as movements},
    purge::purge,
    shift::{Shift, Shifted, shift},
};
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
