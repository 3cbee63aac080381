//! What serde says of a value of the wrong type, in the words of JSON.

use std::{borrow::Cow, fmt::Display};

/// Characters of a value that are quoted.
const MOST_QUOTED: usize = 100;

/// Serde names Rust's types: ``floating point `1.5`, expected i64``.
pub fn in_plain_words(message: &str) -> String {
    let Some((given, expected)) = message.rsplit_once(", expected ") else {
        // The others don't quote what was sent, or are sentences of our own.
        return if message.starts_with("unknown ") { shortened(message).into_owned() } else { message.to_owned() };
    };
    let expected = match expected {
        // The range is the fault only of a number that is out of it; what isn't whole may have a narrower one.
        "i16" | "i32" | "i64" | "u16" | "u32" | "u64" if given.starts_with("invalid type: ") => "a whole number".to_owned(),
        "i16" => whole_number(i16::MIN, i16::MAX),
        "i32" => whole_number(i32::MIN, i32::MAX),
        "i64" => whole_number(i64::MIN, i64::MAX),
        "u16" => whole_number(u16::MIN, u16::MAX),
        "u32" => whole_number(u32::MIN, u32::MAX),
        "u64" => whole_number(u64::MIN, u64::MAX),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        name if name.starts_with("struct ") => "an object".to_owned(),
        other => other.to_owned(),
    };
    let (fault, value) = translated(given).unwrap_or(("", given));
    format!("{fault}{}, expected {expected}", shortened(value))
}

/// What is wrong, with the kind of value as JSON calls it, and the value.
fn translated(given: &str) -> Option<(&'static str, &str)> {
    let faults = [
        ("unknown variant ", "unknown value "),
        ("invalid type: floating point", "invalid type: number"),
        ("invalid type: integer", "invalid type: number"),
        ("invalid type: sequence", "invalid type: array"),
        ("invalid type: map", "invalid type: object"),
        ("invalid value: floating point", "invalid value: number"),
        ("invalid value: integer", "invalid value: number"),
    ];
    faults.into_iter().find_map(|(rust, json)| Some((json, given.strip_prefix(rust)?)))
}

/// What was sent is quoted so that it is recognized, and not whole.
fn shortened(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(MOST_QUOTED) {
        Some((end, _)) => format!("{}…", &value[..end]).into(),
        None => value.into(),
    }
}

fn whole_number<T: Display>(least: T, most: T) -> String {
    format!("a whole number from {least} to {most}")
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, de::DeserializeOwned};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Shape {
        units: i64,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        PendingForLong,
        ConfirmedInTime,
        FulfilledAfterTheDelay,
        CancelledBySomebody,
    }

    fn refused<T: DeserializeOwned>(text: &str) -> String {
        in_plain_words(&serde_json::from_str::<serde_json::Value>(text).and_then(serde_json::from_value::<T>).err().unwrap().to_string())
    }

    #[test]
    fn types_are_called_as_in_json_and_values_stay_as_they_were_sent() {
        assert_eq!(refused::<i64>("1.5"), "invalid type: number `1.5`, expected a whole number");
        assert_eq!(refused::<u16>("-1"), "invalid value: number `-1`, expected a whole number from 0 to 65535");
        assert_eq!(refused::<Vec<i64>>("5"), "invalid type: number `5`, expected an array");
        assert_eq!(refused::<Shape>("5"), "invalid type: number `5`, expected an object");
        assert_eq!(refused::<String>("{}"), "invalid type: object, expected a string");
        assert_eq!(refused::<bool>(r#""map, expected i64""#), "invalid type: string \"map, expected i64\", expected a boolean");
        let long = refused::<bool>(&format!("{:?}", "ä".repeat(1000)));
        assert!(long.starts_with("invalid type: string \"ää") && long.ends_with("ä…, expected a boolean"), "{long}");
        assert!(long.chars().count() < 200, "{long}");
        let choices = ", expected one of `pending_for_long`, `confirmed_in_time`, `fulfilled_after_the_delay`, `cancelled_by_somebody`";
        assert_eq!(refused::<Choice>(r#""shipped""#), format!("unknown value `shipped`{choices}"));
        assert!(refused::<Choice>(&format!("{:?}", "x".repeat(1000))).ends_with(&format!("xx…{choices}")));
        assert_eq!(refused::<Shape>("{}"), "missing field `units`");
    }
}
