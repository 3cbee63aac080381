//! What an event is about, for people: whom it concerns, and what they are told.

use uuid::Uuid;

use super::{
    audience::Audience,
    templates::{Happening, TemplateError, Templates, Text},
};
use crate::{
    events::{Envelope, Unreadable},
    orders::{self, OrderChange, Status},
    products::{ImportSummary, ProductChange, change::AVAILABILITY},
};

/// Something to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub event_id: Uuid,
    pub audience: Audience,
    pub text: Text,
}

/// Why there is nothing to tell though there should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoticeError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl Notice {
    /// What to tell of an event, if anything.
    pub(super) fn read(payload: &[u8], templates: &Templates) -> Result<Option<Self>, NoticeError> {
        let event = Envelope::read(payload)?;
        let kind = event.kind()?;
        let told = if let Some(reached) = Status::ALL.into_iter().find(|status| orders::change::event_kind(*status) == kind) {
            let change: OrderChange = event.data_as()?;
            Some((Audience::Customer(change.order.customer_id), templates.order(reached, &change.order, event.time)?))
        } else if kind == AVAILABILITY {
            None
        } else if kind == "product.imported" {
            let summary: ImportSummary = event.data_as()?;
            let changed = summary.created > 0 || summary.updated > 0;
            if changed { Some((Audience::OtherAdmins(summary.actor.id), templates.import(&summary, event.time)?)) } else { None }
        } else {
            let happening = Happening::of(kind).ok_or_else(|| event.unknown())?;
            let change: ProductChange = event.data_as()?;
            // What belongs to an import is told by its summary.
            let alone = change.import_id.is_none();
            if alone { Some((Audience::OtherAdmins(change.actor.id), templates.product(happening, &change, event.time)?)) } else { None }
        };
        Ok(told.map(|(audience, text)| Self { event_id: event.id, audience, text }))
    }
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
        Notice::read(&event(kind, data), &Templates::new("http://localhost:8080").unwrap())
    }

    #[test]
    fn a_change_is_told_under_its_event_s_id() {
        let notice = notice("catalog.product.created.v1", &change()).unwrap().unwrap();
        assert_eq!((notice.event_id, notice.audience), (Uuid::from_u128(7), Audience::OtherAdmins(Uuid::from_u128(9))));
        assert_eq!(notice.text.subject, "Product created: Bar table (1)");
    }

    #[test]
    fn what_happens_to_an_order_is_told_to_its_customer_whoever_did_it() {
        let order = json!({
            "id": Uuid::nil(), "customer_id": Uuid::from_u128(5), "status": "cancelled", "total": {"amount": "1.00", "currency": "EUR"},
            "items": [], "created_at": "2026-11-21T10:00:00Z", "updated_at": "2026-11-21T10:00:00Z", "history": [],
        });
        let actor = json!({"id": Uuid::from_u128(9), "username": "root"});
        let data = json!({"order": order, "previous_status": "pending", "version": 2, "actor": actor});
        for kind in ["created", "confirmed", "fulfilled", "cancelled", "failed"] {
            let notice = notice(&format!("catalog.order.{kind}.v1"), &data).unwrap().unwrap();
            assert_eq!((notice.event_id, notice.audience), (Uuid::from_u128(7), Audience::Customer(Uuid::from_u128(5))), "{kind}");
        }
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
        for kind in ["catalog.product.updated.v2", "catalog.product.purged.v1", "catalog.order.returned.v1", "x"] {
            assert!(matches!(notice(kind, &change()), Err(NoticeError::Unreadable(Unreadable::Type(_)))), "{kind}");
        }
        // A reference to a larger event looks like that, and is looked up.
        for kind in ["catalog.product.updated.v1", "catalog.order.created.v1"] {
            assert!(matches!(notice(kind, &json!({"version": 1})), Err(NoticeError::Unreadable(Unreadable::Data(..)))), "{kind}");
        }
    }
}
