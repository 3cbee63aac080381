//! Validates a Catalog as the API server does: against the schema and the CEL rules of the CRD.

use std::sync::LazyLock;

use kube_cel::{Validator, apply_defaults};
use serde_json::{Map, Value, json};

use crate::{
    crd::definition,
    validate::{Problem, Reason},
};

/// The OpenAPI schema of a Catalog.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let version = definition().spec.versions.into_iter().next();
    let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
    serde_json::to_value(schema).unwrap_or_default()
});

/// Adds defaults and drops nulls, as the API server does.
pub fn defaulted(catalog: &Value) -> Value {
    let mut catalog = catalog.clone();
    drop_nulls(&mut catalog);
    apply_defaults(&SCHEMA, &catalog)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Returns all problems because of which the API server would reject the Catalog.
pub fn problems(catalog: &Value) -> Vec<Problem> {
    let problems = against_schema(catalog);
    // Rules assume that the schema holds. Otherwise their evaluation may fail.
    if problems.is_empty() { against_rules(catalog) } else { problems }
}

fn against_schema(catalog: &Value) -> Vec<Problem> {
    let mut schema = SCHEMA.clone();
    forbid_unknown_fields(&mut schema);
    // The API server checks the common fields of all kinds separately.
    let Some(properties) = schema["properties"].as_object_mut() else { return Vec::new() };
    for field in ["apiVersion", "kind", "metadata"] {
        properties.insert(field.into(), json!({}));
    }
    let Ok(validator) = jsonschema::draft7::new(&schema) else { return Vec::new() };
    let problem = |error: jsonschema::ValidationError<'_>| invalid(&path(&error.instance_path().to_string()), error.to_string());
    validator.iter_errors(catalog).map(problem).collect()
}

/// Makes unknown fields problems. The API server only warns about them and drops them.
fn forbid_unknown_fields(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if fields.contains_key("properties") && !fields.contains_key("x-kubernetes-preserve-unknown-fields") {
        fields.insert("additionalProperties".into(), Value::Bool(false));
    }
    let schemas = |fields: &mut Map<String, Value>| {
        for (keyword, value) in fields.iter_mut() {
            match keyword.as_str() {
                "properties" => {
                    value.as_object_mut().into_iter().flat_map(|properties| properties.values_mut()).for_each(forbid_unknown_fields);
                }
                "items" | "additionalProperties" => forbid_unknown_fields(value),
                _ => {}
            }
        }
    };
    schemas(fields);
}

fn against_rules(catalog: &Value) -> Vec<Problem> {
    match Validator::new().validate(&SCHEMA, catalog, None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| invalid(&error.field_path, error.message)).collect(),
    }
}

fn invalid(path: &str, message: String) -> Problem {
    let path = if path.is_empty() { "metadata.name" } else { path };
    Problem { path: path.to_owned(), reason: Reason::InvalidValue, message }
}

/// Converts a JSON pointer to a field path.
fn path(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |path, part| match part.parse::<usize>() {
        Ok(index) => format!("{path}[{index}]"),
        Err(_) if path.is_empty() => part.to_owned(),
        Err(_) => format!("{path}.{part}"),
    })
}

#[cfg(test)]
mod tests;
