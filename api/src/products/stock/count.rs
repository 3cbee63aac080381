//! Setting stock to a counted quantity.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{AvailabilityChange, Cause, MovementKind};

/// Effect of a stock count on one product.
#[derive(Debug, Clone, Copy)]
pub struct StockCount {
    /// Product id.
    pub product_id: Uuid,
    /// Units that could be sold before; `None` if stock wasn't tracked.
    pub before: Option<i64>,
    /// Units that can be sold now.
    pub after: i64,
}

impl StockCount {
    /// Whether the count changed anything.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.before != Some(self.after)
    }

    /// The change of availability, if there is one.
    #[must_use]
    pub fn availability_change(&self) -> Option<AvailabilityChange> {
        AvailabilityChange::between(self.product_id, self.before, self.after)
    }
}

/// Sets the units of products that can be sold, and starts tracking their stock if it wasn't. Reserved units stay reserved
/// and are not included. The caller holds the locks of the products; otherwise two counts could both insert the row.
///
/// # Errors
/// Database errors.
pub async fn set_quantities(
    tx: &mut PgConnection,
    cause: &Cause<'_>,
    quantities: &HashMap<Uuid, i64>,
) -> Result<Vec<StockCount>, sqlx::Error> {
    if quantities.is_empty() {
        return Ok(Vec::new());
    }
    let (product_ids, quantities): (Vec<Uuid>, Vec<i64>) = quantities.iter().map(|(id, quantity)| (*id, *quantity)).unzip();
    sqlx::query_as!(
        StockCount,
        r#"WITH given AS (
               SELECT * FROM UNNEST($1::uuid[], $2::bigint[]) AS g (product_id, quantity)
           ), held AS MATERIALIZED (
               SELECT product_id, on_hand, reserved FROM products.stock WHERE product_id = ANY($1) ORDER BY product_id FOR UPDATE
           ), planned AS (
               SELECT g.product_id, g.quantity, h.on_hand - h.reserved AS before, COALESCE(h.reserved, 0) + g.quantity AS on_hand,
                      COALESCE(h.reserved, 0) + g.quantity - COALESCE(h.on_hand, 0) AS delta
               FROM given g LEFT JOIN held h USING (product_id)
           ), counted AS (
               INSERT INTO products.stock (product_id, on_hand)
               SELECT product_id, on_hand FROM planned WHERE before IS NULL OR delta <> 0 ORDER BY product_id
               ON CONFLICT (product_id) DO UPDATE SET on_hand = excluded.on_hand
           ), recorded AS (
               INSERT INTO products.stock_movements (product_id, kind, delta, actor_id, reason, created_at)
               SELECT product_id, $3, delta, $4, $5, $6 FROM planned WHERE delta <> 0
           )
           SELECT product_id AS "product_id!", before, quantity AS "after!" FROM planned"#,
        &product_ids,
        &quantities,
        cause.kind as MovementKind,
        cause.actor_id,
        cause.reason,
        cause.at,
    )
    .fetch_all(tx)
    .await
}
