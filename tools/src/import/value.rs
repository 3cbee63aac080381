//! Values of a record. Numbers are kept as text, because a SIM card number (ICCID) has more
//! digits than the 15 that a binary64 number keeps.

use std::collections::BTreeMap;

use catalog_values::find_duplicate_key;
use serde_json::value::RawValue;

/// A record of a file: values by column or field.
pub type Record = BTreeMap<String, Value>;

/// Maximum nesting of arrays and objects.
const MAX_DEPTH: usize = 16;

/// A value of JSON, or a cell of CSV, which is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as written in the file.
    Number(String),
    /// Text.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object.
    Object(Record),
}

impl Value {
    /// Reads JSON.
    ///
    /// # Errors
    /// If the text isn't JSON, has a key twice or is nested too deeply.
    pub fn parse(text: &str) -> Result<Self, String> {
        match find_duplicate_key(text).map_err(|error| invalid(&error))? {
            Some(pointer) => Err(format!("{} is given twice", pointer.trim_start_matches('/'))),
            None => Self::parse_trimmed(text.trim(), MAX_DEPTH),
        }
    }

    /// Parses JSON without white space around it.
    fn parse_trimmed(text: &str, depth: usize) -> Result<Self, String> {
        let inner = |raw: &RawValue| {
            let depth = depth.checked_sub(1).ok_or_else(|| format!("must not nest arrays and objects more than {MAX_DEPTH} deep"))?;
            Self::parse_trimmed(raw.get(), depth)
        };
        Ok(match text.bytes().next() {
            Some(b'{') => {
                let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| invalid(&error))?;
                Self::Object(fields.into_iter().map(|(name, raw)| Ok((name, inner(raw)?))).collect::<Result<_, String>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| invalid(&error))?;
                Self::List(items.into_iter().map(inner).collect::<Result<_, String>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text).map_err(|error| invalid(&error))?),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::Number(text.to_owned()),
        })
    }

    /// Converts the value for a request. A number that a [`serde_json::Value`] would change becomes text.
    #[must_use]
    pub fn into_json(self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(flag) => flag.into(),
            Self::Number(text) => match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(number) if format!("{number}") == text => number,
                _ => text.into(),
            },
            Self::Text(text) => text.into(),
            Self::List(items) => items.into_iter().map(Self::into_json).collect(),
            Self::Object(fields) => fields.into_iter().map(|(name, value)| (name, value.into_json())).collect(),
        }
    }
}

fn invalid(error: &serde_json::Error) -> String {
    format!("not valid JSON: {error}")
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        for number in [
            "89490200001188888889",
            "89490200001188888890",
            "4006381333931.0",
            "1.5",
            "1e-400",
            "-0.0",
            "0.1000000000000000055511151231257827",
        ] {
            let text = format!(r#" {{"a": [{number}]}} "#);
            let number = Value::Number(number.into());
            assert_eq!(Value::parse(&text), Ok(Value::Object([("a".into(), Value::List(vec![number]))].into())));
        }
        assert_eq!(Value::Number("89490200001188888889".into()).into_json(), "89490200001188888889");
        assert_eq!(Value::Number("12".into()).into_json(), 12);
    }

    #[test]
    fn other_values_are_parsed_as_by_serde() {
        let text = r#"{"a": "\u00e4\n", "b": [true, false, null, {}], "c": {"d": []}, "": 1}"#;
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::parse(text).unwrap().into_json(), value);
    }

    #[test]
    fn invalid_or_too_deep_json_is_an_error() {
        for text in ["", "{", "[1,]", "{} {}", "tru", "01", "\"\\ud800\""] {
            assert!(Value::parse(text).unwrap_err().starts_with("not valid JSON"), "{text}");
        }
        assert_eq!(Value::parse(r#"{"a": {"b": 1, "b": 2}}"#), Err("a/b is given twice".into()));
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Value::parse(&nested(MAX_DEPTH)).is_ok());
        for depth in [MAX_DEPTH + 2, 100_000] {
            assert!(Value::parse(&nested(depth)).is_err(), "{depth}");
        }
    }
}
