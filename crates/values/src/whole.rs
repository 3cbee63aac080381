//! Whole numbers as JSON Schema defines them: `3.0` and `3e0` are the integer 3. They are parsed as text, because as binary64
//! numbers `1.0000000000000000001` would be 1 and `1e-400` would be 0.

use serde::{
    Deserialize, Deserializer,
    de::{Error, Expected, Unexpected},
};
use serde_json::{Value, value::RawValue};

/// Deserializes a field that is a whole number.
///
/// # Errors
/// If the field is anything else.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let text = raw.get();
    if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Err(D::Error::invalid_type(unexpected(&serde_json::from_str(text).unwrap_or_default()), INTEGER));
    }
    match parse_literal(text) {
        Literal::Whole(number) => Ok(number),
        Literal::Fraction => Err(D::Error::invalid_type(Unexpected::Other(&format!("number `{text}`")), INTEGER)),
        Literal::TooGreat => Err(D::Error::invalid_value(Unexpected::Other(&format!("number `{text}`")), INTEGER)),
    }
}

/// Deserializes a field that is a whole number, null or absent. Needs `#[serde(default)]`.
///
/// # Errors
/// If the field is anything else.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|Whole(number)| number))
}

struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number(deserializer).map(Self)
    }
}

/// The name that serde uses. The service translates it for its responses.
const INTEGER: &dyn Expected = &"i64";

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(flag) => Unexpected::Bool(*flag),
        Value::Number(_) => Unexpected::Other("number"),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

/// The value of a JSON number.
#[derive(Debug, PartialEq, Eq)]
pub enum Literal {
    /// A whole number.
    Whole(i64),
    /// A whole number beyond an `i64`.
    TooGreat,
    /// Another number.
    Fraction,
}

/// Parses a JSON number (RFC 8259, section 6) digit by digit.
#[must_use]
pub fn parse_literal(text: &str) -> Literal {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_end_matches('0').trim_start_matches('0');
    if digits.is_empty() {
        return Literal::Whole(0);
    }
    // An exponent that doesn't fit into an i64 is far larger than the number of digits in any body.
    let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
    let fraction_digits = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let trailing_zeros = i64::try_from(all.len() - all.trim_end_matches('0').len()).unwrap_or(i64::MAX);
    match usize::try_from(exponent.saturating_sub(fraction_digits).saturating_add(trailing_zeros)) {
        Err(_) => Literal::Fraction,
        // 19 is the number of digits of the greatest i64.
        Ok(zeros) if digits.len().saturating_add(zeros) > 19 => Literal::TooGreat,
        Ok(zeros) => format!("{sign}{digits}{}", "0".repeat(zeros)).parse().map_or(Literal::TooGreat, Literal::Whole),
    }
}

/// Finds the first number in a JSON text whose value changes when it is parsed as a [`Value`].
#[must_use]
pub fn inexact_number(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[start..];
        let is_string = rest.starts_with('"');
        let end = if is_string { string_length(rest) } else { rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))) };
        let (token, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let read = || serde_json::from_str::<Value>(token).map(|value| parse_literal(&value.to_string()));
        if !is_string && read().ok() != Some(parse_literal(token)) {
            return Some(token);
        }
        rest = behind;
    }
    None
}

/// Returns the length in bytes of the string at the start of `text`, including the quotes.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    let close = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    close.map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Units {
        #[serde(deserialize_with = "number")]
        quantity: i64,
        #[serde(default, deserialize_with = "optional")]
        delta: Option<i64>,
    }

    #[test]
    fn whole_numbers_are_accepted_in_every_notation() {
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
    fn no_digit_of_a_number_is_lost() {
        for (text, literal) in [
            ("1.0000000000000000001", Literal::Fraction),
            ("1e-400", Literal::Fraction),
            ("-0.0e-400", Literal::Whole(0)),
            ("0e99999999999999999999", Literal::Whole(0)),
            ("1e99999999999999999999", Literal::TooGreat),
            ("1e-99999999999999999999", Literal::Fraction),
            ("9007199254740993.0", Literal::Whole(9_007_199_254_740_993)),
            ("9.223372036854775807E+18", Literal::Whole(i64::MAX)),
            ("-9223372036854775808", Literal::Whole(i64::MIN)),
            ("9223372036854775808", Literal::TooGreat),
            ("120.50e1", Literal::Whole(1205)),
            ("0.00100e3", Literal::Whole(1)),
        ] {
            assert_eq!(parse_literal(text), literal, "{text}");
        }
        let error = serde_json::from_str::<Units>(r#"{"quantity": 1.0000000000000000001}"#).unwrap_err().to_string();
        assert!(error.starts_with("invalid type: number `1.0000000000000000001`, expected i64"), "{error}");
    }

    #[test]
    fn a_number_that_a_json_value_would_change_is_found() {
        for (text, found) in [
            (r#"{"a": [1, 2.5, -3e2, 1e400], "1.0000000000000000001": "\\\"1e-400"}"#, Some("1e400")),
            (r#"{"a": 1.0000000000000000001}"#, Some("1.0000000000000000001")),
            (r#"{"a": 1e-400}"#, Some("1e-400")),
            ("[9007199254740993.0]", Some("9007199254740993.0")),
            (r#"{"a": [1, 2.5, -3e2, 9223372036854775807, true, null], "1.0000000000000000001": "\\\"1e-400"}"#, None),
        ] {
            assert_eq!(inexact_number(text), found, "{text}");
        }
    }
}
