//! The ledger of stock movements.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{events::UnitOfWork, products::Error};

/// Kind of a stock movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = StockMovementKind)]
pub enum MovementKind {
    /// Stock from before movements were recorded.
    Opening,
    /// An admin set the quantity: with the product, in an import, or with an adjustment.
    Count,
    /// An admin added or removed units.
    Adjustment,
    /// An order was placed.
    Sale,
    /// An order was cancelled or failed.
    Return,
    /// The product was purged with its remaining stock.
    Purge,
}

/// Reason of stock movements, for the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// Kind of the movements.
    pub kind: MovementKind,
    /// The order of a sale or a return.
    pub order_id: Option<Uuid>,
    /// Account that caused them; `None` for the shop itself.
    pub actor_id: Option<Uuid>,
    /// Reason, if one was given.
    pub reason: Option<&'a str>,
    /// Time of the movements.
    pub at: DateTime<Utc>,
}

impl Cause<'_> {
    /// A command by the actor of `work`.
    #[must_use]
    pub fn of(work: &UnitOfWork, kind: MovementKind) -> Self {
        Self { kind, order_id: None, actor_id: Some(work.origin().actor.id), reason: None, at: work.now() }
    }
}

/// A stock movement.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockMovement {
    /// Identifier. Grows with every movement.
    pub id: i64,
    /// Kind.
    pub kind: MovementKind,
    /// Units added, or removed if negative.
    pub delta: i64,
    /// The order of a sale or a return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// Admin or customer who caused it. Absent for the shop itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    /// Reason, if one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the movement.
    pub created_at: DateTime<Utc>,
}

/// Reads one page of a product's movements, newest first, and the position of the next page. Deleted products keep theirs.
///
/// # Errors
/// [`Error::NotFound`] if the product does not exist and has no movements.
pub async fn list_movements(
    pool: &PgPool,
    product_id: Uuid,
    before: Option<i64>,
    limit: u16,
) -> Result<(Vec<StockMovement>, Option<i64>), Error> {
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
