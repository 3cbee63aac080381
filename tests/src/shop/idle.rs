//! Waits until no work is in flight.

use async_nats::jetstream;

use super::Shop;
use crate::{
    process::Role,
    wait::{check, eventually},
};

impl Shop {
    /// Waits until no work is in flight: every event is published, every message handled, every due order fulfilled, and every
    /// mail sent or rejected. Afterwards only orders that become due have effects.
    ///
    /// # Panics
    /// If work is in flight for too long.
    pub async fn wait_until_idle(&self) {
        let jetstream = self.jetstream().await;
        // Without its worker, a consumer has a growing lag.
        let caught_up = async |role: Role, stream: &str| {
            if !self.has(role) {
                return Ok(());
            }
            let lag = consumer_lag(&jetstream, &format!("{}_{stream}", self.name), role.command()).await?;
            check(lag == 0, || format!("{lag} messages in {stream} for the {role}"))
        };
        let none = async |what: &str, count: &'static str| {
            let left: i64 = sqlx::query_scalar(count).fetch_one(&self.database).await.map_err(|error| error.to_string())?;
            check(left == 0, || format!("{left} {what}"))
        };
        let outbox = "SELECT count(*) FROM events.outbox WHERE published_at IS NULL";
        eventually("the shop is idle", async || {
            none("events in the outbox", outbox).await?;
            if self.has(Role::Fulfiller) {
                // The fulfiller writes events while it handles events, so the outbox is checked again.
                caught_up(Role::Fulfiller, "changes").await?;
                none("orders due", "SELECT count(*) FROM orders.orders WHERE status = 'confirmed' AND fulfil_at <= now()").await?;
                none("events in the outbox", outbox).await?;
            }
            caught_up(Role::Notifier, "changes").await?;
            caught_up(Role::Tracker, "views").await?;
            none("mails pending", "SELECT count(*) FROM notifications.deliveries WHERE state = 'pending'").await
        })
        .await;
    }
}

/// Messages of a stream that a durable consumer has not acknowledged.
async fn consumer_lag(jetstream: &jetstream::Context, stream: &str, consumer: &str) -> Result<u64, String> {
    let stream = jetstream.get_stream(stream).await.map_err(|error| error.to_string())?;
    let consumer = stream.consumer_info(consumer).await.map_err(|error| error.to_string())?;
    Ok(consumer.num_pending + u64::try_from(consumer.num_ack_pending).unwrap_or_default())
}
