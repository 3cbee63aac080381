//! The CloudEvents 1.0 envelope, <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One event as it is stored, published and consumed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique, time-ordered; also the message id.
    pub id: Uuid,
    /// Which installation it comes from: its public URL.
    pub source: String,
    /// Versioned, such as `catalog.product.updated.v1`.
    pub r#type: String,
    /// What it is about: the id of the product.
    pub subject: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// What happened, by type.
    pub data: T,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Account id.
    pub id: Uuid,
    /// Username at that moment.
    pub username: String,
}

/// Where a command comes from: travels with its events in NATS headers.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who.
    pub actor: Actor,
    /// `X-Request-Id`.
    pub request_id: String,
    /// W3C trace context.
    pub traceparent: String,
}

/// The event type of a kind: `product.updated` becomes `catalog.product.updated.v1`.
#[must_use]
pub fn event_type(kind: &str) -> String {
    format!("catalog.{kind}.v1")
}

/// The kind of an event type, or nothing of one that isn't ours.
#[must_use]
pub fn kind(event_type: &str) -> &str {
    event_type.strip_prefix("catalog.").and_then(|rest| rest.strip_suffix(".v1")).unwrap_or_default()
}
