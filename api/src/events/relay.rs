//! The relay publishes the events of the outbox to `JetStream` at least once, in order per aggregate. Several relays can run at the
//! same time: each locks the partitions that it publishes.

mod housekeeping;
mod publish;
mod replay;

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use catalog_logging::Chain;
use catalog_process::metrics;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use prometheus::IntCounter;
use sqlx::{PgConnection, PgPool, types::Json};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::publish::PendingEvent;
use super::{Ids, Nats, Outbox};
use crate::{backoff, database};

static PUBLISHED: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::register_counter("outbox_published_total", "Events published and acknowledged"));
static FAILED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::register_counter("outbox_publish_failures_total", "Events that were not acknowledged and will be published again")
});

/// Poll interval for rows that another process wrote.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Pause after a round that published events, in which further events accumulate: a round takes as long as a few orders. The first event
/// after an idle time is published without this pause.
const BATCH_WINDOW: Duration = Duration::from_millis(20);
/// Maximum number of rows of one partition in one transaction.
const ROWS_PER_PARTITION: i64 = 32;
/// Maximum number of payload bytes in one transaction, without the last row.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Error)]
enum RelayError {
    #[error("cannot read or update the outbox")]
    Database(#[from] sqlx::Error),
    #[error("cannot publish events")]
    Publish { events: Vec<Uuid>, source: async_nats::jetstream::context::PublishError },
}

/// The result of one round.
struct Round {
    /// Number of published events.
    published: usize,
    /// Whether the round has reached a limit, so that more events may be pending.
    full: bool,
    /// The error, if the database failed or an event was not published.
    failure: Option<RelayError>,
}

/// Publishes until `stop`, and then publishes the events that are still pending. Retries during outages of the database and of NATS.
///
/// # Errors
/// None: it retries.
pub async fn run(nats: Nats, pool: PgPool, outbox: Outbox, stop: CancellationToken) -> anyhow::Result<()> {
    LazyLock::force(&PUBLISHED);
    LazyLock::force(&FAILED);
    if !replay::replay_at_start(&nats, &pool, &stop).await {
        return Ok(());
    }
    let relay = Relay { nats: nats.clone(), pool: pool.clone() };
    tokio::join!(
        relay.run(&outbox, &stop),
        replay::watch(&nats, &pool, &stop),
        housekeeping::measure_backlog(&pool, &stop),
        housekeeping::purge_published(&pool, &stop)
    );
    Ok(())
}

struct Relay {
    nats: Nats,
    pool: PgPool,
}

impl Relay {
    async fn run(&self, outbox: &Outbox, stop: &CancellationToken) {
        let mut delays = backoff::delays();
        while stop.run_until_cancelled(self.nats.connected()).await.is_some() {
            let round = self.round().await;
            if let Some(error) = &round.failure {
                if self.nats.is_connected() {
                    let events: &[Uuid] = if let RelayError::Publish { events, .. } = error { events } else { &[] };
                    tracing::warn!(
                        error = %Chain(error),
                        published = round.published,
                        failed = events.len(),
                        event_ids = %Ids(events.iter()),
                        "events not published; retrying"
                    );
                }
                self.nats.report_missing();
            }
            if round.published > 0 {
                delays = backoff::delays();
                if round.full {
                    continue;
                }
                stop.run_until_cancelled(tokio::time::sleep(BATCH_WINDOW)).await;
                // Look for more rows at once: a fulfiller reacts to published events within milliseconds, and rows of other processes
                // don't wake this relay.
                if round.failure.is_none() {
                    continue;
                }
            } else if round.failure.is_some() {
                stop.run_until_cancelled(backoff::wait(&mut delays)).await;
                continue;
            }
            tokio::select! {
                () = outbox.woken() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = stop.cancelled() => break,
            }
        }
        // Publish the events of the last requests. If NATS is unavailable, another relay publishes them later.
        while self.nats.is_connected() {
            let round = self.round().await;
            if round.published == 0 || !round.full {
                break;
            }
        }
    }

    async fn round(&self) -> Round {
        self.publish_batch().await.unwrap_or_else(|error| Round { published: 0, full: false, failure: Some(error.into()) })
    }

    /// Locks the partitions that no other relay has locked, publishes the first rows of each, and marks the acknowledged ones as published.
    async fn publish_batch(&self) -> Result<Round, sqlx::Error> {
        let empty = Round { published: 0, full: false, failure: None };
        let mut tx = database::begin_with_index_scans(&self.pool).await?;
        let partitions = lock_partitions(&mut tx).await?;
        if partitions.is_empty() {
            tx.commit().await?;
            return Ok(empty);
        }
        let (pending, full) = read_pending(&mut tx, &partitions).await?;
        let outcome = publish::publish(&self.nats, pending).await;
        let published = outcome.published.len();
        mark_published(&mut tx, &outcome.published, Utc::now()).await?;
        tx.commit().await?;
        PUBLISHED.inc_by(published as u64);
        FAILED.inc_by(outcome.failed.len() as u64);
        let failure = outcome.error.map(|source| RelayError::Publish { events: outcome.failed, source });
        Ok(Round { published, full, failure })
    }
}

/// Locks the partitions that have pending rows and are not locked. With the scalar subquery, PostgreSQL does one index lookup per
/// partition; with EXISTS it would join all pending rows. The timeout releases the partitions of a relay that hangs or whose machine has
/// failed.
async fn lock_partitions(tx: &mut PgConnection) -> Result<Vec<i16>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT p.partition, set_config('idle_in_transaction_session_timeout', '60s', true)
           FROM events.outbox_partitions p
           WHERE (SELECT o.partition FROM events.outbox o WHERE o.partition = p.partition AND o.published_at IS NULL LIMIT 1) IS NOT NULL
           ORDER BY p.partition FOR UPDATE OF p SKIP LOCKED"#
    );
    Ok(rows.fetch_all(tx).await?.into_iter().map(|row| row.partition).collect())
}

/// Reads the first rows of each partition, and returns whether there may be more.
async fn read_pending(tx: &mut PgConnection, partitions: &[i16]) -> Result<(Vec<PendingEvent>, bool), sqlx::Error> {
    let mut rows = sqlx::query!(
        r#"SELECT o.seq, o.partition, o.id, o.aggregate_id, o.subject, o.headers AS "headers!: Json<HashMap<String, String>>", o.payload AS "payload!"
           FROM unnest($1::smallint[]) AS p (partition)
           CROSS JOIN LATERAL (
               SELECT * FROM events.outbox
               WHERE partition = p.partition AND published_at IS NULL
               ORDER BY seq LIMIT $2
           ) o"#,
        partitions,
        ROWS_PER_PARTITION
    )
    .fetch(tx);
    let mut pending = Vec::new();
    let mut bytes = 0;
    let mut full = false;
    let mut in_partition = (-1, 0);
    while let Some(row) = rows.try_next().await? {
        in_partition = if in_partition.0 == row.partition { (row.partition, in_partition.1 + 1) } else { (row.partition, 1) };
        full |= bytes > BATCH_BYTES || in_partition.1 == ROWS_PER_PARTITION;
        // The next round publishes the rows after the limit, so that the order within a partition is kept.
        if bytes <= BATCH_BYTES {
            bytes += row.payload.len();
            pending.push(PendingEvent {
                seq: row.seq,
                id: row.id,
                aggregate_id: row.aggregate_id,
                kind: row.subject,
                headers: row.headers.0,
                payload: row.payload.into(),
            });
        }
    }
    Ok((pending, full))
}

async fn mark_published(tx: &mut PgConnection, seqs: &[i64], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    if !seqs.is_empty() {
        sqlx::query!("UPDATE events.outbox SET published_at = $2 WHERE seq = ANY($1)", seqs, now).execute(tx).await?;
    }
    Ok(())
}
