//! Housekeeping of notifications: measures the backlog of deliveries and purges old messages.

use std::time::Duration;

use catalog_logging::Chain;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::metrics;

const MEASURE_INTERVAL: Duration = Duration::from_secs(3);
const PURGE_INTERVAL: Duration = Duration::from_hours(1);
/// How long messages are kept after their last delivery.
const RETENTION: TimeDelta = TimeDelta::days(30);
/// Maximum number of messages deleted in one transaction.
const PURGE_BATCH: i64 = 500;

/// Updates the gauges of the backlog until `stop`.
///
/// # Errors
/// None.
pub async fn measure_backlog(pool: PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        match read_backlog(&pool, Utc::now() - RETENTION).await {
            Ok(backlog) => {
                let age = backlog.oldest.map_or(0.0, |oldest| (Utc::now() - oldest).as_seconds_f64().max(0.0));
                metrics::set_backlog(backlog.pending, backlog.refused, age);
            }
            Err(error) => tracing::debug!(error = %Chain(&error), "delivery backlog not measured"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(MEASURE_INTERVAL)).await.is_none() {
            return Ok(());
        }
    }
}

struct Backlog {
    pending: i64,
    refused: i64,
    oldest: Option<DateTime<Utc>>,
}

async fn read_backlog(pool: &PgPool, since: DateTime<Utc>) -> Result<Backlog, sqlx::Error> {
    sqlx::query_as!(
        Backlog,
        r#"SELECT
               (SELECT count(*) FROM notifications.deliveries WHERE state = 'pending') AS "pending!",
               (SELECT count(*) FROM notifications.deliveries WHERE state = 'refused' AND finished_at > $1) AS "refused!",
               (SELECT min(created_at) FROM notifications.deliveries WHERE state = 'pending') AS oldest"#,
        since
    )
    .fetch_one(pool)
    .await
}

/// Deletes messages whose last delivery was finished before [`RETENTION`], until `stop`.
///
/// # Errors
/// None.
pub async fn purge_messages(pool: PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(PURGE_INTERVAL)).await.is_some() {
        let before = Utc::now() - RETENTION;
        loop {
            match purge_batch(&pool, before).await {
                Ok(deleted) if deleted < PURGE_BATCH.unsigned_abs() || stop.is_cancelled() => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "message purge failed; retrying");
                    break;
                }
            }
        }
    }
    Ok(())
}

async fn purge_batch(pool: &PgPool, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM notifications.messages WHERE event_id IN (
             SELECT event_id FROM notifications.messages m
             WHERE created_at < $1
               AND NOT EXISTS (
                   SELECT FROM notifications.deliveries d
                   WHERE d.event_id = m.event_id AND (d.state = 'pending' OR d.finished_at >= $1))
             LIMIT $2 FOR UPDATE SKIP LOCKED)",
        before,
        PURGE_BATCH
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
