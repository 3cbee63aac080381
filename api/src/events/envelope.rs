//! The CloudEvents 1.0 envelope, <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>.

use chrono::{DateTime, Utc};
use rand::RngExt;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use thiserror::Error;
use uuid::Uuid;

const TYPE_PREFIX: &str = "catalog.";
/// The supported versions of event types. Events are written with the first one.
const VERSIONS: [&str; 1] = [".v1"];

/// Returns the `type` of a kind of event, such as `catalog.product.updated.v1` for `product.updated`.
pub(super) fn type_of(kind: &str) -> String {
    format!("{TYPE_PREFIX}{kind}{}", VERSIONS[0])
}

/// One event as it is stored, published and consumed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Always `1.0`.
    pub specversion: String,
    /// A UUIDv7. It is also the message id in NATS.
    pub id: Uuid,
    /// The public URL of the shop.
    pub source: String,
    /// Type with version, such as `catalog.product.updated.v1`.
    pub r#type: String,
    /// Id of the aggregate that changed, such as a product or an order.
    pub subject: String,
    /// Time of the change.
    pub time: DateTime<Utc>,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// Details of the change. Their structure depends on the type.
    pub data: T,
}

/// The account that made a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Account id.
    pub id: Uuid,
    /// Username at the time of the change.
    pub username: String,
}

/// The origin of a command, sent in the NATS headers of its events.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The account that sent the command.
    pub actor: Actor,
    /// `X-Request-Id`.
    pub request_id: String,
    /// W3C trace context.
    pub traceparent: String,
}

impl Origin {
    /// Returns the origin of a command that the worker `name` sends, with a new trace that is not sampled.
    #[must_use]
    pub fn shop(name: &str) -> Self {
        let (id, trace, span): ([u8; 16], u128, u64) = rand::rng().random();
        Self {
            actor: Actor { id: Uuid::nil(), username: name.to_owned() },
            request_id: uuid::Builder::from_random_bytes(id).into_uuid().to_string(),
            traceparent: format!("00-{trace:032x}-{span:016x}-00"),
        }
    }
}

/// The reason why this release cannot read an event.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// Not a `CloudEvent`.
    #[error("not a CloudEvent: {0}")]
    NotAnEvent(serde_json::Error),
    /// A version of the CloudEvents specification other than 1.0.
    #[error("specversion is {0:?}, not \"1.0\"")]
    Specification(String),
    /// This release does not know the type, or not its version.
    #[error("this release does not know the type {0:?}")]
    Type(String),
    /// The data does not have the structure of the type.
    #[error("data is invalid for the type {0:?}: {1}")]
    Data(String, serde_json::Error),
}

impl Envelope<Box<RawValue>> {
    /// Parses an event without its data, which [`Envelope::data_as`] parses.
    ///
    /// # Errors
    /// If it is not a `CloudEvent` 1.0.
    pub fn read(payload: &[u8]) -> Result<Self, Unreadable> {
        let envelope: Self = serde_json::from_slice(payload).map_err(Unreadable::NotAnEvent)?;
        if envelope.specversion == "1.0" { Ok(envelope) } else { Err(Unreadable::Specification(envelope.specversion)) }
    }

    /// Returns the type without prefix and version, such as `product.updated`.
    ///
    /// # Errors
    /// If the type has another prefix or a version that this release does not support.
    pub fn kind(&self) -> Result<&str, Unreadable> {
        let kind = self.r#type.strip_prefix(TYPE_PREFIX).and_then(|rest| VERSIONS.iter().find_map(|version| rest.strip_suffix(version)));
        kind.filter(|kind| !kind.is_empty()).ok_or_else(|| self.unknown())
    }

    /// Parses the data.
    ///
    /// # Errors
    /// If the data does not have the structure of `T`.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T, Unreadable> {
        serde_json::from_str(self.data.get()).map_err(|error| Unreadable::Data(self.r#type.clone(), error))
    }

    /// Returns the error for an unknown type.
    #[must_use]
    pub fn unknown(&self) -> Unreadable {
        Unreadable::Type(self.r#type.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(kind: &str) -> Value {
        json!({
            "specversion": "1.0", "id": Uuid::nil(), "source": "http://localhost:8080", "type": kind, "subject": "x",
            "time": "2026-11-21T10:00:00Z", "datacontenttype": "application/json", "data": {"n": 1}, "comingsoon": true,
        })
    }

    fn read(event: &Value) -> Result<Envelope<Box<RawValue>>, Unreadable> {
        Envelope::read(event.to_string().as_bytes())
    }

    #[test]
    fn fields_that_a_later_release_added_are_ignored() {
        let envelope = read(&event("catalog.product.updated.v1")).unwrap();
        assert_eq!(envelope.kind().unwrap(), "product.updated");
        assert_eq!(envelope.data_as::<Value>().unwrap(), json!({"n": 1}));
    }

    #[test]
    fn the_type_of_a_written_event_is_parsed_back() {
        assert_eq!(read(&event(&type_of("product.created"))).unwrap().kind().unwrap(), "product.created");
    }

    #[test]
    fn the_error_of_an_unknown_type_or_version_contains_the_type() {
        for kind in ["catalog.product.updated.v2", "catalog.product.updated", "com.example.updated.v1", "catalog..v1", "catalog.v1", ""] {
            let error = read(&event(kind)).unwrap().kind().unwrap_err().to_string();
            assert!(error.contains(&format!("{kind:?}")), "{error}");
        }
    }

    #[test]
    fn an_unknown_specversion_and_invalid_json_are_rejected() {
        let mut later = event("catalog.product.updated.v1");
        later["specversion"] = json!("2.0");
        assert!(matches!(read(&later), Err(Unreadable::Specification(version)) if version == "2.0"));
        for invalid in ["", "{", "[]", "null", "{\"specversion\":\"1.0\"}"] {
            assert!(matches!(Envelope::read(invalid.as_bytes()), Err(Unreadable::NotAnEvent(_))), "{invalid}");
        }
    }
}
