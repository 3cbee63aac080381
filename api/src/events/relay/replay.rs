//! Publishes the events of the outbox again after the stream of changes was recreated.

use std::time::Duration;

use catalog_logging::Chain;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::events::{
    Nats,
    streams::{self, CHANGES_RETENTION},
};

/// Delay before the check at the start is repeated after an error.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Checks the streams before the relay publishes, and retries until the check succeeds. Returns false if `stop` was cancelled.
pub(super) async fn replay_at_start(nats: &Nats, pool: &PgPool, stop: &CancellationToken) -> bool {
    let checked = async {
        loop {
            nats.connected().await;
            if check(nats, pool).await {
                return;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    };
    stop.run_until_cancelled(checked).await.is_some()
}

/// Recreates missing streams and consumers until `stop`, and replays events into a recreated stream of changes.
pub(super) async fn watch(nats: &Nats, pool: &PgPool, stop: &CancellationToken) {
    while streams::check_due(nats, stop).await {
        check(nats, pool).await;
    }
}

/// Recreates missing streams and consumers, purges handled events and starts a replay if necessary. Returns whether it succeeded.
async fn check(nats: &Nats, pool: &PgPool) -> bool {
    let created = match streams::ensure_missing(nats).await {
        Ok(created) => created,
        Err(error) => {
            streams::log_failed_check(nats, &error);
            return false;
        }
    };
    match streams::purge_handled(nats).await {
        Ok(0) => {}
        Ok(events) => tracing::info!(events, "stream of changes over half full; handled events deleted"),
        Err(error) => tracing::warn!(error = %Chain(&error), "handled events not deleted; retrying"),
    }
    let replayed = replay_into(pool, &streams::changes_stream(nats.prefix()), created, Utc::now()).await;
    if let Err(error) = &replayed {
        tracing::warn!(error = %Chain(error), "stream check failed; retrying");
    }
    replayed.is_ok()
}

/// If the stream was created later than the one that is stored in `events.streams`, marks the events of the outbox as unpublished, so that
/// the relays publish them again. Returns the number of events.
async fn replay_into(pool: &PgPool, name: &str, created: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let known = sqlx::query_scalar!("SELECT created_at FROM events.streams WHERE name = $1", name).fetch_optional(pool).await?;
    if known.is_some_and(|known| known >= truncate_to_micros(created)) {
        return Ok(0);
    }
    let mut tx = pool.begin().await?;
    // Running relays may have published to the previous stream. Wait until they have marked those events as published.
    sqlx::query!("SELECT partition FROM events.outbox_partitions ORDER BY partition FOR UPDATE").fetch_all(&mut *tx).await?;
    let newer = sqlx::query!(
        "INSERT INTO events.streams AS known (name, created_at) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET created_at = EXCLUDED.created_at WHERE known.created_at < EXCLUDED.created_at",
        name,
        truncate_to_micros(created)
    )
    .execute(&mut *tx)
    .await?;
    let mut replayed = 0;
    if newer.rows_affected() > 0 {
        let since = now - TimeDelta::from_std(CHANGES_RETENTION).unwrap_or(TimeDelta::MAX);
        replayed = sqlx::query!("UPDATE events.outbox SET published_at = NULL WHERE published_at > $1", since)
            .execute(&mut *tx)
            .await?
            .rows_affected();
    }
    tx.commit().await?;
    if replayed > 0 {
        tracing::warn!(stream = name, events = replayed, "stream recreated; republishing events");
    }
    Ok(replayed)
}

/// Truncates a time to the precision of PostgreSQL, so that it is still equal after it was stored and read.
fn truncate_to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}
