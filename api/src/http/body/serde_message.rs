//! Serde's errors in the terms of JSON.

/// Characters of a value that are quoted.
const MAX_QUOTED: usize = 100;

/// What one of serde's messages says.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// A required field is missing.
    Missing(&'a str),
    /// A field is unknown.
    Unknown(&'a str),
    /// A value is wrong, and this is what to say of it.
    Value(String),
}

impl<'a> Fault<'a> {
    /// Reads a message. One that isn't serde's is ours and stays.
    pub fn of(message: &'a str) -> Self {
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
        Self::Value(format!("must be {}, not {given}", described(expected)))
    }
}

/// The type of a value, without the value, which could be secret.
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

/// A number or another short value.
fn quote(given: &str) -> String {
    clip(given.split('`').nth(1).unwrap_or(given))
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}

/// What serde expected: it names Rust's types.
fn described(expected: &str) -> String {
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

    fn message<T: DeserializeOwned>(text: &str) -> String {
        serde_json::from_str::<serde_json::Value>(text).and_then(serde_json::from_value::<T>).err().unwrap().to_string()
    }

    #[test]
    fn serdes_messages_are_in_the_terms_of_json() {
        for (text, expected) in [
            ("1.5", "must be a whole number, not 1.5"),
            ("\"7\"", "must be a whole number, not a string"),
            ("[1]", "must be a whole number, not an array"),
            ("{}", "must be a whole number, not an object"),
            ("null", "must be a whole number, not null"),
            ("true", "must be a whole number, not a boolean"),
        ] {
            assert_eq!(Fault::of(&message::<i64>(text)), Fault::Value(expected.into()), "{text}");
        }
        assert_eq!(Fault::of(&message::<Vec<i64>>("7")), Fault::Value("must be an array, not 7".into()));
        assert_eq!(Fault::of(&message::<Structure>("\"x\"")), Fault::Value("must be an object, not a string".into()));
        assert_eq!(Fault::of(&message::<Structure>("{}")), Fault::Missing("units"));
        assert_eq!(Fault::of(&message::<Structure>(r#"{"nuits": 1}"#)), Fault::Unknown("nuits"));
        let choices = r#"must be one of "pending", "confirmed", "cancelled", not "shipped""#;
        assert_eq!(Fault::of(&message::<Choice>("\"shipped\"")), Fault::Value(choices.into()));
        assert_eq!(Fault::of("give a date such as 2024-05-23"), Fault::Value("give a date such as 2024-05-23".into()));
    }

    #[test]
    fn long_values_are_clipped() {
        let message = message::<Choice>(&format!("{:?}", "x".repeat(1000)));
        assert!(matches!(Fault::of(&message), Fault::Value(text) if text.len() < 200));
    }
}
