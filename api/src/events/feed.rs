//! The feed of product changes, with which API processes invalidate their caches.
//!
//! Each process has an ephemeral consumer. It starts with new events, needs no acknowledgements, and is deleted after the process has
//! ended. Because it may have missed events, the feed reports a gap at its start and after every interruption.

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

use super::{Envelope, Listener, Nats, streams};
use crate::backoff;

/// Interval at which the consumer's state is requested from the server.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The server deletes a consumer that no process has used for this long.
const INACTIVE_THRESHOLD: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
struct Version {
    version: i64,
}

/// Passes changes of products to `listener` until `stop`.
///
/// # Errors
/// None: after an outage it reports a gap.
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

/// Creates a consumer and passes its messages to `listener` until the consumer is deleted or an error occurs.
async fn listen(nats: &Nats, listener: &impl Listener, mut on_start: impl FnMut()) -> anyhow::Result<()> {
    let consumer = match subscribe(nats).await {
        Ok(consumer) => consumer,
        Err(error) => {
            nats.report_missing();
            return Err(error);
        }
    };
    let mut polled = consumer.clone();
    let mut messages = consumer.messages().await.context("cannot read from the consumer")?;
    listener.gap();
    listener.up_to_date();
    on_start();
    let mut polls = interval(POLL_INTERVAL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Messages first: when a poll finds none pending, `listener` has received all messages before the poll.
            biased;
            message = messages.next() => match message {
                Some(message) => notify(listener, &message.context("cannot receive a message")?),
                None => return Ok(()),
            },
            _ = polls.tick() => {
                let info = polled.info().await.context("the consumer was deleted")?;
                if info.num_pending == 0 {
                    listener.up_to_date();
                }
            }
        }
    }
}

async fn subscribe(nats: &Nats) -> anyhow::Result<Consumer<pull::Config>> {
    let stream =
        nats.jetstream.get_stream_no_info(streams::changes_stream(nats.prefix())).await.context("cannot find the stream of changes")?;
    let config = pull::Config {
        description: Some("Invalidates the cache of one process".into()),
        deliver_policy: DeliverPolicy::New,
        ack_policy: AckPolicy::None,
        filter_subject: streams::product_changes(nats.prefix()),
        inactive_threshold: INACTIVE_THRESHOLD,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.context("cannot create a consumer of changes")
}

fn notify(listener: &impl Listener, message: &Message) {
    // Summaries of imports have no version and are not about a single product.
    let Ok(event) = Envelope::read(&message.payload) else { return };
    if let (Ok(kind), Ok(id), Ok(data)) = (event.kind(), event.subject.parse(), event.data_as::<Version>()) {
        listener.changed(kind, id, data.version);
    }
}
