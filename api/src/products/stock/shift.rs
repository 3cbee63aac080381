//! Reserving, selling and giving back: all or nothing, in one statement.

use std::collections::HashMap;

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
    /// Those that came into stock or went out of it, where there cannot be too little: of what comes back. (A product
    /// that was purged meanwhile has no stock to come back to.)
    ///
    /// # Errors
    /// If there was: then the transaction must not be committed, or units would be lost.
    pub fn came_back(self) -> Result<Vec<Turned>, sqlx::Error> {
        match self {
            Self::Done { turned, .. } => Ok(turned),
            Self::Short { .. } => Err(sqlx::Error::InvalidArgument("stock that comes back was too little".into())),
        }
    }
}

/// Moves the stock of many products, or of none if any would go below zero. What isn't tracked stays so. The ledger
/// tells what moved on hand, and why: `cause` is `None` only where nothing does.
///
/// # Errors
/// If the database refuses.
pub async fn shift(tx: &mut PgConnection, cause: Option<&Cause<'_>>, shifts: &[Shift]) -> Result<Shifted, sqlx::Error> {
    if shifts.is_empty() {
        return Ok(Shifted::Done { available: HashMap::new(), turned: Vec::new() });
    }
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
        let turned = rows.iter().filter_map(|row| Turned::between(row.product_id, Some(row.before), row.after)).collect();
        Ok(Shifted::Done { available: rows.iter().map(|row| (row.product_id, row.after)).collect(), turned })
    } else {
        Ok(Shifted::Short { available: rows.iter().map(|row| (row.product_id, row.before)).collect() })
    }
}
