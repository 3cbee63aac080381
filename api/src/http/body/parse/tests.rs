use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Deserialize, ToSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only its structure matters")]
struct Product {
    #[garde(length(min = 1))]
    name: String,
    #[garde(skip)]
    price: Option<Price>,
    #[serde(default, deserialize_with = "catalog_values::whole::optional")]
    #[garde(inner(range(min = 0)))]
    quantity: Option<i64>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only its structure matters")]
struct Price {
    #[schema(example = "19.90", pattern = "amount")]
    amount: String,
}

fn problem(body: &str) -> Value {
    let problem = parse::<Product>(body.as_bytes(), garde::Validate::validate).unwrap_err();
    serde_json::from_slice(&problem.to_json("r")).unwrap()
}

/// Pointers and details.
fn errors(body: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let problem = problem(body);
    problem["errors"].as_array().unwrap().iter().map(|error| (text(&error["pointer"]), text(&error["detail"]))).collect()
}

#[test]
fn every_error_of_a_body_is_reported_with_its_pointer() {
    let body = json!({"price": {"amount": 1.5, "currency": "EUR"}, "quantity": -1, "nmae": "x"});
    let mut found = errors(&body.to_string());
    found.sort();
    let expected = [
        ("#/name", "name is required"),
        ("#/nmae", "unknown field; remove it or check its spelling"),
        ("#/price/amount", "price.amount must be a decimal string such as \"19.90\", not a number"),
        ("#/price/currency", "unknown field; remove it or check its spelling"),
        ("#/quantity", "lower than 0"),
    ];
    assert_eq!(found, expected.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned())));
}

#[test]
fn a_number_that_json_values_round_is_reported_with_its_pointer() {
    let found = errors(r#"{"name": "A", "quantity": 1.0000000000000000001, "colour": 1}"#);
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["#/colour", "#/quantity"]);
}

#[test]
fn a_duplicate_field_is_reported_with_the_other_errors() {
    let pointers: Vec<_> = errors(r#"{"name": "A", "name": "B", "colour": 1}"#).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(pointers, ["#/colour", "#/name"]);
}

#[test]
fn nul_is_rejected_but_an_escaped_backslash_before_u0000_is_text() {
    assert_eq!(errors(r#"{"name": "a\u0000b"}"#)[0], ("#/name".to_owned(), "name must not contain NUL characters".to_owned()));
    let product = parse::<Product>(br#"{"name": "a\\u0000b"}"#, garde::Validate::validate).unwrap();
    assert_eq!(product.name, "a\\u0000b");
}

#[test]
fn at_most_100_errors_are_listed_and_the_others_counted() {
    let fields: serde_json::Map<_, _> = (0..150).map(|number| (format!("unknown{number}"), json!(1))).collect();
    let problem = problem(&Value::from(fields).to_string());
    // One of them is the missing name.
    assert_eq!((problem["errors"].as_array().unwrap().len(), &problem["more_errors"]), (100, &json!(51)));
    assert_eq!(problem["detail"], "151 values are invalid; see errors.");
}

#[test]
fn only_objects_are_bodies() {
    for (body, detail) in
        [("[\"name\"]", "the body must be a JSON object, not an array"), ("7", "the body must be a JSON object, not a number")]
    {
        assert_eq!(errors(body), [("#".to_owned(), detail.to_owned())]);
    }
}

#[test]
fn other_bodies_than_json_are_malformed() {
    for body in ["", "{", "{} {}", "{\"name\": }", "{\"nmae\":", "{\"nmae\": 1} x"] {
        assert!(problem(body)["type"].as_str().unwrap().ends_with("/malformed"), "{body}");
    }
}
