use std::collections::BTreeSet;

use serde_json::{Value, json};

const PROBLEM: &str = "application/problem+json";

fn document() -> Value {
    serde_json::to_value(crate::router::openapi()).unwrap()
}

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation)))
}

/// The responses of an operation by status, shared ones included.
fn responses<'a>(document: &'a Value, operation: &'a Value) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let resolve = |response: &'a Value| match response["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => response,
    };
    operation["responses"].as_object().unwrap().iter().map(move |(status, response)| (status.as_str(), resolve(response)))
}

/// The bodies of an operation by media type, of its request and of its responses.
fn bodies<'a>(document: &'a Value, operation: &'a Value) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let responses = responses(document, operation).map(|(_, response)| response);
    let content = std::iter::once(&operation["requestBody"]).chain(responses).filter_map(|body| body["content"].as_object());
    content.flatten()
}

fn has_parameter(operation: &Value, key: &str, value: &str) -> bool {
    operation["parameters"].as_array().is_some_and(|all| all.iter().any(|parameter| parameter[key] == value))
}

#[test]
fn every_response_has_a_description() {
    let document = document();
    for (at, operation) in operations(&document) {
        for (status, response) in responses(&document, operation) {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{at} {status}");
        }
    }
}

#[test]
fn every_error_is_a_problem_document() {
    let document = document();
    for (at, operation) in operations(&document) {
        for (status, response) in responses(&document, operation).filter(|(status, _)| *status >= "400") {
            assert_eq!(response["content"][PROBLEM]["schema"]["$ref"], "#/components/schemas/Problem", "{at} {status}");
            assert_eq!(response["content"][PROBLEM]["example"]["status"].to_string(), status, "{at}");
            assert!(!["429", "503"].contains(&status) || response["headers"]["Retry-After"].is_object(), "{at} {status}");
        }
    }
}

#[test]
fn errors_follow_from_body_parameters_path_and_security() {
    for (at, operation) in operations(&document()) {
        let has_body = operation["requestBody"].is_object();
        let requirement = |is: fn(&Value) -> bool| operation["security"].as_array().unwrap().iter().any(is);
        for (status, applies) in [
            ("400", has_body || has_parameter(operation, "in", "query")),
            ("401", requirement(|one| one["bearer"].is_array())),
            ("403", requirement(|one| one["bearer"][0].is_string())),
            ("404", has_parameter(operation, "in", "path")),
            ("408", has_body),
            ("412", has_parameter(operation, "name", "If-Match")),
            ("413", has_body),
            ("415", has_body),
            ("422", has_body),
            ("429", at.starts_with("get ") && requirement(|one| one["bearer"].is_array()) && requirement(|one| *one == json!({}))),
            ("503", at.contains(" /v1/")),
        ] {
            assert!(!applies || operation["responses"][status].is_object(), "{at} {status}");
        }
    }
}

#[test]
fn responses_that_may_be_replayed_document_the_header() {
    let document = document();
    let replayed: Vec<_> = operations(&document).filter(|(_, operation)| has_parameter(operation, "name", "Idempotency-Key")).collect();
    assert_eq!(replayed.len(), 4);
    for (at, operation) in replayed {
        let has_header = |status: &str| operation["responses"][status]["headers"]["Idempotent-Replayed"].is_object();
        assert!((has_header("200") || has_header("201")) && !has_header("409"), "{at}");
    }
}

#[test]
fn operation_ids_are_unique_and_are_a_verb_and_a_resource() {
    let verbs =
        ["list", "create", "read", "patch", "deactivate", "restore", "delete", "register", "refresh", "end", "put", "place", "cancel"];
    let verbs = [&verbs[..], &["export", "import", "adjust", "report"]].concat();
    let document = document();
    let mut known = BTreeSet::new();
    for (at, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(id.split_once('_').is_some_and(|(verb, resource)| verbs.contains(&verb) && !resource.is_empty()), "{at}: {id}");
        assert!(known.insert(id), "{id} is the id of two operations");
    }
}

#[test]
fn public_operations_have_an_empty_list_of_security_requirements() {
    let document = document();
    let is_public = |operation: &Value| operation["security"] == json!([]);
    let public: Vec<_> = operations(&document).filter(|(_, operation)| is_public(operation)).map(|(at, _)| at).collect();
    assert_eq!(public, ["get /.well-known/jwks.json", "post /v1/auth/login", "post /v1/auth/refresh", "post /v1/customers"]);
    assert_eq!(document["servers"][0]["url"], "/");
}

#[test]
fn every_body_has_an_example() {
    let document = document();
    for (at, operation) in operations(&document) {
        for (media_type, body) in bodies(&document, operation) {
            assert!(!body["example"].is_null(), "{at} has no example of {}: add one to examples.json", body["schema"]);
            let is_text = !media_type.ends_with("json") || media_type.ends_with("ndjson");
            assert_eq!(body["example"].is_string(), is_text, "{at} {media_type}");
        }
    }
}

#[test]
fn no_two_media_types_of_a_body_have_the_same_schema() {
    let document = document();
    for (at, operation) in operations(&document) {
        let responses = responses(&document, operation).map(|(_, response)| response);
        for content in std::iter::once(&operation["requestBody"]).chain(responses).filter_map(|body| body["content"].as_object()) {
            let schemas: BTreeSet<_> = content.values().map(|body| body["schema"].to_string()).collect();
            assert_eq!(schemas.len(), content.len(), "{at}: {content:?}");
        }
    }
}

#[test]
fn lists_document_the_link_to_the_next_page() {
    let document = document();
    let is_page = |response: &Value| {
        let schema = &response["content"]["application/json"]["schema"]["$ref"];
        schema.as_str().is_some_and(|name| name.ends_with("Page"))
    };
    let lists = operations(&document).filter(|(_, operation)| is_page(&operation["responses"]["200"]));
    assert_eq!(lists.filter(|(_, operation)| operation["responses"]["200"]["headers"]["Link"].is_object()).count(), 6);
}

#[test]
fn pages_refer_to_the_schema_of_their_items() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let pages: Vec<_> = schemas.iter().filter(|(name, _)| name.ends_with("Page")).collect();
    assert_eq!(pages.len(), 6);
    for (name, page) in pages {
        let reference = page["properties"]["items"]["items"]["$ref"].as_str().unwrap_or_else(|| panic!("{name}: {page}"));
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{name}: {reference}");
    }
    assert_eq!(schemas["ProductPage"]["properties"]["items"]["items"]["$ref"], "#/components/schemas/ListedProduct");
}

#[test]
fn names_of_schemas_are_one_word_in_pascal_case() {
    for name in document()["components"]["schemas"].as_object().unwrap().keys() {
        assert!(name.starts_with(char::is_uppercase) && name.chars().all(char::is_alphanumeric), "{name}");
    }
}

#[test]
fn every_reference_leads_to_a_component() {
    fn check(document: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                fields.values().for_each(|value| check(document, value));
            }
            Value::Array(items) => items.iter().for_each(|value| check(document, value)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}

#[test]
fn pattern_names_are_replaced_and_every_pattern_matches_the_whole_text() {
    fn check(value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(pattern) = fields.get("pattern").and_then(Value::as_str) {
                    assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{pattern}");
                }
                fields.values().for_each(check);
            }
            Value::Array(items) => items.iter().for_each(check),
            _ => {}
        }
    }
    check(&document());
}
