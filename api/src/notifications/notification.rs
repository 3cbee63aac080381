//! Builds the notification of an event: its audience and its text.

use uuid::Uuid;

use super::{
    audience::Audience,
    templates::{ProductEvent, TemplateError, Templates, Text},
};
use crate::{
    events::{Envelope, Unreadable},
    orders::{self, OrderChange, Status},
    products::{ImportSummary, ProductChange, change::AVAILABILITY},
};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Notification {
    pub event_id: Uuid,
    pub audience: Audience,
    pub text: Text,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum NotificationError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl Notification {
    /// Returns `None` for an event without a notification: a change of availability, a product of an import (the import has
    /// one), and an import that changed nothing.
    pub(super) fn from_event(payload: &[u8], templates: &Templates) -> Result<Option<Self>, NotificationError> {
        let event = Envelope::read(payload)?;
        let kind = event.kind()?;
        let content = if let Some(reached) = Status::ALL.into_iter().find(|status| orders::change::event_kind(*status) == kind) {
            let change: OrderChange = event.data_as()?;
            Some((Audience::Customer(change.order.customer_id), templates.order(reached, &change.order, event.time)?))
        } else if kind == AVAILABILITY {
            None
        } else if kind == "product.imported" {
            let summary: ImportSummary = event.data_as()?;
            let changed = summary.created > 0 || summary.updated > 0;
            if changed { Some((Audience::OtherAdmins(summary.actor.id), templates.import(&summary, event.time)?)) } else { None }
        } else {
            let product_event = ProductEvent::from_kind(kind).ok_or_else(|| event.unknown())?;
            let change: ProductChange = event.data_as()?;
            if change.import_id.is_some() {
                None
            } else {
                Some((Audience::OtherAdmins(change.actor.id), templates.product(product_event, &change, event.time)?))
            }
        };
        Ok(content.map(|(audience, text)| Self { event_id: event.id, audience, text }))
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

    fn notification(kind: &str, data: &Value) -> Result<Option<Notification>, NotificationError> {
        Notification::from_event(&event(kind, data), &Templates::new("http://localhost:8080").unwrap())
    }

    #[test]
    fn the_notification_of_a_change_has_the_event_s_id() {
        let notification = notification("catalog.product.created.v1", &change()).unwrap().unwrap();
        assert_eq!((notification.event_id, notification.audience), (Uuid::from_u128(7), Audience::OtherAdmins(Uuid::from_u128(9))));
        assert_eq!(notification.text.subject, "Product created: Bar table (1)");
    }

    #[test]
    fn a_customer_is_notified_of_every_transition_of_an_order() {
        let order = json!({
            "id": Uuid::nil(), "customer_id": Uuid::from_u128(5), "status": "cancelled", "total": {"amount": "1.00", "currency": "EUR"},
            "items": [], "created_at": "2026-11-21T10:00:00Z", "updated_at": "2026-11-21T10:00:00Z", "history": [],
        });
        let actor = json!({"id": Uuid::from_u128(9), "username": "root"});
        let data = json!({"order": order, "previous_status": "pending", "version": 2, "actor": actor});
        for kind in ["created", "confirmed", "fulfilled", "cancelled", "failed"] {
            let notification = notification(&format!("catalog.order.{kind}.v1"), &data).unwrap().unwrap();
            assert_eq!(notification.event_id, Uuid::from_u128(7), "{kind}");
            assert_eq!(notification.audience, Audience::Customer(Uuid::from_u128(5)), "{kind}");
        }
    }

    #[test]
    fn an_import_has_one_notification() {
        let mut of_import = change();
        of_import["import_id"] = json!(Uuid::nil());
        assert_eq!(notification("catalog.product.created.v1", &of_import).unwrap(), None);
        assert!(notification("catalog.product.imported.v1", &summary(1, 0)).unwrap().is_some());
        assert!(notification("catalog.product.imported.v1", &summary(0, 1)).unwrap().is_some());
    }

    #[test]
    fn an_import_that_changed_nothing_has_no_notification() {
        assert_eq!(notification("catalog.product.imported.v1", &summary(0, 0)).unwrap(), None);
    }

    #[test]
    fn a_change_of_availability_has_no_notification() {
        assert_eq!(notification("catalog.product.availability.v1", &json!({"version": 1, "in_stock": false})).unwrap(), None);
    }

    #[test]
    fn an_unknown_event_type_is_malformed() {
        for kind in ["catalog.product.updated.v2", "catalog.product.purged.v1", "catalog.order.returned.v1", "x"] {
            assert!(matches!(notification(kind, &change()), Err(NotificationError::Unreadable(Unreadable::Type(_)))), "{kind}");
        }
        // The form of a message whose event was too large; the distributor reads the event from the outbox.
        for kind in ["catalog.product.updated.v1", "catalog.order.created.v1"] {
            assert!(
                matches!(notification(kind, &json!({"version": 1})), Err(NotificationError::Unreadable(Unreadable::Data(..)))),
                "{kind}"
            );
        }
    }
}
