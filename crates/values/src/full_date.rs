//! Dates, strictly as `full-date` of RFC 3339, section 5.6: not `2024-5-3`.

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, de};

/// Parses a date such as `2024-05-23`.
#[must_use]
pub fn parse(text: &str) -> Option<NaiveDate> {
    let written = text.bytes().enumerate().all(|(at, c)| if matches!(at, 4 | 7) { c == b'-' } else { c.is_ascii_digit() });
    if written && text.len() == 10 { text.parse().ok() } else { None }
}

/// Returns the validation error of a text that isn't a date.
#[must_use]
pub fn validation_error(text: &str) -> String {
    let clipped: String = text.chars().take(32).collect();
    format!("must be a date such as 2024-05-23, not {clipped:?}")
}

/// Deserialises a date that may be null, or with `#[serde(default)]` absent.
///
/// # Errors
/// If it is neither a date nor null.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text).ok_or_else(|| de::Error::custom(validation_error(&text)))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_full_form_of_a_date_is_parsed() {
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
