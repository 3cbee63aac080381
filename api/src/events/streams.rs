//! The streams, the durable consumers and every name in NATS. No other module spells one.

mod definitions;
mod purge;

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    consumer::{Consumer, pull},
    context::{ConsumerInfoError, ConsumerInfoErrorKind, CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind},
    stream::{self, ConsumerCreateStrictError, ConsumerCreateStrictErrorKind, ConsumerError, ConsumerUpdateError},
};
use catalog_logging::Chain;
use chrono::{DateTime, Utc};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use self::definitions::{consumers, is_current, streams};
pub(super) use self::purge::purge_handled;
use super::Nats;

/// How long events wait for a consumer, and how long the outbox keeps them for a replay.
pub const CHANGES_KEPT: Duration = Duration::from_hours(7 * 24);
/// How long a view may wait for its counting; message ids are kept as long.
pub const VIEWS_KEPT: Duration = Duration::from_hours(3 * 24);

/// Event kind of a new order: the only kind that a consumer filters by.
pub const ORDER_CREATED: &str = "order.created";

/// How often the roles check whether streams and consumers exist.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// Shortest time between two checks.
const CHECK_PAUSE: Duration = Duration::from_millis(500);
/// How long a server may take to delete the files of a deleted stream.
const DELETION_TIME: Duration = Duration::from_secs(1);

/// The durable consumer that turns changes into mail.
pub const NOTIFIER: Durable = Durable { name: "notifier", stream: changes_stream, handler_timeout: Duration::from_secs(8), batch: 256 };
/// The durable consumer that confirms new orders, each in a transaction of its own: batches are small.
pub const FULFILLER: Durable = Durable { name: "fulfiller", stream: changes_stream, handler_timeout: Duration::from_secs(8), batch: 64 };
/// The durable consumer that counts views.
pub const TRACKER: Durable = Durable { name: "tracker", stream: views_stream, handler_timeout: Duration::from_secs(8), batch: 512 };

/// A durable consumer: its name and its limits.
#[derive(Debug, Clone, Copy)]
pub struct Durable {
    /// Name within its stream, and in metrics.
    pub name: &'static str,
    /// The name of its stream, given the prefix.
    stream: fn(&str) -> String,
    /// Timeout of the handler of one batch. Messages are redelivered a little later than that.
    pub handler_timeout: Duration,
    /// Most messages in one batch.
    pub batch: usize,
}

impl Durable {
    /// Longer than the handler's timeout, so that no message is handled twice at the same time.
    #[must_use]
    pub fn ack_wait(&self) -> Duration {
        self.handler_timeout + Duration::from_secs(4)
    }
}

/// Why streams and consumers could not be checked or changed.
#[derive(Debug, Error)]
pub enum StreamsError {
    /// A stream cannot be read.
    #[error("cannot read the stream {0}")]
    Read(String, #[source] GetStreamError),
    /// A stream cannot be made or upgraded.
    #[error("cannot make the stream {0}")]
    Write(String, #[source] CreateStreamError),
    /// A consumer cannot be read.
    #[error("cannot read the consumer {0}")]
    ReadConsumer(&'static str, #[source] ConsumerInfoError),
    /// A consumer cannot be made.
    #[error("cannot make the consumer {0}")]
    MakeConsumer(&'static str, #[source] ConsumerCreateStrictError),
    /// A consumer cannot be upgraded.
    #[error("cannot upgrade the consumer {0}")]
    UpgradeConsumer(&'static str, #[source] ConsumerUpdateError),
}

/// Events of the catalogue: kept for some days, and handled ones only while there is room.
#[must_use]
pub fn changes_stream(prefix: &str) -> String {
    format!("{prefix}_changes")
}

/// Views that wait to be counted.
#[must_use]
pub fn views_stream(prefix: &str) -> String {
    format!("{prefix}_views")
}

/// Dead letters: messages that could not be handled.
#[must_use]
pub fn dead_stream(prefix: &str) -> String {
    format!("{prefix}_dead")
}

/// Subject of an event of `kind`, such as `product.updated`.
#[must_use]
pub fn change_subject(prefix: &str, kind: &str) -> String {
    format!("{prefix}.changes.{kind}")
}

/// Filter for changes of products.
#[must_use]
pub fn product_changes(prefix: &str) -> String {
    format!("{prefix}.changes.product.>")
}

/// Filter for events of orders.
#[must_use]
pub fn order_changes(prefix: &str) -> String {
    format!("{prefix}.changes.order.>")
}

/// Filter for new orders.
#[must_use]
pub fn new_orders(prefix: &str) -> String {
    change_subject(prefix, ORDER_CREATED)
}

/// Subject of batches of views.
#[must_use]
pub fn views_subject(prefix: &str) -> String {
    format!("{prefix}.views")
}

/// Subject of the dead letters of `consumer`.
#[must_use]
pub fn dead_subject(prefix: &str, consumer: &str) -> String {
    format!("{prefix}.dead.{consumer}")
}

/// Creates what is missing and upgrades what an older release created; for `catalog migrate`. Larger limits and replicas that were set
/// by hand are kept.
///
/// # Errors
/// If NATS does not respond or rejects the request.
pub async fn ensure(nats: &Nats) -> Result<(), StreamsError> {
    ensure_missing(nats).await?;
    for wanted in streams(nats.prefix()) {
        let name = wanted.name.clone();
        let found = nats.jetstream.get_stream(&name).await.map_err(|error| StreamsError::Read(name.clone(), error))?;
        let found = &found.cached_info().config;
        if !is_current(&found.metadata) {
            let upgraded = stream::Config {
                max_bytes: wanted.max_bytes.max(found.max_bytes),
                num_replicas: found.num_replicas,
                placement: found.placement.clone(),
                ..wanted
            };
            nats.jetstream.update_stream(&upgraded).await.map_err(|error| StreamsError::Write(name.clone(), error))?;
            tracing::info!(stream = name, "stream updated");
        }
    }
    for (durable, wanted) in consumers(nats.prefix()) {
        let stream = (durable.stream)(nats.prefix());
        let handle = nats.jetstream.get_stream_no_info(&stream).await.map_err(|error| StreamsError::Read(stream.clone(), error))?;
        let found = handle.consumer_info(durable.name).await.map_err(|error| StreamsError::ReadConsumer(durable.name, error))?;
        if !is_current(&found.config.metadata) {
            handle.update_consumer(wanted).await.map_err(|error| StreamsError::UpgradeConsumer(durable.name, error))?;
            tracing::info!(stream, consumer = durable.name, "consumer updated");
        }
    }
    Ok(())
}

/// Creates what is missing and changes nothing else; for every other role. Returns the time at which the stream of changes was
/// created.
///
/// # Errors
/// If NATS does not respond or rejects the request.
pub async fn ensure_missing(nats: &Nats) -> Result<DateTime<Utc>, StreamsError> {
    if let Some(created) = find_all(nats).await? {
        return Ok(created);
    }
    // nats-server (seen with 2.15.1) reports a stream as deleted before it has removed its files: a stream that is created in between
    // loses its files and fails every write.
    tokio::time::sleep(DELETION_TIME).await;
    make_missing(nats).await
}

/// When the stream of changes was created, if nothing is missing.
async fn find_all(nats: &Nats) -> Result<Option<DateTime<Utc>>, StreamsError> {
    let [changes, views, dead] = streams(nats.prefix());
    let created = find_stream(nats, &changes.name).await?;
    let others = find_stream(nats, &views.name).await?.is_some() && find_stream(nats, &dead.name).await?.is_some();
    if created.is_none() || !others {
        return Ok(None);
    }
    for (durable, _) in consumers(nats.prefix()) {
        if !has_consumer(nats, durable).await? {
            return Ok(None);
        }
    }
    Ok(created)
}

async fn make_missing(nats: &Nats) -> Result<DateTime<Utc>, StreamsError> {
    let [changes, views, dead] = streams(nats.prefix());
    let created = ensure_stream(nats, changes).await?;
    ensure_stream(nats, views).await?;
    ensure_stream(nats, dead).await?;
    for (durable, wanted) in consumers(nats.prefix()) {
        ensure_consumer(nats, durable, wanted).await?;
    }
    Ok(created)
}

async fn find_stream(nats: &Nats, name: &str) -> Result<Option<DateTime<Utc>>, StreamsError> {
    match nats.jetstream.get_stream(name).await {
        Ok(found) => Ok(Some(found.cached_info().created)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(StreamsError::Read(name.to_owned(), error)),
        },
    }
}

async fn has_consumer(nats: &Nats, durable: Durable) -> Result<bool, StreamsError> {
    let stream = (durable.stream)(nats.prefix());
    let handle = nats.jetstream.get_stream_no_info(&stream).await.map_err(|error| StreamsError::Read(stream.clone(), error))?;
    match handle.consumer_info(durable.name).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(false),
        Err(error) => Err(StreamsError::ReadConsumer(durable.name, error)),
    }
}

async fn ensure_stream(nats: &Nats, wanted: stream::Config) -> Result<DateTime<Utc>, StreamsError> {
    let name = wanted.name.clone();
    if let Some(created) = find_stream(nats, &name).await? {
        return Ok(created);
    }
    match nats.jetstream.create_stream(wanted).await {
        Ok(made) => {
            tracing::info!(stream = name, "stream created");
            Ok(made.cached_info().created)
        }
        Err(error) => match error.kind() {
            // Another process, maybe of another release, created it first.
            CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {
                let found = nats.jetstream.get_stream(&name).await.map_err(|error| StreamsError::Read(name, error))?;
                Ok(found.cached_info().created)
            }
            _ => Err(StreamsError::Write(name, error)),
        },
    }
}

async fn ensure_consumer(nats: &Nats, durable: Durable, wanted: pull::Config) -> Result<(), StreamsError> {
    if has_consumer(nats, durable).await? {
        return Ok(());
    }
    let stream = (durable.stream)(nats.prefix());
    let handle = nats.jetstream.get_stream_no_info(&stream).await.map_err(|error| StreamsError::Read(stream.clone(), error))?;
    match handle.create_consumer_strict(wanted).await {
        Ok(_) => {
            tracing::info!(stream, consumer = durable.name, "consumer created");
            Ok(())
        }
        // Another process, maybe of another release, created it first.
        Err(error) if error.kind() == ConsumerCreateStrictErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StreamsError::MakeConsumer(durable.name, error)),
    }
}

/// Returns a durable consumer with its current state.
///
/// # Errors
/// If NATS does not answer, or the consumer is missing.
pub(super) async fn consumer(nats: &Nats, durable: Durable) -> Result<Consumer<pull::Config>, ConsumerError> {
    nats.jetstream.get_consumer_from_stream(durable.name, (durable.stream)(nats.prefix())).await
}

/// Recreates streams and consumers that were deleted by hand, within seconds. For the roles without a relay, which does the same.
///
/// # Errors
/// None: it retries until `stop`.
pub async fn keep(nats: Nats, stop: CancellationToken) -> anyhow::Result<()> {
    while check_due(&nats, &stop).await {
        if let Err(error) = ensure_missing(&nats).await {
            log_failed_check(&nats, &error);
        }
    }
    Ok(())
}

/// Resolves to true when the next check is due, and to false at `stop`.
pub(super) async fn check_due(nats: &Nats, stop: &CancellationToken) -> bool {
    let due = async {
        tokio::time::sleep(CHECK_PAUSE).await;
        let _ = tokio::time::timeout(CHECK_INTERVAL.saturating_sub(CHECK_PAUSE), nats.missing()).await;
        nats.connected().await;
    };
    stop.run_until_cancelled(due).await.is_some()
}

/// Logs a failed check, unless the connection is down, which is logged by the connection.
pub(super) fn log_failed_check(nats: &Nats, error: &StreamsError) {
    if nats.is_connected() {
        tracing::warn!(error = %Chain(error), "stream check failed; retrying");
    }
}
