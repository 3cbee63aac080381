//! Rewrites error messages of serde in terms of JSON.

/// Maximum number of quoted characters of a value.
const MAX_QUOTED: usize = 100;

/// The meaning of an error message of serde.
#[derive(Debug, PartialEq, Eq)]
pub enum DeserializeError<'a> {
    /// A required field is missing.
    Missing(&'a str),
    /// A field is unknown.
    Unknown(&'a str),
    /// A value is invalid; with the error detail.
    Value(String),
}

impl<'a> DeserializeError<'a> {
    /// Parses a message. A message of this service is kept unchanged.
    pub fn parse(message: &'a str) -> Self {
        let quoted = |prefix: &str| message.strip_prefix(prefix)?.split('`').nth(1);
        if let Some(name) = quoted("missing field ") {
            return Self::Missing(name);
        }
        if let Some(name) = quoted("unknown field ") {
            return Self::Unknown(name);
        }
        let Some((given, expected)) = message.rsplit_once(", expected ") else { return Self::Value(message.to_owned()) };
        let given = match given.split_once(": ") {
            Some(("invalid type", given)) => kind(given),
            Some(("invalid value", given)) => quote(given),
            _ => given.strip_prefix("unknown variant ").map_or_else(|| quote(given), |name| format!("{:?}", clip(name.trim_matches('`')))),
        };
        Self::Value(format!("must be {}, not {given}", translate_expected(expected)))
    }
}

/// Returns the type of a value without the value itself, which could be secret.
fn kind(given: &str) -> String {
    let kinds = [
        ("string", "a string"),
        ("boolean", "a boolean"),
        ("sequence", "an array"),
        ("array", "an array"),
        ("map", "an object"),
        ("unit", "null"),
        ("null", "null"),
    ];
    kinds.into_iter().find(|(name, _)| given.starts_with(name)).map_or_else(|| quote(given), |(_, kind)| kind.to_owned())
}

/// Quotes a number or another short value.
fn quote(given: &str) -> String {
    clip(given.split('`').nth(1).unwrap_or(given))
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}

/// Translates what serde expected, because serde names Rust types.
fn translate_expected(expected: &str) -> String {
    match expected {
        "i16" | "i32" | "i64" | "u16" | "u32" | "u64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        name if name.starts_with("struct ") => "an object".to_owned(),
        // The values of an enum.
        names if names.contains('`') => names.replace('`', "\""),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use catalog_values::whole;
    use serde::{Deserialize, de::DeserializeOwned};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its structure matters")]
    struct Structure {
        units: i64,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        Pending,
        Confirmed,
        Cancelled,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its structure matters")]
    struct Units {
        #[serde(deserialize_with = "whole::number")]
        quantity: i64,
    }

    fn message<T: DeserializeOwned>(text: &str) -> String {
        serde_json::from_str::<serde_json::Value>(text).and_then(serde_json::from_value::<T>).err().unwrap().to_string()
    }

    #[test]
    fn messages_of_serde_are_rewritten_in_terms_of_json() {
        for (text, expected) in [
            ("1.5", "must be a whole number, not 1.5"),
            ("\"7\"", "must be a whole number, not a string"),
            ("[1]", "must be a whole number, not an array"),
            ("{}", "must be a whole number, not an object"),
            ("null", "must be a whole number, not null"),
            ("true", "must be a whole number, not a boolean"),
        ] {
            assert_eq!(DeserializeError::parse(&message::<i64>(text)), DeserializeError::Value(expected.into()), "{text}");
        }
        assert_eq!(DeserializeError::parse(&message::<Vec<i64>>("7")), DeserializeError::Value("must be an array, not 7".into()));
        assert_eq!(
            DeserializeError::parse(&message::<Structure>("\"x\"")),
            DeserializeError::Value("must be an object, not a string".into())
        );
        assert_eq!(DeserializeError::parse(&message::<Structure>("{}")), DeserializeError::Missing("units"));
        assert_eq!(DeserializeError::parse(&message::<Structure>(r#"{"nuits": 1}"#)), DeserializeError::Unknown("nuits"));
        let choices = r#"must be one of "pending", "confirmed", "cancelled", not "shipped""#;
        assert_eq!(DeserializeError::parse(&message::<Choice>("\"shipped\"")), DeserializeError::Value(choices.into()));
        assert_eq!(
            DeserializeError::parse("give a date such as 2024-05-23"),
            DeserializeError::Value("give a date such as 2024-05-23".into())
        );
    }

    #[test]
    fn errors_of_whole_numbers_use_terms_of_json() {
        for (text, words) in [
            ("1.5", "must be a whole number, not 1.5"),
            ("\"1\"", "must be a whole number, not a string"),
            ("true", "must be a whole number, not a boolean"),
            ("[]", "must be a whole number, not an array"),
        ] {
            let value = serde_json::from_str::<serde_json::Value>(&format!("{{\"quantity\": {text}}}")).unwrap();
            assert_eq!(
                DeserializeError::parse(&serde_json::from_value::<Units>(value).unwrap_err().to_string()),
                DeserializeError::Value(words.to_owned())
            );
        }
    }

    #[test]
    fn long_values_are_clipped() {
        let message = message::<Choice>(&format!("{:?}", "x".repeat(1000)));
        assert!(matches!(DeserializeError::parse(&message), DeserializeError::Value(text) if text.len() < 200));
    }
}
