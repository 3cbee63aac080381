//! Every change as it happens, to every process that keeps something of products in memory.
//!
//! Unlike the durable consumers this one belongs to its process alone: it starts at "now", needs no
//! acknowledgements and goes with the process. What it promises instead is to know when it may have
//! missed something.

use std::time::Duration;

use anyhow::Context;
use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Envelope, Nats, streams};

/// How often the server is asked whether the consumer is still there.
const ASK_INTERVAL: Duration = Duration::from_millis(500);
/// The server forgets the consumer of a process that has been gone this long.
const INACTIVE_THRESHOLD: Duration = Duration::from_mins(1);

/// Keeps something of aggregates in memory.
pub trait Listener: Send + Sync + 'static {
    /// The aggregate changed in the way `kind` says, such as `product.updated`, and has this version now.
    fn changed(&self, kind: &str, aggregate_id: Uuid, version: i64);
    /// The feed is alive: everything published until a moment ago was told.
    fn answered(&self);
    /// The feed starts anew: changes may have been missed.
    fn gap(&self);
}

#[derive(Deserialize)]
struct Version {
    version: i64,
}

/// Tells `listener` of changes of products until `stop`.
///
/// # Errors
/// Never: outages end in a gap.
pub async fn follow(nats: Nats, listener: impl Listener, stop: CancellationToken) -> anyhow::Result<()> {
    let pauses = || {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(1))
            .with_jitter()
            .without_max_times()
            .build()
    };
    let mut pause = pauses();
    let attempts = async {
        loop {
            match listen(&nats, &listener, || pause = pauses()).await {
                Ok(()) => tracing::debug!("change feed ended; restarting"),
                Err(error) => tracing::debug!(error = %format!("{error:#}"), "change feed interrupted; restarting"),
            }
            tokio::time::sleep(pause.next().unwrap_or(ASK_INTERVAL)).await;
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
            // Messages first: an answer says that what came before it was told.
            biased;
            message = messages.next() => match message {
                Some(message) => tell(listener, &message.context("a message is missing")?),
                None => return Ok(()),
            },
            _ = ask.tick() => {
                let info = asked.info().await.context("the consumer is gone")?;
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

fn tell(listener: &impl Listener, message: &Message) {
    // Summaries of imports carry no version and concern no single product.
    let Ok(event) = Envelope::read(&message.payload) else { return };
    if let (Ok(kind), Ok(id), Ok(data)) = (event.kind(), event.subject.parse(), event.data_as::<Version>()) {
        listener.changed(kind, id, data.version);
    }
}
