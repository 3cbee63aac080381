//! The outbox: events are rows of the same transaction as the change they tell of.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, types::Json};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Envelope, Origin, envelope::event_type};

/// How many relays can publish side by side.
pub const PARTITIONS: i16 = 16;

/// An event to be written.
pub struct Draft<T> {
    /// Type without prefix and version, and subject below `<prefix>.changes.`: `product.updated`.
    pub kind: &'static str,
    /// Events of one aggregate are published in the order they were written.
    pub aggregate_id: Uuid,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What happened.
    pub data: T,
}

/// Writes events and wakes the relay. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    source: Arc<str>,
    written: Arc<Notify>,
}

impl Outbox {
    /// `source` is the installation's public URL.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self { source: source.into(), written: Arc::default() }
    }

    /// Writes an event in the transaction of its change, and gives its id. The caller must hold the
    /// aggregate's row lock, so that order in the outbox is order of commit.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn append<T: Serialize + Sync>(&self, tx: &mut PgConnection, origin: &Origin, draft: Draft<T>) -> Result<Uuid, sqlx::Error> {
        let id = Uuid::now_v7();
        let envelope = Envelope {
            specversion: "1.0".into(),
            id,
            source: self.source.to_string(),
            r#type: event_type(draft.kind),
            subject: draft.aggregate_id.to_string(),
            time: draft.time,
            datacontenttype: "application/json".into(),
            data: draft.data,
        };
        let headers = json!({"X-Request-Id": origin.request_id, "traceparent": origin.traceparent});
        sqlx::query!(
            "INSERT INTO events.outbox (id, partition, aggregate_id, subject, headers, payload) VALUES ($1, $2, $3, $4, $5, $6)",
            id,
            partition(draft.aggregate_id),
            draft.aggregate_id,
            draft.kind,
            headers,
            Json(envelope) as _,
        )
        .execute(tx)
        .await?;
        Ok(id)
    }

    /// Wakes the relay of this process. Call it after the commit; without it the relay's poll finds the rows.
    pub fn wake(&self) {
        self.written.notify_one();
    }

    /// Resolves after [`Outbox::wake`].
    pub async fn woken(&self) {
        self.written.notified().await;
    }
}

fn partition(aggregate_id: Uuid) -> i16 {
    // The last bytes of a UUIDv7 are random.
    i16::from(aggregate_id.as_bytes()[15]) % PARTITIONS
}
