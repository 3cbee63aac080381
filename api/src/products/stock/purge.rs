//! Removing the stock of purged products.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Cause, MovementKind};

/// Deletes the stock of products and records the remaining units in the ledger. The caller holds the locks of the
/// products.
///
/// # Errors
/// Database errors.
pub async fn purge_stock(tx: &mut PgConnection, cause: &Cause<'_>, product_ids: &[Uuid]) -> Result<(), sqlx::Error> {
    // Locked in the same order as everywhere, against deadlocks.
    sqlx::query!(
        "WITH held AS MATERIALIZED (
             SELECT product_id, on_hand FROM products.stock WHERE product_id = ANY($1) ORDER BY product_id FOR UPDATE
         ), removed AS (
             DELETE FROM products.stock s USING held h WHERE s.product_id = h.product_id
         )
         INSERT INTO products.stock_movements (product_id, kind, delta, actor_id, reason, created_at)
         SELECT product_id, $2, -on_hand, $3, $4, $5 FROM held WHERE on_hand > 0",
        product_ids,
        cause.kind as MovementKind,
        cause.actor_id,
        cause.reason,
        cause.at,
    )
    .execute(tx)
    .await?;
    Ok(())
}
