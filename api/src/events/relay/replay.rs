//! Publishes the events of the outbox again when the stream of changes was recreated.

use std::time::Duration;

use catalog_logging::Chain;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::events::{
    Nats,
    streams::{self, CHANGES_KEPT},
};

/// Delay before the first check is repeated.
const RETRY: Duration = Duration::from_secs(1);

/// Looks once before anything is published, however long that takes: to false when stopped meanwhile.
pub(super) async fn first(nats: &Nats, pool: &PgPool, stop: &CancellationToken) -> bool {
    let looked = async {
        loop {
            nats.connected().await;
            if check(nats, pool).await {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    stop.run_until_cancelled(looked).await.is_some()
}

/// Makes missing streams and consumers again until `stop`, and replays into a new stream of changes.
pub(super) async fn watch(nats: &Nats, pool: &PgPool, stop: &CancellationToken) {
    while streams::check_due(nats, stop).await {
        check(nats, pool).await;
    }
}

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

/// Lets the relays publish the kept events again if the stream is newer than the one known.
/// Gives how many those are.
async fn replay_into(pool: &PgPool, name: &str, created: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let known = sqlx::query_scalar!("SELECT created_at FROM events.streams WHERE name = $1", name).fetch_optional(pool).await?;
    if known.is_some_and(|known| known >= micros(created)) {
        return Ok(0);
    }
    let mut tx = pool.begin().await?;
    // Relays at work have published to the stream before: wait until they have marked that.
    sqlx::query!("SELECT partition FROM events.outbox_partitions ORDER BY partition FOR UPDATE").fetch_all(&mut *tx).await?;
    let newer = sqlx::query!(
        "INSERT INTO events.streams AS known (name, created_at) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET created_at = EXCLUDED.created_at WHERE known.created_at < EXCLUDED.created_at",
        name,
        micros(created)
    )
    .execute(&mut *tx)
    .await?;
    let mut replayed = 0;
    if newer.rows_affected() > 0 {
        let since = now - TimeDelta::from_std(CHANGES_KEPT).unwrap_or(TimeDelta::MAX);
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

/// PostgreSQL's precision: what is written must compare equal to what is read.
fn micros(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}
