//! The streams, the durable consumers and all names in NATS. No other module contains such a name.

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

/// How long the stream of changes keeps events for its consumers, and the outbox for a replay.
pub const CHANGES_RETENTION: Duration = Duration::from_hours(7 * 24);
/// How long the stream of views keeps views that are not counted.
pub const VIEWS_RETENTION: Duration = Duration::from_hours(3 * 24);

/// Kind of the event of a new order. The fulfiller's consumer filters by it.
pub const ORDER_CREATED: &str = "order.created";

/// Interval at which processes check whether streams and consumers exist.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// Minimum time between two checks.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Delay before a deleted stream is recreated, in which the server deletes its files.
const DELETION_DELAY: Duration = Duration::from_secs(1);

/// The durable consumer that turns changes into mail.
pub const NOTIFIER: Durable = Durable { name: "notifier", stream: changes_stream, handler_timeout: Duration::from_secs(8), batch: 256 };
/// The durable consumer that confirms new orders. Its batches are small, because each order is a transaction.
pub const FULFILLER: Durable = Durable { name: "fulfiller", stream: changes_stream, handler_timeout: Duration::from_secs(8), batch: 64 };
/// The durable consumer that counts views.
pub const TRACKER: Durable = Durable { name: "tracker", stream: views_stream, handler_timeout: Duration::from_secs(8), batch: 512 };

/// The name and the limits of a durable consumer.
#[derive(Debug, Clone, Copy)]
pub struct Durable {
    /// Name in its stream and in metrics.
    pub name: &'static str,
    /// Returns the name of its stream for a prefix.
    stream: fn(&str) -> String,
    /// Timeout of the handler for one batch. [`Self::ack_wait`] is longer.
    pub handler_timeout: Duration,
    /// Maximum number of messages in one batch.
    pub batch: usize,
}

impl Durable {
    /// Returns the time after which NATS redelivers a message. It is longer than the handler's timeout, so that no message is handled
    /// twice at the same time.
    #[must_use]
    pub fn ack_wait(&self) -> Duration {
        self.handler_timeout + Duration::from_secs(4)
    }
}

/// The reason why streams or consumers could not be checked or changed.
#[derive(Debug, Error)]
pub enum StreamsError {
    /// A stream cannot be read.
    #[error("cannot read the stream {0}")]
    Read(String, #[source] GetStreamError),
    /// A stream cannot be created or updated.
    #[error("cannot create or update the stream {0}")]
    Write(String, #[source] CreateStreamError),
    /// A consumer cannot be read.
    #[error("cannot read the consumer {0}")]
    ReadConsumer(&'static str, #[source] ConsumerInfoError),
    /// A consumer cannot be created.
    #[error("cannot create the consumer {0}")]
    CreateConsumer(&'static str, #[source] ConsumerCreateStrictError),
    /// A consumer cannot be updated.
    #[error("cannot update the consumer {0}")]
    UpdateConsumer(&'static str, #[source] ConsumerUpdateError),
}

/// Returns the name of the stream of changes. It keeps events for [`CHANGES_RETENTION`]. Handled ones are deleted earlier when it is more
/// than half full.
#[must_use]
pub fn changes_stream(prefix: &str) -> String {
    format!("{prefix}_changes")
}

/// Returns the name of the stream of views that are not counted yet.
#[must_use]
pub fn views_stream(prefix: &str) -> String {
    format!("{prefix}_views")
}

/// Returns the name of the stream of dead letters.
#[must_use]
pub fn dead_stream(prefix: &str) -> String {
    format!("{prefix}_dead")
}

/// Returns the subject of events of `kind`, such as `product.updated`.
#[must_use]
pub fn change_subject(prefix: &str, kind: &str) -> String {
    format!("{prefix}.changes.{kind}")
}

/// Returns the subject filter for changes of products.
#[must_use]
pub fn product_changes(prefix: &str) -> String {
    format!("{prefix}.changes.product.>")
}

/// Returns the subject filter for changes of orders.
#[must_use]
pub fn order_changes(prefix: &str) -> String {
    format!("{prefix}.changes.order.>")
}

/// Returns the subject of new orders.
#[must_use]
pub fn new_orders(prefix: &str) -> String {
    change_subject(prefix, ORDER_CREATED)
}

/// Returns the subject of batches of views.
#[must_use]
pub fn views_subject(prefix: &str) -> String {
    format!("{prefix}.views")
}

/// Returns the subject of the dead letters of `consumer`.
#[must_use]
pub fn dead_subject(prefix: &str, consumer: &str) -> String {
    format!("{prefix}.dead.{consumer}")
}

/// Creates missing streams and consumers, and updates those that an older release created. `catalog migrate` calls it. Larger size limits,
/// replicas and placements that an administrator has set are kept.
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
            let updated = stream::Config {
                max_bytes: wanted.max_bytes.max(found.max_bytes),
                num_replicas: found.num_replicas,
                placement: found.placement.clone(),
                ..wanted
            };
            nats.jetstream.update_stream(&updated).await.map_err(|error| StreamsError::Write(name.clone(), error))?;
            tracing::info!(stream = name, "stream updated");
        }
    }
    for (durable, wanted) in consumers(nats.prefix()) {
        let stream = (durable.stream)(nats.prefix());
        let handle = nats.jetstream.get_stream_no_info(&stream).await.map_err(|error| StreamsError::Read(stream.clone(), error))?;
        let found = handle.consumer_info(durable.name).await.map_err(|error| StreamsError::ReadConsumer(durable.name, error))?;
        if !is_current(&found.config.metadata) {
            handle.update_consumer(wanted).await.map_err(|error| StreamsError::UpdateConsumer(durable.name, error))?;
            tracing::info!(stream, consumer = durable.name, "consumer updated");
        }
    }
    Ok(())
}

/// Creates missing streams and consumers, and changes no others. All roles except `migrate` call it. Returns the time at which the stream
/// of changes was created.
///
/// # Errors
/// If NATS does not respond or rejects the request.
pub async fn ensure_missing(nats: &Nats) -> Result<DateTime<Utc>, StreamsError> {
    if let Some(created) = find_all(nats).await? {
        return Ok(created);
    }
    // nats-server (observed with 2.15.1) reports a stream as deleted before it has removed its files. A stream that is created in between
    // loses its files, and every write to it fails.
    tokio::time::sleep(DELETION_DELAY).await;
    create_missing(nats).await
}

/// Returns the creation time of the stream of changes, or `None` if a stream or consumer is missing.
async fn find_all(nats: &Nats) -> Result<Option<DateTime<Utc>>, StreamsError> {
    let [changes, views, dead] = streams(nats.prefix());
    let created = find_stream(nats, &changes.name).await?;
    let others_exist = find_stream(nats, &views.name).await?.is_some() && find_stream(nats, &dead.name).await?.is_some();
    if created.is_none() || !others_exist {
        return Ok(None);
    }
    for (durable, _) in consumers(nats.prefix()) {
        if !has_consumer(nats, durable).await? {
            return Ok(None);
        }
    }
    Ok(created)
}

async fn create_missing(nats: &Nats) -> Result<DateTime<Utc>, StreamsError> {
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
        Ok(new) => {
            tracing::info!(stream = name, "stream created");
            Ok(new.cached_info().created)
        }
        Err(error) => match error.kind() {
            // Another process, possibly of another release, created it first.
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
        // Another process, possibly of another release, created it first.
        Err(error) if error.kind() == ConsumerCreateStrictErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StreamsError::CreateConsumer(durable.name, error)),
    }
}

/// Returns a durable consumer with its current state.
///
/// # Errors
/// If NATS does not answer, or the consumer is missing.
pub(super) async fn consumer(nats: &Nats, durable: Durable) -> Result<Consumer<pull::Config>, ConsumerError> {
    nats.jetstream.get_consumer_from_stream(durable.name, (durable.stream)(nats.prefix())).await
}

/// Recreates deleted streams and consumers within seconds, until `stop`. Processes with a relay don't need it, because the relay does the
/// same.
///
/// # Errors
/// None: it retries until `stop`.
pub async fn recreate_missing_until_stopped(nats: Nats, stop: CancellationToken) -> anyhow::Result<()> {
    while check_due(&nats, &stop).await {
        if let Err(error) = ensure_missing(&nats).await {
            log_failed_check(&nats, &error);
        }
    }
    Ok(())
}

/// Waits until the next check is due. Returns false at `stop`.
pub(super) async fn check_due(nats: &Nats, stop: &CancellationToken) -> bool {
    let due = async {
        tokio::time::sleep(MIN_CHECK_INTERVAL).await;
        let _ = tokio::time::timeout(CHECK_INTERVAL.saturating_sub(MIN_CHECK_INTERVAL), nats.missing()).await;
        nats.connected().await;
    };
    stop.run_until_cancelled(due).await.is_some()
}

/// Logs a failed check, except while NATS is disconnected: the client logs that itself.
pub(super) fn log_failed_check(nats: &Nats, error: &StreamsError) {
    if nats.is_connected() {
        tracing::warn!(error = %Chain(error), "stream check failed; retrying");
    }
}
