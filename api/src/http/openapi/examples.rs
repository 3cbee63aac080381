//! Examples of all bodies, which "Try it out" can send unchanged. They are in `examples.json`, by schema, because most of them have
//! the same product, customer and order.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::{Content, RefOr, Schema, path::Operation};

use crate::http::problem::TYPE_BASE;

/// `examples.json`.
#[derive(Default, Deserialize)]
struct Examples {
    /// By the name of the schema.
    bodies: BTreeMap<String, Value>,
    /// By status, or by status and operation if operations have different problems. Without the common fields of all problems.
    problems: BTreeMap<String, Map<String, Value>>,
}

// A test checks that the file can be parsed.
static EXAMPLES: LazyLock<Examples> = LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

/// Adds the example of its schema to each body of an operation that has no example.
pub(super) fn add(operation: &mut Operation) {
    let request = operation.request_body.iter_mut().filter_map(as_value).flat_map(|body| body.content.values_mut());
    let responses = operation.responses.responses.values_mut().filter_map(as_value).flat_map(|response| response.content.values_mut());
    for content in request.chain(responses).filter_map(as_value) {
        if content.example.is_none() {
            content.example = find_body(schema_name(content));
        }
    }
}

/// Finds the example of a schema. The example of a page has the example of its items.
fn find_body(schema: &str) -> Option<Value> {
    let bodies = &EXAMPLES.bodies;
    let Some(item) = schema.strip_suffix("Page") else { return bodies.get(schema).cloned() };
    let item = bodies.get(&format!("Listed{item}")).or_else(|| bodies.get(item))?;
    Some(json!({"items": [item], "next_cursor": null}))
}

/// Returns the example of the problem document that an operation returns with a status.
pub(super) fn find_problem(operation: &str, status: &str) -> Option<Value> {
    let problems = &EXAMPLES.problems;
    let mut problem = problems.get(&format!("{status} {operation}")).or_else(|| problems.get(status))?.clone();
    let kind = format!("{TYPE_BASE}{}", problem.get("type")?.as_str()?);
    problem.insert("type".to_owned(), kind.into());
    problem.insert("status".to_owned(), json!(status.parse::<u16>().ok()?));
    problem.insert("request_id".to_owned(), "019aa3f0-7e02-7d1c-9c6b-3f5d2a8e4b10".into());
    Some(problem.into())
}

/// Returns the name of the schema of a body, or an empty text.
pub(super) fn schema_name(content: &Content) -> &str {
    let schema = match &content.schema {
        Some(RefOr::T(Schema::OneOf(choice))) => choice.items.iter().find(|item| matches!(item, RefOr::Ref(_))),
        other => other.as_ref(),
    };
    match schema {
        Some(RefOr::Ref(schema)) => schema.ref_location.rsplit('/').next().unwrap_or_default(),
        _ => "",
    }
}

fn as_value<T>(value: &mut RefOr<T>) -> Option<&mut T> {
    match value {
        RefOr::T(value) => Some(value),
        RefOr::Ref(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_belongs_to_a_schema_or_an_error_of_the_document() {
        let examples: Examples = serde_json::from_str(include_str!("examples.json")).unwrap();
        let document = serde_json::to_value(crate::router::openapi()).unwrap();
        for name in examples.bodies.keys() {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
        let operations: Vec<_> =
            document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values()).collect();
        for key in examples.problems.keys() {
            let (status, id) = key.split_once(' ').unwrap_or((key, ""));
            let has_error =
                |operation: &&Value| id.is_empty() || operation["operationId"] == id && !operation["responses"][status].is_null();
            assert!(operations.iter().any(has_error), "{key}");
        }
    }
}
