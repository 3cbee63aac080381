//! Events become pending deliveries, one for everybody who is to hear of them, fixed at that moment.

use std::sync::Arc;

use chrono::Utc;
use lettre::message::Mailbox;
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;

use super::{
    audience::Recipients,
    deliveries,
    notice::{Notice, NoticeError},
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

/// Turns events into deliveries.
pub struct Distributor {
    pool: PgPool,
    templates: Templates,
    host: String,
    written: Arc<Notify>,
}

impl Distributor {
    /// `public_url` is what links start with, without a trailing slash; `written` wakes the senders.
    ///
    /// # Errors
    /// If a template is broken.
    pub fn new(pool: PgPool, public_url: &str, from: &Mailbox, written: Arc<Notify>) -> anyhow::Result<Self> {
        Ok(Self { pool, templates: Templates::new(public_url)?, host: from.email.domain().to_owned(), written })
    }

    /// What to tell of an event, if anything.
    async fn notice(&self, tx: &mut PgConnection, payload: &[u8]) -> Result<Result<Option<Notice>, NoticeError>, sqlx::Error> {
        let read = Notice::read(payload, &self.templates);
        if !matches!(read, Err(NoticeError::Unreadable(Unreadable::Data(..)))) {
            return Ok(read);
        }
        let whole = outbox::dereference(tx, payload).await?;
        Ok(whole.map_or(read, |whole| Notice::read(&whole, &self.templates)))
    }
}

impl Handle for Distributor {
    async fn handle(&self, batch: &[Incoming]) -> Result<Vec<Malformed>, HandleError> {
        let now = Utc::now();
        let mut malformed = Vec::new();
        let mut notices = Vec::with_capacity(batch.len());
        let mut tx = database::begin_by_index(&self.pool).await?;
        for (index, message) in batch.iter().enumerate() {
            match self.notice(&mut tx, message.payload()).await? {
                Ok(notice) => notices.extend(notice),
                Err(NoticeError::Unreadable(error)) => malformed.push(Malformed { index, reason: error.to_string() }),
                Err(NoticeError::Template(error)) => return Err(HandleError::Permanent(error.into())),
            }
        }
        let event_ids: Vec<_> = notices.iter().map(|notice| notice.event_id).collect();
        let known = deliveries::known(&mut tx, &event_ids).await?;
        let mut recipients = Recipients::default();
        let mut written = false;
        for notice in notices.iter().filter(|notice| !known.contains(&notice.event_id)) {
            let recipients = recipients.of(&mut tx, notice.audience).await?;
            written |= deliveries::distribute(&mut tx, notice.event_id, &notice.text, recipients, &self.host, now).await?;
        }
        tx.commit().await?;
        if written {
            self.written.notify_waiters();
        }
        Ok(malformed)
    }
}
