//! Formats the changed fields of an event for a mail.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::products::change::FieldChange;

/// Longest value that is not clipped, in characters.
const MAX_VALUE: usize = 500;
/// Longest value beside the name of its field, in characters. Longer and multi-line values are put below it.
const MAX_INLINE: usize = 100;

/// One changed field, formatted.
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

/// Formats changes. Every changed attribute is a field of its own.
pub(super) fn format_changes(changes: &[FieldChange]) -> Vec<Field> {
    changes.iter().flat_map(format_change).collect()
}

fn format_change(change: &FieldChange) -> Vec<Field> {
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

/// Formats money as amount and currency, and lists with commas.
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

/// Removes control characters except line breaks. A clipped text ends with its full length.
fn clip(text: &str) -> String {
    let total = text.chars().count();
    let shown: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).take(MAX_VALUE).collect();
    if total > MAX_VALUE { format!("{}... ({total} characters)", shown.trim_end()) } else { shown }
}

/// Puts a text on one line of at most `max` characters.
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
    fn values_are_formatted_for_people() {
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
    fn only_changed_attributes_are_listed() {
        let old = json!({"color": "red", "width": "10", "depth": "3"});
        let new = json!({"color": "blue", "width": "10", "height": "7"});
        let fields = format_changes(&[change("attributes", old, new)]);
        let lines: Vec<_> = fields.iter().map(|f| format!("{}: {} -> {}", f.name, f.old, f.new)).collect();
        assert_eq!(lines, ["attributes.color: red -> blue", "attributes.depth: 3 -> (none)", "attributes.height: (none) -> 7"]);
    }

    #[test]
    fn attributes_of_a_new_product_are_listed_one_by_one() {
        let fields = format_changes(&[change("attributes", json!(null), json!({"color": "red"}))]);
        assert_eq!(fields, [Field { name: "attributes.color".into(), old: "(none)".into(), new: "red".into() }]);
    }

    #[test]
    fn a_long_text_is_clipped_and_ends_with_its_length() {
        let clipped = text(&json!("x".repeat(10_000)));
        assert!(clipped.ends_with("x... (10000 characters)") && clipped.chars().count() < 600, "{clipped}");
    }

    #[test]
    fn control_characters_are_removed() {
        assert_eq!(text(&json!("a\u{1b}[31m\r\nb")), "a[31m\nb");
    }

    #[test]
    fn a_line_has_no_line_breaks_and_is_clipped() {
        assert_eq!(line("a\r\nb\u{2028}c", 80), "a  b c");
        assert_eq!(line(&"ä".repeat(81), 80), format!("{}...", "ä".repeat(77)));
        assert_eq!(line(&"ä".repeat(80), 80), "ä".repeat(80));
    }
}
