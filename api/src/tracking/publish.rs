//! Publishing views: collected for tens of milliseconds, frozen with an id before the first send,
//! and the same bytes sent again until acknowledged.

use std::{
    fmt::Display,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_nats::jetstream::{
    context::{PublishError, PublishErrorKind},
    message::PublishMessage,
};
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use chrono::Utc;
use futures::{StreamExt, stream::FuturesUnordered};
use prometheus::IntCounter;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    batch::{Batch, Freezer},
    views::Views,
};
use crate::{
    config::ViewsSettings,
    events::{Nats, streams},
    metrics,
};

/// Batches under way. While none is acknowledged, no more are frozen: further views add up in memory.
const MAX_IN_FLIGHT: usize = 8;
/// A batch that could not be published for so long is given up: after `message::MAX_AGE` nobody
/// could tell any more whether it was counted.
const MAX_AGE: Duration = Duration::from_hours(24);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the hour and the gauge are looked after, apart from flushes.
const CLOCK_INTERVAL: Duration = Duration::from_millis(250);

static PUBLISHED: LazyLock<IntCounter> = LazyLock::new(|| metrics::counter("views_published_total", "Views that NATS has acknowledged"));

/// Where batches go: the views stream.
pub trait Sink: Send + Sync {
    /// Why a batch isn't known to be stored.
    type Error: Display + Send;

    /// Sends a message and waits until it is stored. It may be stored although this fails.
    fn send(&self, id: Uuid, payload: Bytes) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The largest message, with headers, in bytes.
    fn max_payload(&self) -> usize;
}

/// Why NATS may not have a batch.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Nothing was sent: a message sent now would wait in the client and come back as another copy.
    #[error("not connected to NATS")]
    Away,
    /// It may or may not be stored.
    #[error("no acknowledgement")]
    Unacknowledged(#[from] PublishError),
}

impl Sink for Nats {
    type Error = SinkError;

    async fn send(&self, id: Uuid, payload: Bytes) -> Result<(), SinkError> {
        if !self.is_connected() {
            return Err(SinkError::Away);
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

/// Publishes what [`Views`] collects.
pub struct Publisher<S> {
    views: Views,
    flush_interval: Duration,
    source: Arc<str>,
    sink: S,
}

impl Views {
    /// Where reads count views, and the task that publishes them. `source` is the installation's public URL.
    #[must_use]
    pub fn new(settings: ViewsSettings, nats: Nats, source: &str) -> (Self, Publisher<Nats>) {
        let views = Self::empty(settings.buffer_limit, Utc::now());
        let publisher = Publisher { views: views.clone(), flush_interval: settings.flush_interval, source: source.into(), sink: nats };
        (views, publisher)
    }
}

impl<S: Sink> Publisher<S> {
    /// Publishes until `stop`, and then what is left. `stop` must come after the last view was
    /// counted: when the API has answered its last request.
    ///
    /// # Errors
    /// If a batch cannot be written as JSON.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        LazyLock::force(&PUBLISHED);
        let Self { views, sink, .. } = &self;
        let _unpublished = Unpublished(views);
        let mut freezer = Freezer::new(views.clone(), &self.source);
        let mut sending = FuturesUnordered::new();
        let mut flush = ticks(self.flush_interval);
        let mut clock = ticks(CLOCK_INTERVAL);
        let mut due = false;
        let mut stopping = false;
        while !stopping || views.waiting() > 0 {
            tokio::select! {
                _ = flush.tick() => due = true,
                _ = clock.tick() => views.set_time(Utc::now()),
                Some((batch, stored)) = sending.next() => settle(views, &batch, stored),
                () = stop.cancelled(), if !stopping => (stopping, due) = (true, true),
            }
            while due && sending.len() < MAX_IN_FLIGHT {
                let frozen = freezer.freeze(sink.max_payload(), Utc::now())?;
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

/// Sends a batch until it is stored (true) or given up (false).
async fn deliver(batch: Batch, sink: &impl Sink) -> (Batch, bool) {
    let pauses = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE).with_jitter().without_max_times();
    for pause in pauses.build().take_while(|_| batch.age() <= MAX_AGE) {
        let Err(error) = sink.send(batch.id, batch.payload.clone()).await else {
            return (batch, true);
        };
        tracing::debug!(%error, event_id = %batch.id, "views not published; retrying");
        tokio::time::sleep(pause).await;
    }
    tracing::error!(event_id = %batch.id, views = batch.views, "views dropped; not published within 24 h");
    (batch, false)
}

fn settle(views: &Views, batch: &Batch, stored: bool) {
    if stored {
        views.published(batch.views);
        PUBLISHED.inc_by(batch.views);
    } else {
        views.lost(batch.views);
    }
}

/// Says what a process that ends takes with it.
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
