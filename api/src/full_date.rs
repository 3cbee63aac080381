//! Days as the API writes them: `full-date` of RFC 3339, section 5.6, and nothing that only looks
//! like it, such as `2024-5-3`.

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, de};

/// The day that `text` names.
#[must_use]
pub fn parse(text: &str) -> Option<NaiveDate> {
    let written = text.bytes().enumerate().all(|(at, c)| if matches!(at, 4 | 7) { c == b'-' } else { c.is_ascii_digit() });
    if written && text.len() == 10 { text.parse().ok() } else { None }
}

/// What to say of a text that isn't one.
#[must_use]
pub fn refusal(text: &str) -> String {
    let clipped: String = text.chars().take(32).collect();
    format!("must be a date such as 2024-05-23, not {clipped:?}")
}

/// A field that may be absent or null; with `#[serde(default)]`.
///
/// # Errors
/// If it is anything else but a day.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let given = Option::<String>::deserialize(deserializer)?;
    given.map(|text| parse(&text).ok_or_else(|| de::Error::custom(refusal(&text)))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ten_characters_in_their_places_are_a_day() {
        assert_eq!(parse("2024-02-29").map(|day| day.to_string()).as_deref(), Some("2024-02-29"));
        for bad in [
            "",
            "2024-2-29",
            "2024-02-30",
            "24-02-29",
            "+2024-02-2",
            "2024-02-29 ",
            " 2024-02-29",
            "2024/02/29",
            "2024-02-2９",
            "12024-01-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
