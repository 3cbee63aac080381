//! Whether a JSON document is as its schema says: the keywords that the OpenAPI document uses, and no
//! field that it doesn't tell of.

use chrono::{DateTime, NaiveDate};
use serde_json::Value;
use uuid::Uuid;

/// Everything in which `value` differs from `schema`, whose references are into `document`.
pub fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    Checker { document }.check(schema, value, "", true, &mut faults);
    faults
}

struct Checker<'a> {
    document: &'a Value,
}

impl Checker<'_> {
    /// `whole`: all fields are told of here, so others are faults.
    fn check(&self, schema: &Value, value: &Value, at: &str, whole: bool, faults: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.document.pointer(reference.trim_start_matches('#'));
            return match target {
                Some(target) => self.check(target, value, at, whole, faults),
                None => faults.push(format!("{at}: {reference} leads nowhere")),
            };
        }
        for part in array(&schema["allOf"]) {
            self.check(part, value, at, false, faults);
        }
        let fits = |option: &&Value| {
            let mut wrong = Vec::new();
            self.check(option, value, at, whole, &mut wrong);
            wrong.is_empty()
        };
        for (keyword, exactly) in [("oneOf", Some(1)), ("anyOf", None)] {
            let options = array(&schema[keyword]);
            let count = options.iter().filter(fits).count();
            if !options.is_empty() && (count == 0 || exactly.is_some_and(|exactly| count != exactly)) {
                faults.push(format!("{at}: {value} fits {count} of {keyword}"));
            }
        }
        let allowed = array(&schema["enum"]);
        if !allowed.is_empty() && !allowed.contains(value) || !schema["const"].is_null() && schema["const"] != *value {
            faults.push(format!("{at}: {value} is not one of {}{}", schema["enum"], schema["const"]));
        }
        if !is_of_type(&schema["type"], value) {
            faults.push(format!("{at}: {value} is not of type {}", schema["type"]));
        }
        match value {
            Value::Object(_) => self.check_object(schema, value, at, whole, faults),
            Value::Array(items) => {
                bounds(schema, "Items", items.len(), at, faults);
                for (index, item) in items.iter().enumerate().filter(|_| !schema["items"].is_null()) {
                    self.check(&schema["items"], item, &format!("{at}/{index}"), true, faults);
                }
            }
            Value::String(text) => {
                bounds(schema, "Length", text.chars().count(), at, faults);
                let formatted = match schema["format"].as_str() {
                    Some("uuid") => text.parse::<Uuid>().is_ok(),
                    Some("date") => text.parse::<NaiveDate>().is_ok(),
                    Some("date-time") => DateTime::parse_from_rfc3339(text).is_ok(),
                    _ => true,
                };
                if !formatted {
                    faults.push(format!("{at}: {text:?} is not a {}", schema["format"]));
                }
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                let below = schema["minimum"].as_f64().is_some_and(|minimum| number < minimum);
                if below || schema["maximum"].as_f64().is_some_and(|maximum| number > maximum) {
                    faults.push(format!("{at}: {number} is out of range"));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_object(&self, schema: &Value, value: &Value, at: &str, whole: bool, faults: &mut Vec<String>) {
        for name in array(&schema["required"]).iter().filter_map(|name| name.as_str()) {
            if value.get(name).is_none() {
                faults.push(format!("{at}: {name} is missing"));
            }
        }
        let composed = ["allOf", "oneOf", "anyOf"].iter().any(|keyword| !schema[keyword].is_null());
        for (name, field) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            let additional = &schema["additionalProperties"];
            match schema["properties"].get(name) {
                Some(known) => self.check(known, field, &at, true, faults),
                None if additional.is_object() => self.check(additional, field, &at, true, faults),
                None if additional == true || composed || !whole => {}
                None => faults.push(format!("{at}: is not documented")),
            }
        }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_of_type(types: &Value, value: &Value) -> bool {
    let one = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    match types {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
        _ => true,
    }
}

fn bounds(schema: &Value, what: &str, size: usize, at: &str, faults: &mut Vec<String>) {
    let bound = |kind: &str| schema[format!("{kind}{what}")].as_u64().and_then(|bound| usize::try_from(bound).ok());
    if bound("min").is_some_and(|least| size < least) || bound("max").is_some_and(|most| size > most) {
        faults.push(format!("{at}: {size} is out of the bounds of {what}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_difference_is_told() {
        let document = json!({"components": {"schemas": {"Money": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "string", "maxLength": 3}}}}}});
        let schema = json!({"type": "object", "required": ["price", "id"], "properties": {
            "price": {"$ref": "#/components/schemas/Money"}, "id": {"type": "string", "format": "uuid"},
            "tags": {"type": ["array", "null"], "items": {"enum": ["a", "b"]}}, "count": {"type": "integer", "minimum": 1}}});
        let good = json!({"price": {"amount": "1.0"}, "id": "019aa3f0-0000-7000-8000-000000000000", "tags": ["a"], "count": 1});
        assert_eq!(faults(&document, &schema, &good), Vec::<String>::new());
        let bad = json!({"price": {"amount": "1.000", "extra": 1}, "tags": ["c"], "count": 0});
        let told = faults(&document, &schema, &bad).join("\n");
        for at in ["id is missing", "/price/amount: 5", "/price/extra: is not documented", "/tags/0: \"c\"", "/count: 0"] {
            assert!(told.contains(at), "{at}: {told}");
        }
    }
}
