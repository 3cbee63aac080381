//! Ids as the API writes them: UUIDs with hyphens (RFC 9562, section 4). The library takes braces, URNs and bare digits, too.

use serde::{Deserialize, Deserializer, de};
use uuid::Uuid;

/// What an id looks like.
pub const A_UUID: &str = "must be a UUID such as 019aa3f0-0000-7000-8000-000000000000";
/// 32 digits in five groups.
const LENGTH: usize = 36;

/// The id that `text` is.
#[must_use]
pub fn parse(text: &str) -> Option<Uuid> {
    if text.len() == LENGTH { Uuid::try_parse(text).ok() } else { None }
}

/// A field that is an id.
///
/// # Errors
/// If it isn't one.
pub fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    parse(&String::deserialize(deserializer)?).ok_or_else(|| de::Error::custom(A_UUID))
}

/// A field or a parameter that is an id, or absent; with `#[serde(default)]`.
///
/// # Errors
/// If it is given and isn't one.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let given = Option::<String>::deserialize(deserializer)?;
    given.map(|text| parse(&text).ok_or_else(|| de::Error::custom(A_UUID))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hyphens_in_their_places_make_an_id() {
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
