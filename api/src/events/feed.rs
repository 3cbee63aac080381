//! The feed of changes to every process that caches products.
//!
//! Each process has an ephemeral consumer of its own: it starts with new events, needs no acknowledgements and is deleted after the
//! process. In return it reports every gap in which it may have missed events.

use std::time::Duration;

use anyhow::Context;
use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
};
use futures::StreamExt;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Envelope, Nats, streams};
use crate::backoff;

/// How often the server is asked whether the consumer still exists.
const ASK_INTERVAL: Duration = Duration::from_millis(500);
/// The server deletes a consumer that no process has used for this long.
const INACTIVE_THRESHOLD: Duration = Duration::from_mins(1);

/// A cache of aggregates.
pub trait Listener: Send + Sync + 'static {
    /// The aggregate changed in the way `kind` says, such as `product.updated`, and has this version now.
    fn changed(&self, kind: &str, aggregate_id: Uuid, version: i64);
    /// The feed is up to date: every event published until a moment ago was passed on.
    fn answered(&self);
    /// Changes may have been missed: the feed has restarted, or this process has committed too many at once.
    fn gap(&self);
}

#[derive(Deserialize)]
struct Version {
    version: i64,
}

/// Passes changes of products to `listener` until `stop`.
///
/// # Errors
/// None: an outage ends in a gap.
pub async fn follow(nats: Nats, listener: impl Listener, stop: CancellationToken) -> anyhow::Result<()> {
    let mut delays = backoff::delays();
    let attempts = async {
        loop {
            match listen(&nats, &listener, || delays = backoff::delays()).await {
                Ok(()) => tracing::debug!("change feed ended; restarting"),
                Err(error) => tracing::debug!(error = %format!("{error:#}"), "change feed interrupted; restarting"),
            }
            backoff::wait(&mut delays).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = attempts => Ok(()),
    }
}

/// Listens with one consumer for as long as that lives.
async fn listen(nats: &Nats, listener: &impl Listener, mut started: impl FnMut()) -> anyhow::Result<()> {
    let consumer = match subscribe(nats).await {
        Ok(consumer) => consumer,
        Err(error) => {
            nats.report_missing();
            return Err(error);
        }
    };
    let mut asked = consumer.clone();
    let mut messages = consumer.messages().await.context("cannot read from the consumer")?;
    listener.gap();
    listener.answered();
    started();
    let mut ask = interval(ASK_INTERVAL);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Messages first: an answer means that every message before it was passed on.
            biased;
            message = messages.next() => match message {
                Some(message) => notify(listener, &message.context("a message is missing")?),
                None => return Ok(()),
            },
            _ = ask.tick() => {
                let info = asked.info().await.context("the consumer was deleted")?;
                if info.num_pending == 0 {
                    listener.answered();
                }
            }
        }
    }
}

async fn subscribe(nats: &Nats) -> anyhow::Result<Consumer<pull::Config>> {
    let stream = nats.jetstream.get_stream_no_info(streams::changes_stream(nats.prefix())).await.context("no stream of changes")?;
    let config = pull::Config {
        description: Some("invalidation of one process's cache".into()),
        deliver_policy: DeliverPolicy::New,
        ack_policy: AckPolicy::None,
        filter_subject: streams::product_changes(nats.prefix()),
        inactive_threshold: INACTIVE_THRESHOLD,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.context("cannot make a consumer of changes")
}

fn notify(listener: &impl Listener, message: &Message) {
    // Summaries of imports carry no version and concern no single product.
    let Ok(event) = Envelope::read(&message.payload) else { return };
    if let (Ok(kind), Ok(id), Ok(data)) = (event.kind(), event.subject.parse(), event.data_as::<Version>()) {
        listener.changed(kind, id, data.version);
    }
}
