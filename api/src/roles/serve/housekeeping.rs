//! Removes what has outlived its use, and finishes what a crash left unfinished. Every process may do
//! it at any time: the statements skip each other's rows.

use std::{sync::Arc, time::Duration};

use catalog_logging::Chain;
use chrono::TimeDelta;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::{
    http::{clock, idempotency},
    products::{Catalogue, import, search, write},
};

/// Longest pause between two rounds: how long the mail about an import that was cut short may wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Keeps house until `stop`.
///
/// # Errors
/// If `retention` is absurdly long.
pub async fn run(catalogue: Arc<Catalogue>, retention: Duration, stop: CancellationToken) -> anyhow::Result<()> {
    let mut rounds = interval((retention / 4).clamp(Duration::from_secs(1), LONGEST_PAUSE));
    let retention = TimeDelta::from_std(retention)?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = rounds.tick() => {}
        }
        if let Err(error) = round(&catalogue, retention).await {
            tracing::warn!(error = %Chain(&error), "housekeeping failed; retrying");
        }
    }
}

async fn round(catalogue: &Catalogue, retention: TimeDelta) -> Result<(), sqlx::Error> {
    let (pool, now) = (&catalogue.database.primary, clock::now());
    write::purge_deleted(pool, now, retention).await?;
    idempotency::purge(pool, now).await?;
    import::finish_abandoned_imports(pool, &catalogue.outbox, now).await?;
    import::purge_abandoned_rows(pool, now).await?;
    search::refold(pool).await?;
    Ok(())
}
