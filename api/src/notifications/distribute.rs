//! Events become pending deliveries, one for everybody who is to hear of them, fixed at that moment.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use chrono::Utc;
use lettre::message::Mailbox;
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    deliveries,
    templates::{Happening, TemplateError, Templates, Text},
};
use crate::{
    events::{
        Envelope, Unreadable,
        consume::{Handle, HandleError, Incoming, Malformed},
        outbox,
    },
    identity::{self, Recipient},
    products::{ImportSummary, ProductChange, change::AVAILABILITY},
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
        let read = read(payload, &self.templates);
        if !matches!(read, Err(NoticeError::Unreadable(Unreadable::Data(..)))) {
            return Ok(read);
        }
        let whole = outbox::dereference(tx, payload).await?;
        Ok(whole.map_or(read, |whole| self::read(&whole, &self.templates)))
    }
}

impl Handle for Distributor {
    async fn handle(&self, batch: &[Incoming]) -> Result<Vec<Malformed>, HandleError> {
        let now = Utc::now();
        let mut malformed = Vec::new();
        let mut notices = Vec::with_capacity(batch.len());
        let mut tx = self.pool.begin().await?;
        for (index, message) in batch.iter().enumerate() {
            match self.notice(&mut tx, message.payload()).await? {
                Ok(notice) => notices.extend(notice),
                Err(NoticeError::Unreadable(error)) => malformed.push(Malformed { index, reason: error.to_string() }),
                Err(NoticeError::Template(error)) => return Err(HandleError::Never(error.into())),
            }
        }
        let event_ids: Vec<_> = notices.iter().map(|notice| notice.event_id).collect();
        let known = deliveries::known(&mut tx, &event_ids).await?;
        let mut recipients = Recipients::default();
        let mut written = false;
        for notice in notices.iter().filter(|notice| !known.contains(&notice.event_id)) {
            let recipients = recipients.of(&mut tx, notice.actor_id).await?;
            written |= deliveries::distribute(&mut tx, notice.event_id, &notice.text, recipients, &self.host, now).await?;
        }
        tx.commit().await?;
        if written {
            self.written.notify_waiters();
        }
        Ok(malformed)
    }
}

/// Recipients by actor, asked once per batch.
#[derive(Default)]
struct Recipients(HashMap<Uuid, Vec<Recipient>>);

impl Recipients {
    async fn of(&mut self, tx: &mut PgConnection, actor_id: Uuid) -> Result<&[Recipient], sqlx::Error> {
        Ok(match self.0.entry(actor_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(identity::active_admins_except(tx, actor_id).await?),
        })
    }
}

/// Something to tell.
#[derive(Debug, PartialEq, Eq)]
struct Notice {
    event_id: Uuid,
    /// Who knows already.
    actor_id: Uuid,
    text: Text,
}

#[derive(Debug, thiserror::Error)]
enum NoticeError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Template(#[from] TemplateError),
}

fn read(payload: &[u8], templates: &Templates) -> Result<Option<Notice>, NoticeError> {
    let event = Envelope::read(payload)?;
    let kind = event.kind()?;
    if kind == AVAILABILITY {
        return Ok(None);
    }
    let told = if kind == "product.imported" {
        let summary: ImportSummary = event.data_as()?;
        let changed = summary.created > 0 || summary.updated > 0;
        if changed { Some((summary.actor.id, templates.import(&summary, event.time)?)) } else { None }
    } else {
        let happening = Happening::of(kind).ok_or_else(|| event.unknown())?;
        let change: ProductChange = event.data_as()?;
        // What belongs to an import is told by its summary.
        if change.import_id.is_some() { None } else { Some((change.actor.id, templates.product(happening, &change, event.time)?)) }
    };
    Ok(told.map(|(actor_id, text)| Notice { event_id: event.id, actor_id, text }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(kind: &str, data: &Value) -> Vec<u8> {
        let id = Uuid::from_u128(7);
        let time = "2026-11-21T10:00:00Z";
        json!({"specversion": "1.0", "id": id, "source": "s", "type": kind, "subject": "x", "time": time, "datacontenttype": "application/json", "data": data})
            .to_string()
            .into_bytes()
    }

    fn change() -> Value {
        json!({
            "product": {
                "id": Uuid::nil(), "sku": "1", "name": "Bar table", "categories": [], "price": {"amount": "1.00", "currency": "EUR"},
                "attributes": {}, "in_stock": true, "created_at": "2026-11-21T10:00:00Z", "updated_at": "2026-11-21T10:00:00Z", "version": 1,
            },
            "changes": [], "version": 1, "actor": {"id": Uuid::from_u128(9), "username": "root"},
        })
    }

    fn summary(created: u64, updated: u64) -> Value {
        let actor = json!({"id": Uuid::from_u128(9), "username": "root"});
        json!({"import_id": Uuid::nil(), "created": created, "updated": updated, "unchanged": 4, "failed": 1, "actor": actor})
    }

    fn notice(kind: &str, data: &Value) -> Result<Option<Notice>, NoticeError> {
        read(&event(kind, data), &Templates::new("http://localhost:8080").unwrap())
    }

    #[test]
    fn a_change_is_told_under_its_event_s_id() {
        let notice = notice("catalog.product.created.v1", &change()).unwrap().unwrap();
        assert_eq!((notice.event_id, notice.actor_id), (Uuid::from_u128(7), Uuid::from_u128(9)));
        assert_eq!(notice.text.subject, "Product created: Bar table (1)");
    }

    #[test]
    fn changes_of_an_import_are_told_once_by_its_summary() {
        let mut of_import = change();
        of_import["import_id"] = json!(Uuid::nil());
        assert_eq!(notice("catalog.product.created.v1", &of_import).unwrap(), None);
        assert!(notice("catalog.product.imported.v1", &summary(1, 0)).unwrap().is_some());
        assert!(notice("catalog.product.imported.v1", &summary(0, 1)).unwrap().is_some());
    }

    #[test]
    fn an_import_that_changed_nothing_is_not_told() {
        assert_eq!(notice("catalog.product.imported.v1", &summary(0, 0)).unwrap(), None);
    }

    #[test]
    fn selling_out_is_not_told() {
        assert_eq!(notice("catalog.product.availability.v1", &json!({"version": 1, "in_stock": false})).unwrap(), None);
    }

    #[test]
    fn what_this_release_does_not_know_is_malformed() {
        for kind in ["catalog.product.updated.v2", "catalog.product.purged.v1", "catalog.order.created.v1", "x"] {
            assert!(matches!(notice(kind, &change()), Err(NoticeError::Unreadable(Unreadable::Type(_)))), "{kind}");
        }
        let wrong = notice("catalog.product.updated.v1", &json!({"product": 1}));
        assert!(matches!(wrong, Err(NoticeError::Unreadable(Unreadable::Data(..)))));
    }
}
