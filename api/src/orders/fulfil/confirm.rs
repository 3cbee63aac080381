//! Confirms new orders when their events arrive.

use sqlx::PgPool;
use uuid::Uuid;

use super::{FulfilmentPolicy, IfLocked};
use crate::{
    events::{
        Envelope, Unreadable,
        consume::{Handle, HandleError, Incoming, Malformed},
    },
    http::clock,
    orders::{Error, change},
};

/// Handles `order.created` events. Several instances can run concurrently.
pub struct Fulfiller {
    pool: PgPool,
    policy: FulfilmentPolicy,
}

#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("the subject {0:?} is not an order id")]
    Subject(String),
}

impl Fulfiller {
    /// Creates a handler that reads from `pool`.
    #[must_use]
    pub fn new(pool: PgPool, policy: FulfilmentPolicy) -> Self {
        Self { pool, policy }
    }

    /// Selects the orders that are still pending. A replay publishes thousands of events of other orders.
    async fn filter_pending(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query_scalar!("SELECT id FROM orders.orders WHERE id = ANY($1) AND status = 'pending' ORDER BY id", ids)
            .fetch_all(&self.pool)
            .await
    }
}

impl Handle for Fulfiller {
    /// Tries every order of the batch, even if one fails. The batch is then redelivered, and the others are no longer pending.
    async fn handle(&self, batch: &[Incoming]) -> Result<Vec<Malformed>, HandleError> {
        let (ids, malformed) = parse_order_ids(batch.iter().map(Incoming::payload));
        let mut result = Ok(());
        for id in self.filter_pending(&ids).await? {
            result = result.and(self.policy.apply(id, IfLocked::Wait, clock::now()).await);
        }
        result?;
        Ok(malformed)
    }
}

impl From<Error> for HandleError {
    fn from(error: Error) -> Self {
        if let Error::Database(error) = error { error.into() } else { Self::Permanent(error.into()) }
    }
}

fn parse_order_ids<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> (Vec<Uuid>, Vec<Malformed>) {
    let (mut ids, mut malformed) = (Vec::new(), Vec::new());
    for (index, payload) in payloads.enumerate() {
        match parse_order_id(payload) {
            Ok(id) => ids.push(id),
            Err(error) => malformed.push(Malformed { index, reason: error.to_string() }),
        }
    }
    (ids, malformed)
}

/// Reads the id of a new order. Everything else is read from the database, which is more recent; therefore an event whose
/// data is only a reference to a larger payload is sufficient.
fn parse_order_id(payload: &[u8]) -> Result<Uuid, OrderError> {
    let event = Envelope::read(payload)?;
    if event.kind()? != change::CREATED {
        return Err(event.unknown().into());
    }
    event.subject.parse().map_err(|_| OrderError::Subject(event.subject.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(kind: &str, subject: &str, data: &Value) -> Vec<u8> {
        json!({
            "specversion": "1.0", "id": Uuid::nil(), "source": "s", "type": kind, "subject": subject, "time": "2026-11-25T10:00:00Z",
            "datacontenttype": "application/json", "data": data,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn a_new_order_is_identified_by_the_subject_whatever_the_data() {
        let id = Uuid::from_u128(7);
        for data in [json!({"version": 1}), json!({"version": 1, "order": {"id": id}, "actor": {}})] {
            assert_eq!(parse_order_id(&event("catalog.order.created.v1", &id.to_string(), &data)).unwrap(), id);
        }
    }

    #[test]
    fn events_other_than_new_orders_are_malformed_and_do_not_affect_the_rest_of_the_batch() {
        let data = json!({"version": 1});
        let good = event("catalog.order.created.v1", &Uuid::max().to_string(), &data);
        let others = [
            event("catalog.order.confirmed.v1", &Uuid::nil().to_string(), &data),
            event("catalog.order.created.v2", &Uuid::nil().to_string(), &data),
            event("catalog.order.created.v1", "x", &data),
            b"{}".to_vec(),
        ];
        let (ids, malformed) = parse_order_ids(std::iter::once(&good).chain(&others).map(Vec::as_slice));
        assert_eq!(ids, [Uuid::max()]);
        assert_eq!(malformed.iter().map(|message| message.index).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(malformed[0].reason.contains("catalog.order.confirmed.v1"), "{malformed:?}");
        assert!(malformed[2].reason.contains("\"x\""), "{malformed:?}");
    }
}
