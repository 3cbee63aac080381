//! Consumers. They fetch messages in batches, and acknowledge each message after it was handled.

mod dead;

use std::{sync::LazyLock, time::Duration};

use async_nats::jetstream::{
    AckKind, Message,
    consumer::{Consumer, pull},
};
use async_nats::{HeaderValue, header::NATS_MESSAGE_ID};
use backon::ExponentialBackoff;
use catalog_logging::Chain;
use futures::StreamExt;
use prometheus::{IntCounterVec, IntGaugeVec, register_int_counter_vec, register_int_gauge_vec};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::{
    Ids, Nats,
    streams::{self, Durable},
};
use crate::{backoff, database};

#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static LAG: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("consumer_lag", "Messages not yet delivered to the consumer, or not yet acknowledged by it", &["consumer"])
        .expect("a metric of this name is registered once")
});
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static HANDLED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "consumer_messages_total",
        "Messages by outcome: acknowledged, redelivered or dead_lettered",
        &["consumer", "outcome"]
    )
    .expect("a metric of this name is registered once")
});

/// Largest batch in bytes. NATS closes a connection with 64 MiB pending (`max_pending`), which a backlog of large messages would
/// reach in one fetch.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How long one fetch waits for messages.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// How much longer than [`FETCH_TIMEOUT`] the client waits for the reply to a fetch.
const FETCH_GRACE: Duration = Duration::from_secs(1);
/// Interval at which the lag is measured.
const LAG_INTERVAL: Duration = Duration::from_secs(3);
/// Delay before an unhandled message is redelivered.
const REDELIVERY_DELAY: Duration = Duration::from_millis(100);

/// The handler of a consumer's messages.
pub trait Handle: Send + Sync + 'static {
    /// Handles a batch, which is never empty. Messages may be delivered more than once. The returned messages are dead-lettered, the
    /// others acknowledged.
    ///
    /// # Errors
    /// If the batch was not handled completely. All its messages are then handled again.
    fn handle(&self, batch: &[Incoming]) -> impl Future<Output = Result<Vec<Malformed>, HandleError>> + Send;
}

/// A received message.
pub struct Incoming(Message);

impl Incoming {
    /// Returns the payload of the message.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// Returns the message id, which is the id of the event.
    fn id(&self) -> &str {
        self.header(NATS_MESSAGE_ID.as_ref()).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.as_ref()?.get(name).map(HeaderValue::as_str)
    }

    /// Returns a span for the handling of this message. Its `request_id` is that of the request that wrote the event.
    #[must_use]
    pub fn span(&self) -> Span {
        let delivered = self.0.info().map_or(0, |info| info.delivered);
        // Error level, so that no log filter drops the span.
        tracing::error_span!(
            "message",
            event_id = self.id(),
            event_type = self.0.subject.split_once(".changes.").map_or(self.0.subject.as_str(), |(_, kind)| kind),
            request_id = self.header("X-Request-Id"),
            traceparent = self.header("traceparent"),
            attempt = delivered,
        )
    }
}

/// A message that no release can handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Index of the message in the batch.
    pub index: usize,
    /// Why it is malformed. It becomes a header of the dead letter.
    pub reason: String,
}

/// The reason why a batch was not handled.
#[derive(Debug, Error)]
pub enum HandleError {
    /// A dependency is unavailable. The batch is redelivered.
    #[error("handling failed temporarily")]
    Transient(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A message of the batch cannot be handled. Each message is then handled alone, and those that fail again are dead-lettered.
    #[error("handling failed permanently")]
    Permanent(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sqlx::Error> for HandleError {
    fn from(error: sqlx::Error) -> Self {
        // The message causes errors of the SQLSTATE classes 22 (data exception) and 23 (integrity constraint violation; PostgreSQL
        // manual, appendix A), and of values that cannot be encoded or decoded.
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let is_caused_by_message = code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
            || matches!(error, sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. });
        if is_caused_by_message && !database::is_outage(&error) { Self::Permanent(error.into()) } else { Self::Transient(error.into()) }
    }
}

#[derive(Debug, Error)]
enum PullError {
    #[error("cannot find the consumer")]
    Consumer(#[from] async_nats::jetstream::stream::ConsumerError),
    #[error("cannot request messages")]
    Request(#[from] pull::BatchError),
    #[error("cannot receive messages")]
    Messages(#[source] async_nats::Error),
}

/// Consumes until `stop`, then finishes and acknowledges the batch in flight. Continues after outages of NATS, and recreates a deleted
/// consumer.
///
/// # Errors
/// None: it retries.
pub async fn run(nats: Nats, durable: Durable, handler: impl Handle, stop: CancellationToken) -> anyhow::Result<()> {
    let worker = Worker { nats: nats.clone(), durable, handler };
    let span = tracing::error_span!("consumer", consumer = durable.name);
    tokio::select! {
        () = worker.run(&stop).instrument(span) => {}
        () = measure_lag(&nats, durable) => {}
    }
    // Acknowledgements are sent asynchronously, so wait until they are.
    if nats.is_connected() {
        let _ = tokio::time::timeout(FETCH_GRACE, nats.client.flush()).await;
    }
    Ok(())
}

struct Worker<H> {
    nats: Nats,
    durable: Durable,
    handler: H,
}

impl<H: Handle> Worker<H> {
    async fn run(&self, stop: &CancellationToken) {
        let mut delays = backoff::delays();
        while stop.run_until_cancelled(self.nats.connected()).await.is_some() {
            if let Err(error) = self.pull(stop, &mut delays).await {
                if self.nats.is_connected() {
                    tracing::warn!(error = %Chain(&error), "consumer unavailable; retrying");
                }
                if let Err(error) = streams::ensure_missing(&self.nats).await {
                    streams::log_failed_check(&self.nats, &error);
                }
                stop.run_until_cancelled(backoff::wait(&mut delays)).await;
            }
        }
    }

    /// Fetches and handles batches until `stop`, until the connection is lost, or until an error.
    async fn pull(&self, stop: &CancellationToken, delays: &mut ExponentialBackoff) -> Result<(), PullError> {
        let consumer = streams::consumer(&self.nats, self.durable).await?;
        while !stop.is_cancelled() && self.nats.is_connected() {
            let batch = self.fetch(&consumer, stop).await?;
            *delays = backoff::delays();
            if !batch.is_empty() {
                self.handle_or_split(&batch, stop).await;
            }
        }
        Ok(())
    }

    /// Fetches a batch. Waits for messages if there are none, and returns an empty batch after [`FETCH_TIMEOUT`] or at `stop`.
    async fn fetch(&self, consumer: &Consumer<pull::Config>, stop: &CancellationToken) -> Result<Vec<Incoming>, PullError> {
        let mut messages =
            consumer.fetch().max_messages(self.durable.batch).max_bytes(MAX_BATCH_BYTES).expires(FETCH_TIMEOUT).messages().await?;
        let mut batch = Vec::new();
        let deadline = tokio::time::sleep(FETCH_TIMEOUT + FETCH_GRACE);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                biased;
                message = messages.next() => match message {
                    Some(Ok(message)) => batch.push(Incoming(message)),
                    Some(Err(error)) if batch.is_empty() => return Err(PullError::Messages(error)),
                    Some(Err(_)) | None => break,
                },
                () = stop.cancelled(), if batch.is_empty() => break,
                () = &mut deadline => break,
            }
        }
        Ok(batch)
    }

    /// Handles a batch. After a permanent error, handles each of its messages alone. Unhandled messages are redelivered.
    async fn handle_or_split(&self, batch: &[Incoming], stop: &CancellationToken) {
        let result = match self.handle_once(batch).await {
            Err(HandleError::Permanent(_)) if batch.len() > 1 => {
                let mut result = Ok(());
                for message in batch.chunks(1) {
                    result = result.and(self.handle_once(message).await);
                }
                result
            }
            other => other,
        };
        if let Err(HandleError::Transient(error) | HandleError::Permanent(error)) = result {
            let event_ids = Ids(batch.iter().map(Incoming::id));
            tracing::warn!(error = %Chain(&*error), messages = batch.len(), %event_ids, "messages not handled; redelivering");
            stop.run_until_cancelled(tokio::time::sleep(backoff::LONGEST)).await;
        }
    }

    /// Calls the handler once. Acknowledges handled messages, dead-letters malformed ones, and requests redelivery after a transient
    /// error. Returns [`HandleError::Permanent`] only for a batch of several messages, and then acknowledges none of them.
    async fn handle_once(&self, batch: &[Incoming]) -> Result<(), HandleError> {
        let span = if let [message] = batch { message.span() } else { Span::current() };
        let handled = tokio::time::timeout(self.durable.handler_timeout, self.handler.handle(batch).instrument(span)).await;
        match handled.unwrap_or_else(|elapsed| Err(HandleError::Transient(elapsed.into()))) {
            Ok(malformed) => {
                self.acknowledge_batch(batch, &malformed).await;
                Ok(())
            }
            Err(HandleError::Permanent(error)) if batch.len() == 1 => {
                let reason = Chain(&*error).to_string();
                self.acknowledge_batch(batch, &[Malformed { index: 0, reason }]).await;
                Ok(())
            }
            Err(HandleError::Transient(error)) => {
                self.acknowledge_with(batch.iter(), AckKind::Nak(Some(REDELIVERY_DELAY)), "redelivered").await;
                Err(HandleError::Transient(error))
            }
            Err(permanent) => Err(permanent),
        }
    }

    /// Dead-letters the malformed messages of a batch and acknowledges the others.
    async fn acknowledge_batch(&self, batch: &[Incoming], malformed: &[Malformed]) {
        let is_malformed = |index: usize| malformed.iter().any(|message| message.index == index);
        let handled = batch.iter().enumerate().filter(|(index, _)| !is_malformed(*index)).map(|(_, message)| message);
        self.acknowledge_with(handled, AckKind::Ack, "acknowledged").await;
        let dead_letters = malformed
            .iter()
            .filter_map(|m| Some((batch.get(m.index)?, m)))
            .map(|(message, m)| self.dead_letter(message, &m.reason).instrument(message.span()));
        futures::future::join_all(dead_letters).await;
    }

    async fn dead_letter(&self, message: &Incoming, reason: &str) {
        match dead::publish(&self.nats, self.durable, &message.0, reason).await {
            Ok(()) => {
                tracing::error!(reason, "message dead-lettered");
                self.acknowledge_with(std::iter::once(message), AckKind::Term, "dead_lettered").await;
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), reason, "message not dead-lettered; redelivering");
                let delivered = message.0.info().map_or(0, |info| u32::try_from(info.delivered).unwrap_or(0));
                let delay = backoff::LONGEST.saturating_mul(1 << delivered.min(7));
                self.acknowledge_with(std::iter::once(message), AckKind::Nak(Some(delay)), "redelivered").await;
            }
        }
    }

    async fn acknowledge_with(&self, messages: impl Iterator<Item = &Incoming>, kind: AckKind, outcome: &str) {
        let counter = HANDLED.with_label_values(&[self.durable.name, outcome]);
        for message in messages {
            // If an acknowledgement is lost, the message is redelivered. Every handler accepts a message more than once.
            if let Err(error) = message.0.ack_with(kind).await {
                tracing::debug!(%error, event_id = message.id(), "acknowledgement failed");
            }
            counter.inc();
        }
    }
}

async fn measure_lag(nats: &Nats, durable: Durable) {
    let gauge = LAG.with_label_values(&[durable.name]);
    loop {
        nats.connected().await;
        if let Ok(consumer) = streams::consumer(nats, durable).await {
            let info = consumer.cached_info();
            gauge.set(i64::try_from(info.num_pending).unwrap_or(i64::MAX).saturating_add(i64::try_from(info.num_ack_pending).unwrap_or(0)));
        }
        tokio::time::sleep(LAG_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_the_database_is_transient() {
        for error in [sqlx::Error::PoolTimedOut, sqlx::Error::WorkerCrashed, sqlx::Error::Protocol("broken".into())] {
            assert!(matches!(HandleError::from(error), HandleError::Transient(_)));
        }
    }

    #[test]
    fn a_value_that_cannot_be_decoded_is_a_permanent_error() {
        assert!(matches!(HandleError::from(sqlx::Error::Decode("not a number".into())), HandleError::Permanent(_)));
    }
}
