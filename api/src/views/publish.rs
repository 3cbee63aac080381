//! Publishing views. They are collected for a flush interval and built into a batch with an id, whose bytes are resent
//! unchanged until they are acknowledged.

use std::{
    fmt::Display,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_nats::jetstream::{
    context::{PublishError, PublishErrorKind},
    message::PublishMessage,
};
use bytes::Bytes;
use catalog_process::metrics;
use chrono::Utc;
use futures::{StreamExt, stream::FuturesUnordered};
use prometheus::IntCounter;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    batch::{Batch, BatchBuilder},
    counters::Views,
};
use crate::{
    backoff,
    config::ViewsSettings,
    events::{Nats, streams},
};

/// Maximum number of unacknowledged batches. When it is reached, further views stay in the counters.
const MAX_IN_FLIGHT: usize = 8;
/// Age at which an unpublished batch is dropped. It is below `message::MAX_AGE`, after which duplicates are not detected.
const MAX_AGE: Duration = Duration::from_hours(24);
/// Interval at which the current hour and the gauge are updated.
const CLOCK_INTERVAL: Duration = Duration::from_millis(250);

static VIEWS_PUBLISHED: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::register_counter("views_published_total", "Views in batches acknowledged by NATS"));

/// Receiver of batches: the views stream.
pub trait Sink: Send + Sync {
    /// Error of [`Sink::send`].
    type Error: Display + Send;

    /// Sends a message and waits until it is stored. It can be stored even if this fails.
    fn send(&self, id: Uuid, payload: Bytes) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Maximum size of a message with headers, in bytes.
    fn max_payload(&self) -> usize;
}

/// Error of sending a batch to NATS.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Nothing was sent. The client would buffer the message and send it later, in addition to the retry.
    #[error("not connected to NATS")]
    NotConnected,
    /// The batch may be stored or not.
    #[error("no acknowledgement")]
    Unacknowledged(#[from] PublishError),
}

impl Sink for Nats {
    type Error = SinkError;

    async fn send(&self, id: Uuid, payload: Bytes) -> Result<(), SinkError> {
        if !self.is_connected() {
            return Err(SinkError::NotConnected);
        }
        let message = PublishMessage::build().message_id(id.to_string()).payload(payload);
        let publish = async { self.jetstream.send_publish(streams::views_subject(self.prefix()), message).await?.await };
        publish.await.map(drop).map_err(|error| {
            if error.kind() == PublishErrorKind::StreamNotFound {
                self.report_missing();
            }
            error.into()
        })
    }

    fn max_payload(&self) -> usize {
        self.client.max_payload()
    }
}

/// Publishes the views that [`Views`] collects.
pub struct Publisher<S> {
    views: Views,
    flush_interval: Duration,
    source: Arc<str>,
    sink: S,
}

impl Views {
    /// Creates the counters and the task that publishes them. `source` is the public URL of the installation.
    #[must_use]
    pub fn new(settings: ViewsSettings, nats: Nats, source: &str) -> (Self, Publisher<Nats>) {
        let views = Self::empty(settings.buffer_limit, Utc::now());
        let publisher = Publisher { views: views.clone(), flush_interval: settings.flush_interval, source: source.into(), sink: nats };
        (views, publisher)
    }
}

impl<S: Sink> Publisher<S> {
    /// Publishes until `stop` and then publishes the rest. Cancel `stop` after the last view is counted, when the API has
    /// answered its last request.
    ///
    /// # Errors
    /// If a batch cannot be serialised.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        LazyLock::force(&VIEWS_PUBLISHED);
        let Self { views, sink, .. } = &self;
        let _unpublished = Unpublished(views);
        let mut builder = BatchBuilder::new(views.clone(), &self.source);
        let mut sending = FuturesUnordered::new();
        let mut flush = ticks(self.flush_interval);
        let mut clock = ticks(CLOCK_INTERVAL);
        let mut due = false;
        let mut stopping = false;
        while !stopping || views.waiting() > 0 {
            tokio::select! {
                _ = flush.tick() => due = true,
                _ = clock.tick() => views.set_time(Utc::now()),
                Some((batch, stored)) = sending.next() => record_outcome(views, &batch, stored),
                () = stop.cancelled(), if !stopping => (stopping, due) = (true, true),
            }
            while due && sending.len() < MAX_IN_FLIGHT {
                let frozen = builder.build_batch(sink.max_payload(), Utc::now())?;
                due = frozen.as_ref().is_some_and(|(_, full)| *full);
                sending.extend(frozen.map(|(batch, _)| deliver(batch, sink)));
            }
        }
        Ok(())
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Sends a batch until it is stored (true) or too old (false).
async fn deliver(batch: Batch, sink: &impl Sink) -> (Batch, bool) {
    for delay in backoff::delays().take_while(|_| batch.age() <= MAX_AGE) {
        let Err(error) = sink.send(batch.id, batch.payload.clone()).await else {
            return (batch, true);
        };
        tracing::debug!(%error, event_id = %batch.id, "views not published; retrying");
        tokio::time::sleep(delay).await;
    }
    tracing::error!(event_id = %batch.id, views = batch.views, "views dropped; not published within 24 h");
    (batch, false)
}

fn record_outcome(views: &Views, batch: &Batch, stored: bool) {
    if stored {
        views.mark_published(batch.views);
        VIEWS_PUBLISHED.inc_by(batch.views);
    } else {
        views.mark_dropped(batch.views);
    }
}

/// Logs on drop how many views were not published.
struct Unpublished<'a>(&'a Views);

impl Drop for Unpublished<'_> {
    fn drop(&mut self) {
        let views = self.0.waiting();
        if views > 0 {
            tracing::warn!(views, "views dropped; process stopped before they were published");
        }
    }
}

#[cfg(test)]
mod model;
