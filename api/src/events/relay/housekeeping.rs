//! Housekeeping of the outbox: measures the pending events and purges published ones.

use std::{sync::LazyLock, time::Duration};

use catalog_logging::Chain;
use catalog_process::metrics;
use chrono::{DateTime, TimeDelta, Utc};
use prometheus::{Gauge, IntGauge, register_gauge};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{database, events::streams::CHANGES_RETENTION};

static ROWS: LazyLock<IntGauge> = LazyLock::new(|| metrics::register_gauge("outbox_rows", "Events that wait to be published"));
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static OLDEST_AGE: LazyLock<Gauge> = LazyLock::new(|| {
    register_gauge!("outbox_oldest_age_seconds", "How long the oldest event has waited to be published; 0 when none waits")
        .expect("a metric of this name is registered once")
});

const MEASURE_INTERVAL: Duration = Duration::from_secs(3);
const PURGE_INTERVAL: Duration = Duration::from_mins(5);
/// Maximum number of rows deleted in one transaction.
const PURGE_BATCH: i64 = 1000;

/// Updates the gauges of the outbox every [`MEASURE_INTERVAL`] until `stop`.
pub(super) async fn measure_backlog(pool: &PgPool, stop: &CancellationToken) {
    loop {
        match read_backlog(pool).await {
            Ok((rows, oldest)) => {
                ROWS.set(rows);
                let age = oldest.map_or(0, |oldest| (Utc::now() - oldest).num_milliseconds().max(0));
                #[allow(clippy::cast_precision_loss, reason = "milliseconds of some years fit")]
                OLDEST_AGE.set(age as f64 / 1000.0);
            }
            Err(error) => tracing::debug!(error = %Chain(&error), "outbox backlog not measured"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(MEASURE_INTERVAL)).await.is_none() {
            return;
        }
    }
}

async fn read_backlog(pool: &PgPool) -> Result<(i64, Option<DateTime<Utc>>), sqlx::Error> {
    let mut tx = database::begin_with_index_scans(pool).await?;
    let row = sqlx::query!(r#"SELECT count(*) AS "rows!", min(created_at) AS oldest FROM events.outbox WHERE published_at IS NULL"#)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok((row.rows, row.oldest))
}

/// Deletes events that were published more than [`CHANGES_RETENTION`] ago, until `stop`.
pub(super) async fn purge_published(pool: &PgPool, stop: &CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PURGE_INTERVAL)).await.is_some() {
        let before = Utc::now() - TimeDelta::from_std(CHANGES_RETENTION).unwrap_or(TimeDelta::MAX);
        loop {
            match purge_batch(pool, before).await {
                Ok(deleted) if deleted < PURGE_BATCH.unsigned_abs() || stop.is_cancelled() => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "outbox purge failed; retrying");
                    break;
                }
            }
        }
    }
}

async fn purge_batch(pool: &PgPool, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM events.outbox WHERE seq IN (
             SELECT seq FROM events.outbox WHERE published_at < $1 ORDER BY published_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        before,
        PURGE_BATCH
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
