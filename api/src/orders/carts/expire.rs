//! Carts that nobody touches any more give back what they hold: once, because the cart goes in the same transaction.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use catalog_logging::Chain;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::items::give_back;
use crate::{
    database::{self, Database},
    events::{Origin, Outbox},
    http::clock,
    orders::{Orders, metrics},
};

/// Carts that go in one transaction, at most: it is short, so that orders of the same products hardly wait.
const BATCH: i64 = 200;
/// Products in them, at most, and one cart more.
const BATCH_ITEMS: i64 = 500;
/// Between two looks. Stock is back about as long after its time.
const INTERVAL: Duration = Duration::from_secs(1);

/// What one batch did.
struct Expired {
    /// Carts that are gone.
    carts: usize,
    /// Products that came into stock, with their versions, for caches to forget.
    forget: Vec<(Uuid, i64)>,
}

/// Removes carts whose time was over at `now`, one batch of them. Carts that others work on are skipped.
///
/// # Errors
/// If the database refuses.
async fn expire(database: &Database, outbox: &Outbox, now: DateTime<Utc>) -> Result<Expired, sqlx::Error> {
    let mut tx = database::begin_brief(&database.primary).await?;
    // The locks come first and alone: a join would show items as of before the wait for them.
    let carts = sqlx::query_scalar!(
        "SELECT id FROM orders.carts WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        now,
        BATCH,
    )
    .fetch_all(&mut *tx)
    .await?;
    if carts.is_empty() {
        return Ok(Expired { carts: 0, forget: Vec::new() });
    }
    let carts = within_limit(&mut tx, carts).await?;
    let held = sqlx::query!(
        r#"WITH gone AS (DELETE FROM orders.cart_items WHERE cart_id = ANY($1) RETURNING product_id, reserved)
           SELECT product_id AS "product_id!", sum(reserved)::bigint AS "reserved!" FROM gone GROUP BY product_id"#,
        &carts,
    )
    .fetch_all(&mut *tx)
    .await?;
    let held: Vec<_> = held.into_iter().map(|row| (row.product_id, row.reserved)).collect();
    super::remove(&mut tx, &carts).await?;
    let forget = give_back(&mut tx, outbox, &Origin::shop("cart expiry"), &held, now).await?;
    tx.commit().await?;
    Ok(Expired { carts: carts.len(), forget })
}

/// As many of the carts, from the first on, as don't hold too much together.
async fn within_limit(tx: &mut PgConnection, mut carts: Vec<Uuid>) -> Result<Vec<Uuid>, sqlx::Error> {
    let sizes =
        sqlx::query!(r#"SELECT cart_id, count(*) AS "items!" FROM orders.cart_items WHERE cart_id = ANY($1) GROUP BY cart_id"#, &carts);
    let sizes: HashMap<Uuid, i64> = sizes.fetch_all(tx).await?.into_iter().map(|row| (row.cart_id, row.items)).collect();
    let mut items = 0;
    let fitting = carts.iter().take_while(|cart| {
        let fits = items < BATCH_ITEMS;
        items += sizes.get(cart).copied().unwrap_or_default();
        fits
    });
    let count = fitting.count();
    carts.truncate(count);
    Ok(carts)
}

/// Looks for expired carts until `stop`. Any number of processes may do it at the same time.
///
/// # Errors
/// None: it tries on.
pub async fn keep_expiring(orders: Arc<Orders>, stop: CancellationToken) -> anyhow::Result<()> {
    LazyLock::force(&metrics::EXPIRED);
    while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        while !stop.is_cancelled() {
            let catalogue = &orders.catalogue;
            match expire(&catalogue.database, &catalogue.outbox, clock::now()).await {
                Ok(Expired { carts: 0, .. }) => break,
                Ok(Expired { carts, forget }) => {
                    metrics::EXPIRED.inc_by(carts as u64);
                    catalogue.stock_turned(&forget);
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "cart expiry failed; retrying");
                    break;
                }
            }
        }
    }
    Ok(())
}
