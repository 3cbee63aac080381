//! Patterns that several fields share, generated from the rules.
//!
//! utoipa accepts only literal patterns, so attributes have the name of a pattern, such as `pattern = "line"`.

use std::sync::LazyLock;

use catalog_values::characters::{breaks_line, is_blank};
use utoipa::openapi::{RefOr, Schema, path::Operation};

/// [`catalog_values::characters::is_plain_line`].
pub static LINE: LazyLock<String> =
    LazyLock::new(|| format!("^(?=.*[^{}])[^{}]+$", class(|c| is_blank(c) || breaks_line(c)), class(breaks_line)));

/// Any text that PostgreSQL can hold.
pub const TEXT: &str = r"^[^\u0000]*$";

/// A price below 1,000,000,000, with the decimals of any currency. Leading and trailing zeros are allowed.
const AMOUNT: &str = r"^0*[0-9]{1,9}(\.[0-9]{1,4}0*)?$";

/// [`crate::products::rules::sku`].
static SKU: LazyLock<String> = LazyLock::new(|| format!(r"^(?!\.{{1,2}}$)[^{}]+$", class(|c| is_blank(c) || c.is_control())));

/// [`crate::http::idempotency::IdempotencyKey::of`].
const IDEMPOTENCY_KEY: &str = r#"^("[!#-~]{1,255}"|[!#-~]{1,255})$"#;

/// `If-Match`: entity tags or `*`.
const ENTITY_TAGS: &str = r#"^(\*|(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*)$"#;

/// Replaces the names of patterns in the parameters of an operation, and describes the pattern of idempotency keys.
pub(super) fn resolve_in_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            parameter.schema.iter_mut().for_each(resolve);
            if parameter.name == "Idempotency-Key" {
                let purpose = parameter.description.take().unwrap_or_default();
                parameter.description = Some(format!("1 to 255 visible ASCII characters except quotes, optionally in quotes. {purpose}"));
            }
        }
    }
}

/// Replaces the name of a pattern with the pattern, also in properties and alternatives.
pub(super) fn resolve(schema: &mut RefOr<Schema>) {
    let object = match schema {
        RefOr::T(Schema::Object(object)) => object,
        RefOr::T(Schema::OneOf(choice)) => return choice.items.iter_mut().for_each(resolve),
        _ => return,
    };
    object.properties.values_mut().for_each(resolve);
    let named = match object.pattern.as_deref() {
        Some("line") => LINE.as_str(),
        Some("sku") => SKU.as_str(),
        Some("text") => TEXT,
        Some("amount") => AMOUNT,
        Some("idempotency-key") => IDEMPOTENCY_KEY,
        Some("entity-tags") => ENTITY_TAGS,
        _ => return,
    };
    object.pattern = Some(named.to_owned());
}

/// Formats the characters for which `holds` is true as the inside of a character class. It has only characters of the Basic
/// Multilingual Plane, because dialects of regular expressions have different escapes for the others.
fn class(holds: impl Fn(char) -> bool) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for c in ('\0'..='\u{ffff}').filter(|c| holds(*c)).map(u32::from) {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == c => *end = c,
            _ => ranges.push((c, c)),
        }
    }
    let written =
        ranges.into_iter().map(|(start, end)| if start == end { format!(r"\u{start:04x}") } else { format!(r"\u{start:04x}-\u{end:04x}") });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_each_run_of_characters_once() {
        assert_eq!(class(|c| matches!(c, 'a'..='c' | 'x' | '\u{2028}'..='\u{202e}')), r"\u0061-\u0063\u0078\u2028-\u202e");
        assert_eq!(class(|c| c > '\u{ffff}'), "");
    }

    #[test]
    fn a_line_has_a_visible_character_and_a_sku_is_no_dot_segment() {
        assert!(
            LINE.starts_with(r"^(?=.*[^\u0000-\u0020\u007f-\u00a0\u00ad")
                && LINE.ends_with(r"[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+$")
        );
        assert!(SKU.starts_with(r"^(?!\.{1,2}$)[^\u0000-\u0020\u007f-\u00a0\u00ad\u034f"), "{}", *SKU);
    }
}
