//! Parses ids: UUIDs with hyphens (RFC 9562, section 4). The library alone would also accept braces, URNs and bare digits.

use serde::{Deserialize, Deserializer, de};
use uuid::Uuid;

/// Error of a text that is not an id.
pub const A_UUID: &str = "must be a UUID such as 019aa3f0-0000-7000-8000-000000000000";
/// Length of an id: 32 digits and four hyphens.
const LENGTH: usize = 36;

/// Parses an id.
#[must_use]
pub fn parse(text: &str) -> Option<Uuid> {
    if text.len() == LENGTH { Uuid::try_parse(text).ok() } else { None }
}

/// Deserializes a field that is an id.
///
/// # Errors
/// If the field isn't an id.
pub fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    parse(&String::deserialize(deserializer)?).ok_or_else(|| de::Error::custom(A_UUID))
}

/// Deserializes a field or parameter that is an id, null or absent. Needs `#[serde(default)]`.
///
/// # Errors
/// If the field is present and isn't an id.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text).ok_or_else(|| de::Error::custom(A_UUID))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uuids_with_hyphens_are_ids() {
        let id = "019aa3f0-0000-7000-8000-00000000000a";
        assert_eq!(parse(id).map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(parse(&id.to_uppercase()), parse(id));
        let bare = id.replace('-', "");
        for bad in [bare.as_str(), "", &format!("{{{id}}}"), &format!("urn:uuid:{id}"), &format!("{bare}----"), &format!(" {id}"), &id[1..]]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
