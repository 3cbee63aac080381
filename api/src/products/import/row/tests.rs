use super::*;

fn rules() -> Rules {
    Rules { currency: "SAR".parse().unwrap() }
}

fn faults(text: &str) -> Vec<(String, String)> {
    let faults = match RowDocument::parse(text) {
        Ok(document) => document.check(&rules()).unwrap_err(),
        Err(faults) => faults,
    };
    faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
}

#[test]
fn every_error_of_a_row_has_its_field() {
    assert_eq!(faults(r#"{"sku": "a", "price": {"amount": "1"}}"#), [("/name".into(), "name is missing".into())]);
    assert_eq!(
        faults(r#"{"sku": "a", "name": "A", "price": {"amount": "1"}, "released_on": "May 23", "brand": ""}"#),
        [
            ("/released_on".into(), "must be a date such as 2024-05-23, not \"May 23\"".into()),
            (
                "/brand".into(),
                "must be one line of 1 to 100 characters, at least one of them visible, without characters that reorder text".into()
            )
        ]
    );
    let mut found = faults(r#"{"sku": "a", "price": {"amount": 1}, "colour": "red"}"#);
    found.sort();
    let expected = [
        ("/colour", "unknown field; remove it or check its spelling"),
        ("/name", "name is required"),
        ("/price/amount", "price.amount must be a decimal string such as \"19.90\", not a number"),
    ];
    assert_eq!(found, expected.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned())));
    assert_eq!(faults(r#"["a", "A"]"#), [(String::new(), "the body must be a JSON object, not an array".into())]);
    let price = ("/price".to_owned(), "price must be a JSON object, not an array".to_owned());
    assert!(faults(r#"{"sku": "a", "price": ["1"]}"#).contains(&price));
    assert!(faults(r#"{"sku": "a", "price": null}"#).iter().any(|(pointer, _)| pointer == "/price"));
    assert!(faults(r#"{"sku": "a\u0000", "name": "A", "price": {"amount": "1"}}"#)[0].0 == "/sku");
    assert!(faults(r#"{"sku": "#)[0].1.starts_with("not valid JSON"));
    assert_eq!(
        faults(r#"{"sku": "a", "name": "A", "price": {"amount": "1"}, "attributes": {"size": "L", "size": null}}"#),
        [("/attributes/size".into(), DUPLICATE.into())]
    );
    assert!(faults(r#"{"sku": "a", "sku": "b"}"#).contains(&("/sku".into(), DUPLICATE.into())));
}

#[test]
fn the_currency_defaults_to_that_of_the_catalogue_and_another_is_rejected() {
    let row = RowDocument::parse(r#"{"sku": "a", "name": "A", "price": {"amount": "1"}}"#).unwrap().check(&rules()).unwrap();
    assert_eq!(row.price.currency, "SAR");
    assert_eq!(faults(r#"{"sku": "a", "name": "A", "price": {"amount": "1", "currency": "EUR"}}"#)[0].0, "/price/currency");
}

#[test]
fn an_absent_field_keeps_its_value_and_null_removes_it() {
    let before = r#"{"id": "00000000-0000-0000-0000-000000000000", "sku": "a", "name": "A", "brand": "B", "categories": ["x"],
        "price": {"amount": "1.00", "currency": "SAR"}, "url": "/a", "attributes": {"colour": "red", "size": "L"}, "in_stock": true,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "version": 1}"#;
    let before: Product = serde_json::from_str(before).unwrap();
    let row = r#"{"sku": "a", "name": "A2", "price": {"amount": "2"}, "brand": null, "attributes": {"size": null, "weight": "1 kg"}}"#;
    let after = RowDocument::parse(row).unwrap().check(&rules()).unwrap().apply_to(Some(&before));
    assert_eq!((after.brand, after.url, after.categories), (None, Some("/a".into()), vec!["x".into()]));
    assert_eq!(after.attributes.into_iter().collect::<Vec<_>>(), [("colour".into(), "red".into()), ("weight".into(), "1 kg".into())]);
}

#[test]
fn a_staged_row_is_read_back_unchanged() {
    let row = r#"{"sku": "a", "name": "A", "price": {"amount": "2"}, "brand": null, "categories": [], "attributes": {"size": null}, "quantity": 0}"#;
    let row = RowDocument::parse(row).unwrap().check(&rules()).unwrap();
    assert_eq!(serde_json::from_str::<ValidRow>(&serde_json::to_string(&row).unwrap()).unwrap(), row);
}
