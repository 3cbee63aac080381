//! Housekeeping of the catalogue: purges expired rows, and finishes imports that a crash has interrupted. Several processes can do this
//! at the same time, because the statements skip locked rows.

use std::{sync::Arc, time::Duration};

use catalog_logging::Chain;
use chrono::TimeDelta;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::{
    http::{clock, idempotency},
    products::{Catalogue, import, search, write},
};

/// Longest interval between two rounds, and so the longest delay of the mail about an interrupted import.
const MAX_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until `stop`.
///
/// # Errors
/// If `retention` is out of range.
pub async fn run(catalogue: Arc<Catalogue>, retention: Duration, stop: CancellationToken) -> anyhow::Result<()> {
    let mut rounds = interval((retention / 4).clamp(Duration::from_secs(1), MAX_INTERVAL));
    let retention = TimeDelta::from_std(retention)?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = rounds.tick() => {}
        }
        if let Err(error) = run_round(&catalogue, retention).await {
            tracing::warn!(error = %Chain(&error), "housekeeping failed; retrying");
        }
    }
}

async fn run_round(catalogue: &Catalogue, retention: TimeDelta) -> Result<(), sqlx::Error> {
    let (pool, now) = (&catalogue.database.primary, clock::now());
    write::purge_deleted(pool, now, retention).await?;
    idempotency::purge(pool, now).await?;
    import::finish_abandoned_imports(pool, &catalogue.outbox, now).await?;
    import::purge_abandoned_rows(pool, now).await?;
    search::refold(pool).await?;
    Ok(())
}
