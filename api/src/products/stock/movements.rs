//! The ledger: why a product has as much on hand as it has.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::products::Error;

/// What moves stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum MovementKind {
    /// What was there before movements were recorded.
    Opening,
    /// Somebody said how much there is: with the product, in an import, or as an adjustment.
    Count,
    /// Somebody said how much came or went.
    Adjustment,
    /// An order took it.
    Sale,
    /// An order gave it back.
    Return,
    /// The product was purged, with what was left of it.
    Purge,
}

/// Why stock is moved, for the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// What moves it.
    pub kind: MovementKind,
    /// The order of a sale or a return.
    pub order_id: Option<Uuid>,
    /// Who does it; `None` for the shop itself.
    pub actor_id: Option<Uuid>,
    /// Why, in somebody's words.
    pub reason: Option<&'a str>,
    /// When.
    pub at: DateTime<Utc>,
}

/// One movement of stock.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockMovement {
    /// Grows with every movement.
    pub id: i64,
    /// What moved it.
    pub kind: MovementKind,
    /// Units that came, or went if negative.
    pub delta: i64,
    /// The order of a sale or a return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// Who did it: an admin or a customer. Absent for the shop itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    /// Why, if somebody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// One page of a product's movements, the latest first, and where the next page starts. Deleted products keep theirs.
///
/// # Errors
/// [`Error::NotFound`] for a product that never was, or is purged and never had stock.
pub async fn page(pool: &PgPool, product_id: Uuid, before: Option<i64>, limit: u16) -> Result<(Vec<StockMovement>, Option<i64>), Error> {
    let mut movements = sqlx::query_as!(
        StockMovement,
        r#"SELECT id, kind AS "kind: MovementKind", delta, reference_id AS order_id, actor_id, reason, created_at
           FROM products.stock_movements WHERE product_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"#,
        product_id,
        before.unwrap_or(i64::MAX),
        i64::from(limit) + 1,
    )
    .fetch_all(pool)
    .await?;
    if movements.is_empty() && before.is_none() {
        let known = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM products.products WHERE id = $1) AS "known!""#, product_id);
        if !known.fetch_one(pool).await? {
            return Err(Error::NotFound);
        }
    }
    let more = movements.len() > usize::from(limit);
    movements.truncate(limit.into());
    let next = movements.last().filter(|_| more).map(|last| last.id);
    Ok((movements, next))
}
