//! The relay: publishes the outbox to `JetStream`, in order for every aggregate, at least once.
//! Any number of relays share the work by locking partitions.

mod publish;
mod replay;
mod upkeep;

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use catalog_logging::Chain;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use prometheus::IntCounter;
use sqlx::{PgConnection, PgPool, types::Json};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::publish::Waiting;
use super::{Ids, Nats, Outbox};
use crate::{backoff, database, metrics};

static PUBLISHED: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::register_counter("outbox_published_total", "Events published and acknowledged"));
static FAILED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::register_counter("outbox_publish_failures_total", "Events that were not acknowledged and will be published again")
});

/// Longest delay of a row that another process wrote.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Batch window after a round: a round costs as much as a few orders. The first event after an idle time does not wait.
const BATCH_WINDOW: Duration = Duration::from_millis(20);
/// Most rows of one partition in one transaction.
const ROWS_PER_PARTITION: i64 = 32;
/// Most payload bytes in memory, not counting the last row.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Error)]
enum RelayError {
    #[error("the outbox cannot be read")]
    Database(#[from] sqlx::Error),
    #[error("events are not published")]
    Publish { events: Vec<Uuid>, source: async_nats::jetstream::context::PublishError },
}

/// The result of one round.
struct Round {
    /// Rows that were published.
    published: usize,
    /// Whether more rows may be pending.
    full: bool,
    /// Why others were not.
    failure: Option<RelayError>,
}

/// Publishes until `stop`, and once more after it. Retries during outages of the database and of NATS.
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
    tokio::join!(relay.run(&outbox, &stop), replay::watch(&nats, &pool, &stop), upkeep::measure(&pool, &stop), upkeep::purge(&pool, &stop));
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
                // Rows that other processes wrote meanwhile wake no relay; a fulfiller writes some within milliseconds.
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
        // Publishes what the last requests wrote. Without NATS the next relay does.
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

    /// Locks the partitions that no other relay has locked, publishes the first rows of each, and marks those acknowledged.
    async fn publish_batch(&self) -> Result<Round, sqlx::Error> {
        let nothing = Round { published: 0, full: false, failure: None };
        let mut tx = database::begin_with_index_scans(&self.pool).await?;
        let partitions = lock_partitions(&mut tx).await?;
        if partitions.is_empty() {
            tx.commit().await?;
            return Ok(nothing);
        }
        let (waiting, full) = read_waiting(&mut tx, &partitions).await?;
        let outcome = publish::publish(&self.nats, waiting).await;
        let published = outcome.published.len();
        mark_published(&mut tx, &outcome.published, Utc::now()).await?;
        tx.commit().await?;
        PUBLISHED.inc_by(published as u64);
        FAILED.inc_by(outcome.failed.len() as u64);
        let failure = outcome.error.map(|source| RelayError::Publish { events: outcome.failed, source });
        Ok(Round { published, full, failure })
    }
}

/// Locks the unlocked partitions with pending rows. The scalar subquery makes PostgreSQL do one index lookup per partition; EXISTS becomes
/// a join over all pending rows. The timeout releases the partitions of a relay that hangs or whose machine has failed.
async fn lock_partitions(tx: &mut PgConnection) -> Result<Vec<i16>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT p.partition, set_config('idle_in_transaction_session_timeout', '60s', true)
           FROM events.outbox_partitions p
           WHERE (SELECT o.partition FROM events.outbox o WHERE o.partition = p.partition AND o.published_at IS NULL LIMIT 1) IS NOT NULL
           ORDER BY p.partition FOR UPDATE OF p SKIP LOCKED"#
    );
    Ok(rows.fetch_all(tx).await?.into_iter().map(|row| row.partition).collect())
}

/// The first rows of each partition, and whether there may be more.
async fn read_waiting(tx: &mut PgConnection, partitions: &[i16]) -> Result<(Vec<Waiting>, bool), sqlx::Error> {
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
    let mut waiting = Vec::new();
    let mut bytes = 0;
    let mut full = false;
    let mut in_partition = (-1, 0);
    while let Some(row) = rows.try_next().await? {
        in_partition = if in_partition.0 == row.partition { (row.partition, in_partition.1 + 1) } else { (row.partition, 1) };
        full |= bytes > BATCH_BYTES || in_partition.1 == ROWS_PER_PARTITION;
        // The rows after the cut are left to the next round, which keeps the order within a partition.
        if bytes <= BATCH_BYTES {
            bytes += row.payload.len();
            waiting.push(Waiting {
                seq: row.seq,
                id: row.id,
                aggregate_id: row.aggregate_id,
                kind: row.subject,
                headers: row.headers.0,
                payload: row.payload.into(),
            });
        }
    }
    Ok((waiting, full))
}

async fn mark_published(tx: &mut PgConnection, seqs: &[i64], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    if !seqs.is_empty() {
        sqlx::query!("UPDATE events.outbox SET published_at = $2 WHERE seq = ANY($1)", seqs, now).execute(tx).await?;
    }
    Ok(())
}
