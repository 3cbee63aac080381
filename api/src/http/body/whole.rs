//! Whole numbers as JSON Schema has them: `3.0` and `3e0` are the integer 3, however they are written. One with a point or an
//! exponent is what binary64 makes of it, as everywhere in JSON (RFC 8259, section 6).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// From here on, not every whole number is a floating point number (IEEE 754, binary64), so none is certain.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A field that is a whole number.
///
/// # Errors
/// If it is anything else.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_i64(WholeVisitor)
}

/// A field that is a whole number, or null or absent; with `#[serde(default)]`.
///
/// # Errors
/// If it is anything else.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|Whole(number)| number))
}

struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number(deserializer).map(Self)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = i64;

    /// As serde does for an `i64`: [`super::words`] says it in plain words.
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("i64")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        if number.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        if number.abs() >= EXACT {
            return Err(E::custom("a whole number as great as this is written without a point and an exponent"));
        }
        #[allow(clippy::cast_possible_truncation, reason = "whole, and small enough")]
        Ok(number as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::words::in_plain_words;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Units {
        #[serde(deserialize_with = "number")]
        quantity: i64,
        #[serde(default, deserialize_with = "optional")]
        delta: Option<i64>,
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for (text, quantity) in
            [("3", 3), ("3.0", 3), ("3e2", 300), ("-0", 0), ("-0.0", 0), ("-3.00", -3), ("9223372036854775807", i64::MAX)]
        {
            let of = |field: &str| serde_json::from_str::<Units>(&format!("{{\"quantity\": {field}, \"delta\": {field}}}")).unwrap();
            assert_eq!(of(text), Units { quantity, delta: Some(quantity) }, "{text}");
        }
        assert_eq!(serde_json::from_str::<Units>(r#"{"quantity": 1, "delta": null}"#).unwrap().delta, None);
        assert_eq!(serde_json::from_str::<Units>(r#"{"quantity": 1}"#).unwrap().delta, None);
    }

    #[test]
    fn what_is_none_is_refused_in_plain_words() {
        for (text, words) in [
            ("1.5", "invalid type: number `1.5`, expected a whole number"),
            ("\"1\"", "invalid type: string \"1\", expected a whole number"),
            ("true", "invalid type: boolean `true`, expected a whole number"),
            ("1e18", "a whole number as great as this is written without a point and an exponent"),
        ] {
            let value = serde_json::from_str::<serde_json::Value>(&format!("{{\"quantity\": {text}}}")).unwrap();
            assert_eq!(in_plain_words(&serde_json::from_value::<Units>(value).unwrap_err().to_string()), words);
        }
    }
}
