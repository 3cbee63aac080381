//! The outbox. Events are inserted in the transaction of the change that they describe.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Envelope, Origin, envelope::type_of, listener::Listener};
use crate::telemetry;

/// Number of partitions. At most as many relays can publish at the same time.
pub const PARTITIONS: i16 = 16;

/// Scheme of the URIs that refer to complete events in the outbox.
const DATAREF_SCHEME: &str = "catalog-outbox:";

/// An event that is not written yet.
pub struct Draft<T> {
    /// Kind, such as `product.updated`: the type without prefix and version, and the end of the NATS subject.
    pub kind: &'static str,
    /// Id of the aggregate. Events of one aggregate are published in the order in which they were written.
    pub aggregate_id: Uuid,
    /// Details of the change.
    pub data: T,
}

/// Data of an event.
pub trait EventData: Serialize + Sync {
    /// Version of the aggregate after the change, if a [`Listener`] caches the aggregate.
    fn version(&self) -> Option<i64> {
        None
    }
}

/// Writes events and wakes the relay. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    source: Arc<str>,
    written: Arc<Notify>,
    listener: Option<Arc<dyn Listener>>,
}

impl Outbox {
    /// `source` is the installation's public URL.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self { source: source.into(), written: Arc::default(), listener: None }
    }

    /// Passes the changes that this process commits to `listener` at once. The feed has those of other processes.
    #[must_use]
    pub fn with_listener(self, listener: impl Listener) -> Self {
        Self { listener: Some(Arc::new(listener)), ..self }
    }

    pub(super) fn listener(&self) -> Option<&dyn Listener> {
        self.listener.as_deref()
    }

    pub(super) async fn append<T: EventData>(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        time: DateTime<Utc>,
        draft: Draft<T>,
    ) -> Result<(), sqlx::Error> {
        let (aggregate_id, kind) = (draft.aggregate_id, draft.kind);
        let envelope = self.envelope(draft, time);
        let id = envelope.id;
        sqlx::query!(
            "INSERT INTO events.outbox (id, partition, aggregate_id, subject, headers, payload) VALUES ($1, $2, $3, $4, $5, $6)",
            id,
            partition(aggregate_id),
            aggregate_id,
            kind,
            headers(origin),
            to_json(&envelope)?,
        )
        .execute(tx)
        .await?;
        telemetry::record_event(id);
        Ok(())
    }

    pub(super) async fn append_many<T: EventData>(
        &self,
        tx: &mut PgConnection,
        origin: &Origin,
        time: DateTime<Utc>,
        drafts: Vec<Draft<T>>,
    ) -> Result<(), sqlx::Error> {
        if drafts.is_empty() {
            return Ok(());
        }
        let aggregate_ids: Vec<Uuid> = drafts.iter().map(|draft| draft.aggregate_id).collect();
        let partitions: Vec<i16> = aggregate_ids.iter().copied().map(partition).collect();
        let kinds: Vec<&str> = drafts.iter().map(|draft| draft.kind).collect();
        let mut ids = Vec::with_capacity(drafts.len());
        let mut payloads = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let envelope = self.envelope(draft, time);
            ids.push(envelope.id);
            payloads.push(to_json(&envelope)?);
        }
        sqlx::query!(
            "INSERT INTO events.outbox (id, partition, aggregate_id, subject, headers, payload)
             SELECT id, partition, aggregate_id, subject, $5, payload
             FROM UNNEST($1::uuid[], $2::smallint[], $3::uuid[], $4::text[], $6::text[])
                  AS new (id, partition, aggregate_id, subject, payload)",
            &ids,
            &partitions,
            &aggregate_ids,
            &kinds as _,
            headers(origin),
            &payloads,
        )
        .execute(tx)
        .await?;
        Ok(())
    }

    fn envelope<T>(&self, draft: Draft<T>, time: DateTime<Utc>) -> Envelope<T> {
        Envelope {
            specversion: "1.0".into(),
            id: Uuid::now_v7(),
            source: self.source.to_string(),
            r#type: type_of(draft.kind),
            subject: draft.aggregate_id.to_string(),
            time,
            datacontenttype: "application/json".into(),
            data: draft.data,
        }
    }

    /// Wakes the relay of this process.
    pub(super) fn wake(&self) {
        self.written.notify_one();
    }

    /// Resolves after [`Outbox::wake`].
    pub async fn woken(&self) {
        self.written.notified().await;
    }
}

fn to_json<T: Serialize>(envelope: &Envelope<T>) -> Result<String, sqlx::Error> {
    serde_json::to_string(envelope).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn headers(origin: &Origin) -> Value {
    json!({"X-Request-Id": origin.request_id, "traceparent": origin.traceparent})
}

fn partition(aggregate_id: Uuid) -> i16 {
    // The last bytes of a UUIDv7 are random.
    i16::from(aggregate_id.as_bytes()[15]) % PARTITIONS
}

/// Builds the event that is published instead of one that exceeds `max_payload`. It has only the version of the data, and a reference
/// to the complete event in the outbox (extension `dataref`,
/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/dataref.md>). Returns `None` if `payload` is not an event.
pub(super) fn build_reference(payload: &[u8]) -> Option<Bytes> {
    let mut event: serde_json::Map<String, Value> = serde_json::from_slice(payload).ok()?;
    let version = event.get("data")?.get("version").cloned();
    event.insert("data".into(), version.map_or_else(|| json!({}), |version| json!({"version": version})));
    let dataref = format!("{DATAREF_SCHEME}{}", event.get("id")?.as_str()?);
    event.insert("dataref".into(), dataref.into());
    serde_json::to_vec(&event).ok().map(Bytes::from)
}

/// Reads the complete event to which `payload` refers. Returns `None` if `payload` is not a reference, or if the event was purged.
///
/// # Errors
/// If the database fails.
pub async fn dereference(conn: &mut PgConnection, payload: &[u8]) -> Result<Option<Vec<u8>>, sqlx::Error> {
    #[derive(Deserialize)]
    struct Reference {
        dataref: String,
    }
    let id = serde_json::from_slice::<Reference>(payload).ok().and_then(|r| r.dataref.strip_prefix(DATAREF_SCHEME)?.parse::<Uuid>().ok());
    let Some(id) = id else { return Ok(None) };
    let complete = sqlx::query_scalar!("SELECT payload FROM events.outbox WHERE id = $1", id);
    Ok(complete.fetch_optional(conn).await?.map(String::into_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_only_the_version_of_the_data() {
        let event = json!({"specversion": "1.0", "id": "0190-x", "subject": "s", "data": {"product": "x", "version": 7}});
        let reference: Value = serde_json::from_slice(&build_reference(event.to_string().as_bytes()).unwrap()).unwrap();
        let dataref = "catalog-outbox:0190-x";
        assert_eq!(reference, json!({"specversion": "1.0", "id": "0190-x", "subject": "s", "dataref": dataref, "data": {"version": 7}}));
    }

    #[test]
    fn a_payload_that_is_not_an_event_has_no_reference() {
        for invalid in ["", "[]", "{}", r#"{"data": 1}"#, r#"{"data": 1, "id": 2}"#] {
            assert_eq!(build_reference(invalid.as_bytes()), None, "{invalid}");
        }
    }
}
