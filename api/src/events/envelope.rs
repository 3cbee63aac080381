//! The CloudEvents 1.0 envelope, <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>.

use chrono::{DateTime, Utc};
use rand::RngExt;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use thiserror::Error;
use uuid::Uuid;

const TYPE_PREFIX: &str = "catalog.";
/// The version that is written, followed by the others that are understood.
const VERSIONS: [&str; 1] = [".v1"];

/// The `type` of events of a kind such as `product.updated`.
pub(super) fn type_of(kind: &str) -> String {
    format!("{TYPE_PREFIX}{kind}{}", VERSIONS[0])
}

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

/// The origin of a command, sent in the NATS headers of its events.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who.
    pub actor: Actor,
    /// `X-Request-Id`.
    pub request_id: String,
    /// W3C trace context.
    pub traceparent: String,
}

impl Origin {
    /// The origin of what the shop does by itself, in a new trace that is not sampled: the worker `name` is the actor.
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

/// Why an event cannot be understood by this release.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// Not a `CloudEvent`.
    #[error("not a CloudEvent: {0}")]
    NotAnEvent(serde_json::Error),
    /// A later specification than the one known.
    #[error("specversion is {0:?}, not \"1.0\"")]
    Specification(String),
    /// Not one of the types known, or not in a version known.
    #[error("the type {0:?} is not known to this release")]
    Type(String),
    /// The type is known, but its data is something else.
    #[error("data does not fit the type {0:?}: {1}")]
    Data(String, serde_json::Error),
}

impl Envelope<Box<RawValue>> {
    /// Reads an event and leaves its data for [`Envelope::data_as`].
    ///
    /// # Errors
    /// If it is not a `CloudEvent` 1.0.
    pub fn read(payload: &[u8]) -> Result<Self, Unreadable> {
        let envelope: Self = serde_json::from_slice(payload).map_err(Unreadable::NotAnEvent)?;
        if envelope.specversion == "1.0" { Ok(envelope) } else { Err(Unreadable::Specification(envelope.specversion)) }
    }

    /// The type without prefix and version, such as `product.updated`, if the version is one that
    /// this release understands: this one, and the one before once there is one.
    ///
    /// # Errors
    /// If it is another.
    pub fn kind(&self) -> Result<&str, Unreadable> {
        let kind = self.r#type.strip_prefix(TYPE_PREFIX).and_then(|rest| VERSIONS.iter().find_map(|version| rest.strip_suffix(version)));
        kind.filter(|kind| !kind.is_empty()).ok_or_else(|| self.unknown())
    }

    /// What happened.
    ///
    /// # Errors
    /// If the data is not of that shape.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T, Unreadable> {
        serde_json::from_str(self.data.get()).map_err(|error| Unreadable::Data(self.r#type.clone(), error))
    }

    /// The error for an unknown type.
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
    fn this_version_is_read_and_fields_of_later_releases_are_ignored() {
        let envelope = read(&event("catalog.product.updated.v1")).unwrap();
        assert_eq!(envelope.kind().unwrap(), "product.updated");
        assert_eq!(envelope.data_as::<Value>().unwrap(), json!({"n": 1}));
    }

    #[test]
    fn what_append_writes_is_what_kind_reads() {
        assert_eq!(read(&event(&type_of("product.created"))).unwrap().kind().unwrap(), "product.created");
    }

    #[test]
    fn unknown_types_and_versions_are_rejected_by_name() {
        for kind in ["catalog.product.updated.v2", "catalog.product.updated", "com.example.updated.v1", "catalog..v1", "catalog.v1", ""] {
            let error = read(&event(kind)).unwrap().kind().unwrap_err().to_string();
            assert!(error.contains(&format!("{kind:?}")), "{error}");
        }
    }

    #[test]
    fn an_unknown_specification_and_garbage_are_rejected() {
        let mut later = event("catalog.product.updated.v1");
        later["specversion"] = json!("2.0");
        assert!(matches!(read(&later), Err(Unreadable::Specification(version)) if version == "2.0"));
        for garbage in ["", "{", "[]", "null", "{\"specversion\":\"1.0\"}"] {
            assert!(matches!(Envelope::read(garbage.as_bytes()), Err(Unreadable::NotAnEvent(_))), "{garbage}");
        }
    }
}
