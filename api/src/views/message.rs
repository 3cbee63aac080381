//! Messages of the views stream.

use std::fmt;

use chrono::{DateTime, SubsecRound, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::events::Envelope;

/// `CloudEvents` type of a message of views.
pub const TYPE: &str = "catalog.products.viewed.v1";

/// Maximum age of a counted message. The ids of older messages may be deleted already, so duplicates could not be detected.
/// Messages live at most 72 hours in the stream and 24 hours in a publisher.
pub const MAX_AGE: TimeDelta = TimeDelta::hours(96);

/// Maximum clock skew of a publisher.
pub const MAX_SKEW: TimeDelta = TimeDelta::hours(1);

/// An hour of UTC, as a number since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(u32);

impl Hour {
    /// The hour of `time`; the first hour for times before 1970.
    #[must_use]
    pub fn of(time: DateTime<Utc>) -> Self {
        Self(u32::try_from(time.timestamp() / 3600).unwrap_or_default())
    }

    /// Inverse of [`Hour::number`].
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Hours since 1970.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Start of the hour.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        DateTime::from_timestamp(i64::from(self.0) * 3600, 0).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl Serialize for Hour {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.start().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Hour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = DateTime::<Utc>::deserialize(deserializer)?;
        let whole = time.minute() == 0 && time.second() == 0 && time.trunc_subsecs(0) == time;
        if whole && time.timestamp() >= 0 {
            Ok(Self::of(time))
        } else {
            Err(de::Error::custom("hour must be the start of an hour since 1970"))
        }
    }
}

/// Views of a product in an hour, in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Product id.
    pub product_id: Uuid,
    /// Start of the hour.
    pub hour: Hour,
    /// Views, at least 1.
    pub count: u32,
}

/// `data` of `catalog.products.viewed.v1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Viewed<V> {
    /// One entry per product and hour.
    pub views: V,
}

/// A message of views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Message id, a `UUIDv7` with the time of its creation.
    pub id: Uuid,
    /// Time of its creation.
    pub created_at: DateTime<Utc>,
    /// Views.
    pub views: Vec<View>,
}

/// Reasons to reject a message permanently.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or not of the expected shape.
    #[error("not a CloudEvent of views: {0}")]
    Shape(#[from] serde_json::Error),
    /// Another type of event.
    #[error("the type is {0:?}, not {TYPE}")]
    Type(String),
    /// The id has no time.
    #[error("the id is not a UUIDv7")]
    Id,
    /// The message is too old or from the future, so a duplicate could not be detected.
    #[error("the id was created at {0}, outside the period in which duplicates are detected")]
    Age(DateTime<Utc>),
    /// An entry without views.
    #[error("an entry has no views")]
    Empty,
}

impl Message {
    /// Parses a message.
    ///
    /// # Errors
    /// If it must not be counted.
    pub fn parse(payload: &[u8], now: DateTime<Utc>) -> Result<Self, Malformed> {
        let event: Envelope<Viewed<Vec<View>>> = serde_json::from_slice(payload)?;
        if event.r#type != TYPE {
            return Err(Malformed::Type(event.r#type));
        }
        let created_at = time_of(event.id).ok_or(Malformed::Id)?;
        if created_at < now - MAX_AGE || created_at > now + MAX_SKEW {
            return Err(Malformed::Age(created_at));
        }
        if event.data.views.iter().any(|view| view.count == 0) {
            return Err(Malformed::Empty);
        }
        Ok(Self { id: event.id, created_at, views: event.data.views })
    }

    /// Number of views.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.views.iter().map(|view| u64::from(view.count)).sum()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} entries", self.id, self.views.len())
    }
}

fn time_of(id: Uuid) -> Option<DateTime<Utc>> {
    let version7 = id.get_version() == Some(uuid::Version::SortRand);
    let (seconds, nanos) = id.get_timestamp().filter(|_| version7)?.to_unix();
    DateTime::from_timestamp(seconds.try_into().ok()?, nanos)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T10:17:00Z".parse().unwrap()
    }

    fn id_of(time: DateTime<Utc>) -> Uuid {
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, time.timestamp().unsigned_abs(), 0))
    }

    fn event(id: Uuid, views: &Value) -> Vec<u8> {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "https://shop.example", "type": TYPE, "subject": "products",
            "time": now(), "datacontenttype": "application/json", "data": {"views": views},
        });
        serde_json::to_vec(&event).unwrap()
    }

    fn entry(hour: &str, count: i64) -> Value {
        json!([{"product_id": Uuid::from_u128(7), "hour": hour, "count": count}])
    }

    #[test]
    fn the_creation_time_of_a_message_is_read_from_its_id() {
        let message = Message::parse(&event(id_of(now()), &entry("2026-11-21T10:00:00Z", 3)), now()).unwrap();
        assert_eq!(message.created_at, now());
        assert_eq!(message.views, [View { product_id: Uuid::from_u128(7), hour: Hour::of(now()), count: 3 }]);
        assert_eq!(message.views[0].hour.start().to_rfc3339(), "2026-11-21T10:00:00+00:00");
    }

    #[test]
    fn messages_whose_duplicates_cannot_be_detected_or_with_invalid_entries_are_rejected() {
        let good = entry("2026-11-21T10:00:00Z", 1);
        for id in [Uuid::from_u128(1), id_of(now() - MAX_AGE - TimeDelta::seconds(1)), id_of(now() + MAX_SKEW + TimeDelta::seconds(1))] {
            assert!(Message::parse(&event(id, &good), now()).is_err(), "{id}");
        }
        assert!(Message::parse(&event(id_of(now() - MAX_AGE), &good), now()).is_ok());
        let bad = [entry("2026-11-21T10:17:00Z", 1), entry("1969-12-31T23:00:00Z", 1), entry("2026-11-21T10:00:00Z", 0)];
        for views in bad.iter().chain([&entry("2026-11-21T10:00:00Z", -1), &entry("2026-11-21T10:00:00Z", 1 << 32), &json!({})]) {
            assert!(Message::parse(&event(id_of(now()), views), now()).is_err(), "{views}");
        }
    }
}
