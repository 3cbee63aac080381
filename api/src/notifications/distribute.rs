//! Writes a pending delivery for every recipient of an event. Recipients are determined when the event is consumed.

use std::sync::Arc;

use chrono::Utc;
use lettre::message::Mailbox;
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;

use super::{
    audience::Recipients,
    deliveries,
    notification::{Notification, NotificationError},
    templates::Templates,
};
use crate::{
    database,
    events::{
        Unreadable,
        consume::{Handle, HandleError, Incoming, Malformed},
        outbox,
    },
};

/// Handles events by writing deliveries.
pub struct Distributor {
    pool: PgPool,
    templates: Templates,
    host: String,
    new_deliveries: Arc<Notify>,
}

impl Distributor {
    /// `public_url` is the start of links, without a trailing slash; `new_deliveries` wakes the senders.
    ///
    /// # Errors
    /// If a template is invalid.
    pub fn new(pool: PgPool, public_url: &str, from: &Mailbox, new_deliveries: Arc<Notify>) -> anyhow::Result<Self> {
        Ok(Self { pool, templates: Templates::new(public_url)?, host: from.email.domain().to_owned(), new_deliveries })
    }

    /// Builds the notification of an event. An event that was too large for a message is read from the outbox.
    async fn build_notification(
        &self,
        tx: &mut PgConnection,
        payload: &[u8],
    ) -> Result<Result<Option<Notification>, NotificationError>, sqlx::Error> {
        let built = Notification::from_event(payload, &self.templates);
        if !matches!(built, Err(NotificationError::Unreadable(Unreadable::Data(..)))) {
            return Ok(built);
        }
        let event = outbox::dereference(tx, payload).await?;
        Ok(event.map_or(built, |event| Notification::from_event(&event, &self.templates)))
    }
}

impl Handle for Distributor {
    async fn handle(&self, batch: &[Incoming]) -> Result<Vec<Malformed>, HandleError> {
        let now = Utc::now();
        let mut malformed = Vec::new();
        let mut notifications = Vec::with_capacity(batch.len());
        let mut tx = database::begin_with_index_scans(&self.pool).await?;
        for (index, message) in batch.iter().enumerate() {
            match self.build_notification(&mut tx, message.payload()).await? {
                Ok(notification) => notifications.extend(notification),
                Err(NotificationError::Unreadable(error)) => malformed.push(Malformed { index, reason: error.to_string() }),
                Err(NotificationError::Template(error)) => return Err(HandleError::Permanent(error.into())),
            }
        }
        let event_ids: Vec<_> = notifications.iter().map(|notification| notification.event_id).collect();
        let distributed = deliveries::find_distributed(&mut tx, &event_ids).await?;
        let mut recipients = Recipients::default();
        let mut written = false;
        for Notification { event_id, audience, text } in notifications.iter().filter(|new| !distributed.contains(&new.event_id)) {
            let recipients = recipients.find(&mut tx, *audience).await?;
            written |= deliveries::insert_message(&mut tx, *event_id, text, recipients, &self.host, now).await?;
        }
        tx.commit().await?;
        if written {
            self.new_deliveries.notify_waiters();
        }
        Ok(malformed)
    }
}
