//! Values of events as people read them in a mail.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::products::change::FieldChange;

/// Longest value shown whole, in characters.
const MAX_VALUE: usize = 500;
/// Longer values, and those of several lines, get lines of their own.
const MAX_INLINE: usize = 100;

/// One line of a list of changes, or a block of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub name: String,
    pub old: String,
    pub new: String,
}

impl Field {
    /// Whether both values fit beside the name.
    pub(super) fn is_short(&self) -> bool {
        [&self.old, &self.new].iter().all(|value| value.chars().count() <= MAX_INLINE && !value.contains('\n'))
    }
}

/// What changed, attributes one by one.
pub(super) fn fields(changes: &[FieldChange]) -> Vec<Field> {
    changes.iter().flat_map(fields_of).collect()
}

fn fields_of(change: &FieldChange) -> Vec<Field> {
    if change.field != "attributes" {
        return vec![Field { name: line(&change.field, MAX_INLINE), old: text(&change.old), new: text(&change.new) }];
    }
    let entries = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (old, new) = (entries(&change.old), entries(&change.new));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name)).collect();
    let value = |entries: &serde_json::Map<String, Value>, name| entries.get(name).map_or_else(|| text(&Value::Null), text);
    names
        .into_iter()
        .map(|name| Field { name: format!("attributes.{}", line(name, MAX_INLINE)), old: value(&old, name), new: value(&new, name) })
        .collect()
}

/// A value as text. Money is an amount and its currency, a list is separated by commas.
fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "(none)".to_owned(),
        Value::Array(items) => items.iter().map(text_of_item).collect::<Vec<_>>().join(", "),
        Value::Object(object) => match (object.get("amount"), object.get("currency")) {
            (Some(Value::String(amount)), Some(Value::String(currency))) if object.len() == 2 => format!("{amount} {currency}"),
            _ => value.to_string(),
        },
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    clip(&text)
}

fn text_of_item(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Keeps line breaks, drops what could make a terminal act, and says how long a long text is.
fn clip(text: &str) -> String {
    let total = text.chars().count();
    let shown: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).take(MAX_VALUE).collect();
    if total > MAX_VALUE { format!("{}... ({total} characters)", shown.trim_end()) } else { shown }
}

/// At most `max` characters on one line.
pub(super) fn line(text: &str, max: usize) -> String {
    let is_break = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
    let text: String = text.chars().map(|c| if is_break(c) { ' ' } else { c }).collect();
    if text.chars().count() <= max {
        return text;
    }
    let shown: String = text.chars().take(max.saturating_sub(3)).collect();
    format!("{}...", shown.trim_end())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(field: &str, old: Value, new: Value) -> FieldChange {
        FieldChange { field: field.into(), old, new }
    }

    #[test]
    fn values_read_as_people_write_them() {
        for (value, expected) in [
            (json!(null), "(none)"),
            (json!([]), "(none)"),
            (json!("Bar table"), "Bar table"),
            (json!(["Tables", "Bar"]), "Tables, Bar"),
            (json!({"amount": "19.90", "currency": "EUR"}), "19.90 EUR"),
            (json!(3), "3"),
        ] {
            assert_eq!(text(&value), expected);
        }
    }

    #[test]
    fn only_the_attributes_that_changed_are_named() {
        let old = json!({"color": "red", "width": "10", "depth": "3"});
        let new = json!({"color": "blue", "width": "10", "height": "7"});
        let fields = fields(&[change("attributes", old, new)]);
        let lines: Vec<_> = fields.iter().map(|f| format!("{}: {} -> {}", f.name, f.old, f.new)).collect();
        assert_eq!(lines, ["attributes.color: red -> blue", "attributes.depth: 3 -> (none)", "attributes.height: (none) -> 7"]);
    }

    #[test]
    fn attributes_of_a_new_product_are_named_one_by_one() {
        let fields = fields(&[change("attributes", json!(null), json!({"color": "red"}))]);
        assert_eq!(fields, [Field { name: "attributes.color".into(), old: "(none)".into(), new: "red".into() }]);
    }

    #[test]
    fn a_long_text_is_clipped_and_its_length_told() {
        let clipped = text(&json!("x".repeat(10_000)));
        assert!(clipped.ends_with("x... (10000 characters)") && clipped.chars().count() < 600, "{clipped}");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_reader_s_terminal() {
        assert_eq!(text(&json!("a\u{1b}[31m\r\nb")), "a[31m\nb");
    }

    #[test]
    fn a_line_has_no_breaks_and_its_limit() {
        assert_eq!(line("a\r\nb\u{2028}c", 80), "a  b c");
        assert_eq!(line(&"ä".repeat(81), 80), format!("{}...", "ä".repeat(77)));
        assert_eq!(line(&"ä".repeat(80), 80), "ä".repeat(80));
    }
}
