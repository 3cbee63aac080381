use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Deserialize, ToSchema)]
#[allow(dead_code, reason = "only its schema matters")]
struct Line {
    #[schema(minimum = 1, maximum = 5)]
    quantity: i64,
    id: uuid::Uuid,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only its schema matters")]
enum Status {
    Open,
    Closed,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only its schema matters")]
struct Order {
    lines: Vec<Line>,
    status: Option<Status>,
    note: Option<String>,
    due: Option<chrono::NaiveDate>,
    tags: BTreeMap<String, String>,
}

fn check(order: &Value) -> Vec<(String, String)> {
    let errors = BodySchema::of::<Order>().check(order).errors.into_iter();
    errors.map(|error| (error.pointer.unwrap(), error.detail)).collect()
}

#[test]
fn references_choices_lists_and_maps_are_followed() {
    let id = "019aa3f0-0000-7000-8000-000000000000";
    let valid = json!({"lines": [{"quantity": 3.0, "id": id}], "status": null, "note": null, "due": "2024-02-29", "tags": {"a": "b"}});
    assert_eq!(check(&valid), []);
    for (pointer, wrong, detail) in [
        ("/lines", json!({}), "lines must be an array, not an object"),
        ("/lines/0", json!([3]), "lines[0] must be a JSON object, not an array"),
        ("/lines/0/quantity", json!("3"), "lines[0].quantity must be a whole number from 1 to 5, not a string"),
        ("/lines/0/quantity", json!(2.5), "lines[0].quantity must be a whole number from 1 to 5, not 2.5"),
        ("/lines/0/id", json!("7"), "lines[0].id must be a UUID such as \"019aa3f0-0000-7000-8000-000000000000\", not \"7\""),
        ("/status", json!("shut"), "status must be one of \"open\", \"closed\" or null, not \"shut\""),
        ("/note", json!(true), "note must be a string or null, not a boolean"),
        ("/due", json!("2024-02-30"), "due must be a date such as \"2024-05-23\" or null, not \"2024-02-30\""),
        ("/tags", Value::Null, "tags must be a JSON object, not null"),
        ("/tags/a", json!(1), "tags.a must be a string, not a number"),
    ] {
        let mut body = valid.clone();
        *body.pointer_mut(pointer).unwrap() = wrong;
        assert_eq!(check(&body), [(pointer.to_owned(), detail.to_owned())]);
    }
}

#[test]
fn the_repaired_body_has_the_structure_of_the_schema() {
    let schema = BodySchema::of::<Order>();
    for body in [json!({}), json!({"lines": [7, {}], "status": 1, "due": [], "colour": "red"}), json!([])] {
        let checked = schema.check(&body);
        assert!(!checked.errors.is_empty());
        assert!(schema.check(&checked.repaired).errors.is_empty(), "{}", checked.repaired);
    }
}

#[test]
fn rules_are_reported_for_values_as_they_were_sent() {
    let checked = Checked { replaced: vec!["/lines/0/id".into()], ..Checked::default() };
    for (pointer, is_as_sent) in [("/lines/0/id", false), ("/lines", false), ("", false), ("/lines/0/quantity", true), ("/note", true)] {
        assert_eq!(checked.is_as_sent(pointer), is_as_sent, "{pointer}");
    }
}

#[test]
fn a_secret_of_the_wrong_type_is_not_quoted() {
    let errors = check(&json!({"lines": [], "tags": {"password": 123_456}}));
    assert!(!errors[0].1.contains("123456"), "{errors:?}");
}
