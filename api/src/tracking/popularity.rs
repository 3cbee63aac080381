//! Telling products how often they were viewed, about every second.

use std::time::Duration;

use catalog_logging::Chain;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::totals;
use crate::products;

/// How old a copied total may get when there is little to do.
const INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a round, in lengths of that round: under heavy traffic the copy lags more and costs
/// no larger share of the database.
const REST: u32 = 4;

/// Copies changed totals until `stop`. Several processes may do it: they take turns.
///
/// # Errors
/// None: it tries on.
pub async fn project(pool: PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let started = Instant::now();
        if let Err(error) = copy_changed(&pool, &stop).await {
            tracing::warn!(error = %Chain(&error), "view totals not copied; retrying");
        }
        let pause = INTERVAL.max(started.elapsed() * REST);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}

/// Takes and writes in one transaction: a failure leaves everything for the next round.
async fn copy_changed(pool: &PgPool, stop: &CancellationToken) -> Result<(), sqlx::Error> {
    let mut more = true;
    while more && !stop.is_cancelled() {
        let mut tx = pool.begin().await?;
        let changed = totals::take_changed(&mut tx).await?;
        if !changed.totals.is_empty() {
            products::popularity::refresh(&mut tx, &changed.totals).await?;
        }
        tx.commit().await?;
        more = changed.more;
    }
    Ok(())
}
