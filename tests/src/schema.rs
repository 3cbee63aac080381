//! Validates JSON documents against the schemas of the OpenAPI document. Undocumented fields are errors.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jsonschema::Validator;
use serde_json::{Map, Value};

/// The schemas of an OpenAPI document without additional fields. Validators are built on first use.
pub struct Schemas {
    components: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Schemas {
    /// Reads the schemas of a document.
    pub fn new(document: &Value) -> Self {
        let mut components = document["components"].clone();
        for schema in components["schemas"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            close_parts(schema);
        }
        Self { components, validators: Mutex::default() }
    }

    /// Returns all errors of `value` against `schema`, which may refer to the document's components.
    ///
    /// # Panics
    /// If the schema is invalid.
    pub fn validation_errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        let known = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(schema.to_string())
            .or_insert_with(|| self.validator(schema))
            .clone();
        known.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut root = schema.clone();
        close(&mut root);
        root["components"] = self.components.clone();
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&root);
        Arc::new(validator.unwrap_or_else(|error| panic!("{schema} is no schema: {error}")))
    }
}

/// Rejects unevaluated fields (JSON Schema 2020-12, core, section 11.3). A composition is closed as a whole, because its parts
/// have different fields.
fn close(schema: &mut Value) {
    close_parts(schema);
    if let Some(keywords) = schema.as_object_mut() {
        keywords.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
    }
}

fn close_parts(schema: &mut Value) {
    for (keyword, value) in schema.as_object_mut().into_iter().flatten() {
        match keyword.as_str() {
            "properties" => value.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(close),
            "items" | "additionalProperties" => close(value),
            "allOf" | "oneOf" | "anyOf" => value.as_array_mut().into_iter().flatten().for_each(close_parts),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_difference_is_reported() {
        let document = json!({"components": {"schemas": {
            "Money": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "string", "pattern": "^[0-9.]{1,3}$"}}},
            "Named": {"type": "object", "properties": {"name": {"type": "string"}}},
        }}});
        let schema = json!({"type": "object", "required": ["price", "id"], "properties": {
            "price": {"$ref": "#/components/schemas/Money"}, "id": {"type": "string", "format": "uuid"},
            "tags": {"type": ["array", "null"], "items": {"enum": ["a", "b"]}}, "count": {"type": "integer", "minimum": 1},
            "words": {"type": "object", "additionalProperties": {"type": "string"}},
            "whole": {"allOf": [{"$ref": "#/components/schemas/Named"}, {"type": "object", "properties": {"at": {"format": "date-time"}}}]}}});
        let schemas = Schemas::new(&document);
        let mut value = json!({"price": {"amount": "1.0"}, "id": "019aa3f0-0000-7000-8000-000000000000", "tags": ["a"], "count": 1,
            "words": {"any": "thing"}, "whole": {"name": "x", "at": "2026-11-26T00:00:00Z"}});
        assert_eq!(schemas.validation_errors(&schema, &value), Vec::<String>::new());
        for (pointer, wrong) in [
            ("/price/amount", json!("1.000")),
            ("/price", json!({"amount": "1", "extra": 1})),
            ("/price", json!({})),
            ("/id", json!("{019aa3f0-0000-7000-8000-000000000000}")),
            ("/tags/0", json!("c")),
            ("/count", json!(0)),
            ("/words/any", json!(1)),
            ("/whole/at", json!("yesterday")),
            ("/whole", json!({"name": "x", "extra": 1})),
        ] {
            let right = std::mem::replace(value.pointer_mut(pointer).unwrap(), wrong);
            let errors = schemas.validation_errors(&schema, &value);
            assert!(errors.first().is_some_and(|error| error.starts_with(pointer)), "{pointer}: {errors:?}");
            *value.pointer_mut(pointer).unwrap() = right;
        }
    }
}
