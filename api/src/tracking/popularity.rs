//! Copies view totals to `products.popularity` about every second.

use std::time::Duration;

use catalog_logging::Chain;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::totals;
use crate::products;

/// Interval between two rounds at low load.
const INTERVAL: Duration = Duration::from_secs(1);
/// Minimum pause after a round, as a multiple of its duration. Under load the copy lags more instead of using a larger share of
/// the database.
const IDLE_FACTOR: u32 = 4;

/// Copies changed totals until `stop`. Several processes can do so; an advisory lock serialises them.
///
/// # Errors
/// None; database errors are logged and retried.
pub async fn copy_view_totals(pool: PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let started = Instant::now();
        if let Err(error) = copy_changed_totals(&pool, &stop).await {
            tracing::warn!(error = %Chain(&error), "view totals not copied; retrying");
        }
        let pause = INTERVAL.max(started.elapsed() * IDLE_FACTOR);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}

/// Takes and copies the totals in one transaction, so that a failure leaves them for the next round.
async fn copy_changed_totals(pool: &PgPool, stop: &CancellationToken) -> Result<(), sqlx::Error> {
    let mut more = true;
    while more && !stop.is_cancelled() {
        let mut tx = pool.begin().await?;
        let changed = totals::take_changed_totals(&mut tx).await?;
        if !changed.totals.is_empty() {
            products::popularity::refresh_popularity(&mut tx, &changed.totals).await?;
        }
        tx.commit().await?;
        more = changed.more;
    }
    Ok(())
}
