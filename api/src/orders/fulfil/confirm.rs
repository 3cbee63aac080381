//! New orders are decided as soon as their events come.

use sqlx::PgPool;
use uuid::Uuid;

use super::{Busy, Decider};
use crate::{
    events::{
        Envelope, Unreadable,
        consume::{Handle, HandleError, Incoming, Malformed},
    },
    http::clock,
    orders::{Error, change},
};

/// Decides on new orders when their events come. Any number of them may work side by side.
pub struct Fulfiller {
    pool: PgPool,
    decider: Decider,
}

#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("the subject {0:?} is no order's id")]
    Subject(String),
}

impl Fulfiller {
    /// Works with the database of `pool`.
    #[must_use]
    pub fn new(pool: PgPool, decider: Decider) -> Self {
        Self { pool, decider }
    }

    /// Those of the orders that wait for this. A replay brings thousands that don't.
    async fn pending(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query_scalar!("SELECT id FROM orders.orders WHERE id = ANY($1) AND status = 'pending' ORDER BY id", ids)
            .fetch_all(&self.pool)
            .await
    }
}

impl Handle for Fulfiller {
    /// One order that has to wait keeps no other from it: they come again together, and the others are known then.
    async fn handle(&self, batch: &[Incoming]) -> Result<Vec<Malformed>, HandleError> {
        let (ids, malformed) = read_all(batch.iter().map(Incoming::payload));
        let mut failed = Ok(());
        for id in self.pending(&ids).await? {
            failed = failed.and(self.decider.decide(id, Busy::Wait, clock::now()).await);
        }
        failed?;
        Ok(malformed)
    }
}

impl From<Error> for HandleError {
    fn from(error: Error) -> Self {
        if let Error::Database(error) = error { error.into() } else { Self::Permanent(error.into()) }
    }
}

fn read_all<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> (Vec<Uuid>, Vec<Malformed>) {
    let (mut ids, mut malformed) = (Vec::new(), Vec::new());
    for (index, payload) in payloads.enumerate() {
        match read(payload) {
            Ok(id) => ids.push(id),
            Err(error) => malformed.push(Malformed { index, reason: error.to_string() }),
        }
    }
    (ids, malformed)
}

/// Which order is new. What else there is to know is read from the database, which knows more by now:
/// so an event that is only a reference to a larger one says enough.
fn read(payload: &[u8]) -> Result<Uuid, OrderError> {
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
    fn a_new_order_is_known_by_its_id_however_much_of_it_is_told() {
        let id = Uuid::from_u128(7);
        for data in [json!({"version": 1}), json!({"version": 1, "order": {"id": id}, "actor": {}})] {
            assert_eq!(read(&event("catalog.order.created.v1", &id.to_string(), &data)).unwrap(), id);
        }
    }

    #[test]
    fn what_is_no_new_order_is_named_malformed_and_the_others_are_read() {
        let data = json!({"version": 1});
        let good = event("catalog.order.created.v1", &Uuid::max().to_string(), &data);
        let others = [
            event("catalog.order.confirmed.v1", &Uuid::nil().to_string(), &data),
            event("catalog.order.created.v2", &Uuid::nil().to_string(), &data),
            event("catalog.order.created.v1", "x", &data),
            b"{}".to_vec(),
        ];
        let (ids, malformed) = read_all(std::iter::once(&good).chain(&others).map(Vec::as_slice));
        assert_eq!(ids, [Uuid::max()]);
        assert_eq!(malformed.iter().map(|message| message.index).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(malformed[0].reason.contains("catalog.order.confirmed.v1"), "{malformed:?}");
        assert!(malformed[2].reason.contains("\"x\""), "{malformed:?}");
    }
}
