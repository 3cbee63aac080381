//! Reserving, selling and returning stock: all deltas or none, in one statement.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{AvailabilityChange, Cause, MovementKind};

/// A change of one product's stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockDelta {
    /// Product id. A list has each product once.
    pub product_id: Uuid,
    /// Units added to `on_hand`; negative to remove.
    pub on_hand: i64,
    /// Units added to `reserved`; negative to release.
    pub reserved: i64,
}

/// Result of applying a list of deltas.
#[derive(Debug)]
pub enum DeltaOutcome {
    /// All deltas were applied. Products without tracked stock are left out.
    Applied {
        /// Units of each product that can be sold now.
        available: HashMap<Uuid, i64>,
        /// Products that came into or went out of stock.
        changes: Vec<AvailabilityChange>,
    },
    /// No delta was applied, because at least one product has too few units.
    Insufficient {
        /// Units of each product that can be sold.
        available: HashMap<Uuid, i64>,
    },
}

impl DeltaOutcome {
    /// Changes of availability, for deltas that only release or return units and therefore cannot fail. (The stock of a
    /// product that was purged meanwhile is skipped.)
    ///
    /// # Errors
    /// If they did fail. The transaction must be rolled back, or units would be lost.
    pub fn require_applied(self) -> Result<Vec<AvailabilityChange>, sqlx::Error> {
        match self {
            Self::Applied { changes, .. } => Ok(changes),
            Self::Insufficient { .. } => Err(sqlx::Error::InvalidArgument("returned stock is insufficient".into())),
        }
    }
}

/// Applies deltas to many products, or none of them if any stock would fall below zero. Products without tracked stock are
/// skipped. Changes of `on_hand` are recorded in the ledger with `cause`, which may be `None` if there are none.
///
/// # Errors
/// Database errors.
pub async fn apply_deltas(tx: &mut PgConnection, cause: Option<&Cause<'_>>, deltas: &[StockDelta]) -> Result<DeltaOutcome, sqlx::Error> {
    if deltas.is_empty() {
        return Ok(DeltaOutcome::Applied { available: HashMap::new(), changes: Vec::new() });
    }
    let product_ids: Vec<Uuid> = deltas.iter().map(|delta| delta.product_id).collect();
    let on_hand: Vec<i64> = deltas.iter().map(|delta| delta.on_hand).collect();
    let reserved: Vec<i64> = deltas.iter().map(|delta| delta.reserved).collect();
    // `held` locks the rows and so reads their latest version. The update uses only its values.
    let rows = sqlx::query!(
        r#"WITH wanted AS (
               SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[]) AS w (product_id, on_hand, reserved)
           ), held AS MATERIALIZED (
               SELECT product_id, on_hand, reserved FROM products.stock WHERE product_id = ANY($1) ORDER BY product_id FOR UPDATE
           ), planned AS (
               SELECT h.product_id, h.on_hand - h.reserved AS before, w.on_hand AS delta,
                      h.on_hand + w.on_hand AS on_hand, h.reserved + w.reserved AS reserved
               FROM held h JOIN wanted w USING (product_id)
           ), verdict AS (
               SELECT NOT EXISTS (SELECT FROM planned WHERE on_hand < reserved) AS possible
           ), moved AS (
               UPDATE products.stock s SET on_hand = p.on_hand, reserved = p.reserved
               FROM planned p, verdict v WHERE s.product_id = ANY($1) AND s.product_id = p.product_id AND v.possible
           ), recorded AS (
               INSERT INTO products.stock_movements (product_id, kind, delta, reference_id, actor_id, reason, created_at)
               SELECT product_id, $4, delta, $5, $6, $7, $8 FROM planned, verdict WHERE possible AND delta <> 0
           )
           SELECT product_id AS "product_id!", before AS "before!", on_hand - reserved AS "after!", possible AS "possible!"
           FROM planned, verdict"#,
        &product_ids,
        &on_hand,
        &reserved,
        cause.map(|cause| cause.kind) as Option<MovementKind>,
        cause.and_then(|cause| cause.order_id),
        cause.and_then(|cause| cause.actor_id),
        cause.and_then(|cause| cause.reason),
        cause.map(|cause| cause.at),
    )
    .fetch_all(tx)
    .await?;
    if rows.iter().all(|row| row.possible) {
        let changes = rows.iter().filter_map(|row| AvailabilityChange::between(row.product_id, Some(row.before), row.after)).collect();
        Ok(DeltaOutcome::Applied { available: rows.iter().map(|row| (row.product_id, row.after)).collect(), changes })
    } else {
        Ok(DeltaOutcome::Insufficient { available: rows.iter().map(|row| (row.product_id, row.before)).collect() })
    }
}
