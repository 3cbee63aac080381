//! The end of a product's stock.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Cause, MovementKind};

/// Removes the stock of products that are purged: what is left of each leaves the ledger, too. The caller holds the locks
/// of the products.
///
/// # Errors
/// If the database refuses.
pub async fn purge(tx: &mut PgConnection, cause: &Cause<'_>, product_ids: &[Uuid]) -> Result<(), sqlx::Error> {
    // Locked in the order in which everybody locks stock.
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
