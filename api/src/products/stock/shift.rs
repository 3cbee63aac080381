//! Reserving, selling and giving back: all or nothing, in one statement.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Cause, MovementKind, Turned};

/// By how much the stock of one product moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Product; each once in a list.
    pub product_id: Uuid,
    /// Units that come; negative for those that go.
    pub on_hand: i64,
    /// Units that carts hold from now on; negative for those they let go.
    pub reserved: i64,
}

/// What became of a list of shifts.
#[derive(Debug)]
pub enum Shifted {
    /// All of them happened, where stock is tracked.
    Done {
        /// What can be sold now of each product whose stock is tracked.
        available: HashMap<Uuid, i64>,
        /// Those that came into stock or went out of it.
        turned: Vec<Turned>,
    },
    /// Nothing happened: there is less than was asked for of at least one product.
    Short {
        /// What can be sold of each product whose stock is tracked.
        available: HashMap<Uuid, i64>,
    },
}

impl Shifted {
    /// Whether a product's stock is tracked.
    #[must_use]
    pub fn tracks(&self, product_id: Uuid) -> bool {
        let (Self::Done { available, .. } | Self::Short { available }) = self;
        available.contains_key(&product_id)
    }
}

/// Reserves for carts, or lets go: all or nothing, as [`shift`] does. Nothing on hand moves, so the ledger stays as it is.
///
/// # Errors
/// If the database refuses.
pub async fn reserve(tx: &mut PgConnection, shifts: &[Shift], now: DateTime<Utc>) -> Result<Shifted, sqlx::Error> {
    debug_assert!(shifts.iter().all(|shift| shift.on_hand == 0), "what moves needs a cause");
    if shifts.is_empty() {
        return Ok(Shifted::Done { available: HashMap::new(), turned: Vec::new() });
    }
    shift(tx, &Cause { kind: MovementKind::Sale, order_id: None, actor_id: None, reason: None, at: now }, shifts).await
}

/// Moves the stock of many products, or of none if any would go below zero. What isn't tracked stays so.
///
/// # Errors
/// If the database refuses.
pub async fn shift(tx: &mut PgConnection, cause: &Cause<'_>, shifts: &[Shift]) -> Result<Shifted, sqlx::Error> {
    let product_ids: Vec<Uuid> = shifts.iter().map(|shift| shift.product_id).collect();
    let on_hand: Vec<i64> = shifts.iter().map(|shift| shift.on_hand).collect();
    let reserved: Vec<i64> = shifts.iter().map(|shift| shift.reserved).collect();
    // `held` sees the latest rows, because it locks them. It is all the update goes by.
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
               FROM planned p, verdict v WHERE s.product_id = p.product_id AND v.possible
           ), recorded AS (
               INSERT INTO products.stock_movements (product_id, kind, delta, reference_id, actor_id, reason, created_at)
               SELECT product_id, $4, delta, $5, $6, $7, $8 FROM planned, verdict WHERE possible AND delta <> 0
           )
           SELECT product_id AS "product_id!", before AS "before!", on_hand - reserved AS "after!", possible AS "possible!"
           FROM planned, verdict"#,
        &product_ids,
        &on_hand,
        &reserved,
        cause.kind as MovementKind,
        cause.order_id,
        cause.actor_id,
        cause.reason,
        cause.at,
    )
    .fetch_all(tx)
    .await?;
    if rows.iter().all(|row| row.possible) {
        let turned = rows.iter().filter_map(|row| Turned::between(row.product_id, Some(row.before), row.after)).collect();
        Ok(Shifted::Done { available: rows.iter().map(|row| (row.product_id, row.after)).collect(), turned })
    } else {
        Ok(Shifted::Short { available: rows.iter().map(|row| (row.product_id, row.before)).collect() })
    }
}
