//! Expiry of carts. A cart is deleted in the transaction that releases its reservations, so they are released once.

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

use super::items::release_reservations;
use crate::{
    events::Origin,
    http::clock,
    orders::{Orders, metrics},
};

/// Carts per transaction. A short transaction hardly delays orders of the same products.
const BATCH: i64 = 200;
/// Items per transaction, exceeded by at most one cart.
const BATCH_ITEMS: i64 = 500;
/// Poll interval. Reservations are released at most about this long after the expiry.
const INTERVAL: Duration = Duration::from_secs(1);

/// Deletes one batch of the carts that had expired at `now`, and returns its size. Carts locked by other transactions are skipped.
///
/// # Errors
/// Database errors.
async fn expire_batch(orders: &Orders, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let mut work = orders.begin(Origin::shop("cart expiry"), now).await?;
    // Locks first, items afterwards: a join would read the items as of before the wait for the locks.
    let carts = sqlx::query_scalar!(
        "SELECT id FROM orders.carts WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        now,
        BATCH,
    )
    .fetch_all(&mut *work)
    .await?;
    if carts.is_empty() {
        return Ok(0);
    }
    let carts = within_limit(&mut work, carts).await?;
    let items = sqlx::query!(
        r#"WITH gone AS (DELETE FROM orders.cart_items WHERE cart_id = ANY($1) RETURNING product_id, reserved)
           SELECT product_id AS "product_id!", sum(reserved)::bigint AS "reserved!" FROM gone GROUP BY product_id"#,
        &carts,
    )
    .fetch_all(&mut *work)
    .await?;
    let reserved: Vec<_> = items.into_iter().map(|row| (row.product_id, row.reserved)).collect();
    super::delete_carts(&mut work, &carts).await?;
    release_reservations(&mut work, &reserved).await?;
    work.commit().await?;
    let expired = carts.len() as u64;
    metrics::CARTS_EXPIRED.inc_by(expired);
    Ok(expired)
}

/// Keeps the first carts that together have about [`BATCH_ITEMS`] items.
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

/// Deletes expired carts until `stop`. Several processes can do so concurrently.
///
/// # Errors
/// None; database errors are logged and retried.
pub async fn run_cart_expiry(orders: Arc<Orders>, stop: CancellationToken) -> anyhow::Result<()> {
    LazyLock::force(&metrics::CARTS_EXPIRED);
    while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        while !stop.is_cancelled() {
            match expire_batch(&orders, clock::now()).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "cart expiry failed; retrying");
                    break;
                }
            }
        }
    }
    Ok(())
}
