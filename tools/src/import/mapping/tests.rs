use super::*;

fn mapping(maps: &[&str], sets: &[&str], sku_from: Option<&str>) -> Result<Mapping, Vec<String>> {
    let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    Mapping::new(&owned(maps), &owned(sets), sku_from, Notation::Comma)
}

#[allow(clippy::needless_pass_by_value, reason = "calls are shorter")]
fn record(value: impl ToString) -> Record {
    let Ok(Value::Object(record)) = Value::parse(&value.to_string()) else { panic!("an object") };
    record
}

/// Maps a valid record.
#[allow(clippy::needless_pass_by_value, reason = "calls are shorter")]
fn row(mapping: &Mapping, value: impl ToString) -> serde_json::Value {
    let Mapped { row, faults } = mapping.row(&record(value));
    assert_eq!(faults, []);
    row
}

#[allow(clippy::needless_pass_by_value, reason = "calls are shorter")]
fn faults(mapping: &Mapping, value: impl ToString) -> Vec<(String, String)> {
    mapping.row(&record(value)).faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
}

#[test]
fn columns_are_mapped_to_fields() {
    let maps = [
        "sku=item_id",
        "name=name",
        "categories=category",
        "price=price",
        "description=short",
        "attributes.width=width",
        "attributes.depth=depth",
    ];
    let mapping = mapping(&maps, &["currency=SAR", "brand=IKEA"], None).unwrap();
    let source = json!({"X1": "0", "item_id": "90420332", "name": "FREKVENS", "category": "Bar furniture", "price": "2.265,0",
        "short": "Bar table,          51x51 cm", "width": "51", "depth": ""});
    assert_eq!(
        row(&mapping, &source),
        json!({"sku": "90420332", "name": "FREKVENS", "categories": ["Bar furniture"], "price": {"amount": "2265.0", "currency": "SAR"},
            "description": "Bar table, 51x51 cm", "attributes": {"width": "51"}, "brand": "IKEA"})
    );
}

#[test]
fn values_that_the_api_validates_are_not_changed_and_dates_are_converted() {
    let mapping = mapping(&["name=title", "url=uri", "released_on=date"], &["price=0"], Some("url")).unwrap();
    let row = self::row(&mapping, json!({"title": null, "uri": null, "date": null}));
    assert_eq!(row, json!({"name": null, "url": null, "released_on": null, "price": {"amount": "0"}}));
    let row = self::row(&mapping, json!({"title": "A", "uri": "/a", "date": "06 Oct 1980"}));
    assert_eq!((&row["released_on"], &row["sku"]), (&json!("1980-10-06"), &json!(slug::generate_sku("/a"))));
    let fault = ("/released_on".to_owned(), "must be a date such as 2024-05-23, not \"May 23\"".to_owned());
    assert_eq!(faults(&mapping, json!({"title": "A", "uri": "/a", "date": "May 23"})), [fault]);
}

#[test]
fn without_a_map_columns_have_the_names_of_fields() {
    let mapping = mapping(&[], &["currency=EUR"], None).unwrap();
    let row = json!({"sku": 7, "price": {"amount": "1"}, "quantity": "12", "categories": ["a", "a ", ""], "attributes": {"b": 1}});
    assert_eq!(
        self::row(&mapping, &row),
        json!({"sku": "7", "price": {"amount": "1", "currency": "EUR"}, "quantity": 12, "categories": ["a"], "attributes": {"b": "1"}})
    );
}

#[test]
fn an_unknown_column_is_an_error_unless_there_is_a_map() {
    let product = json!({"sku": "a", "name": "A", "price": "1", "colour": "red"});
    let faults = |maps: &[&str]| {
        let mapped = mapping(maps, &[], None).unwrap().row(&record(&product));
        mapped.faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
    };
    assert_eq!(faults(&[]), ["/colour"]);
    assert!(faults(&["sku=sku", "name=name", "price=price"]).is_empty());
    let header = ["sku", "colour", "attributes.width"].map(str::to_owned);
    assert_eq!(mapping(&[], &[], None).unwrap().unknown_columns(&header).collect::<Vec<_>>(), ["colour"]);
    assert_eq!(mapping(&["sku=sku"], &[], None).unwrap().unknown_columns(&header).count(), 0);
}

#[test]
fn white_space_is_collapsed_within_lines() {
    let mapping = mapping(&[], &[], None).unwrap();
    let row = self::row(&mapping, json!({"sku": "a", "name": " Bar \t table\u{a0}", "price": "1", "description": "one  two\r\n three\n"}));
    assert_eq!((&row["name"], &row["description"]), (&json!("Bar table"), &json!("one two\nthree")));
    let row = self::row(&mapping, json!({"sku": "a", "name": "Bar\n  table", "price": "1"}));
    assert_eq!(row["name"], "Bar\n  table");
}

#[test]
fn all_invalid_options_are_reported() {
    let faults = mapping(&["sku", "colour=c", "name=a", "name=b"], &["name=x"], Some("sku")).unwrap_err();
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert!(faults[1].contains("\"colour\" is not a field of products"));
}

#[test]
fn a_field_or_a_column_that_is_mapped_twice_is_an_error() {
    assert_eq!(mapping(&["name=a,name=b"], &[], None).unwrap_err(), ["--map sets name twice"]);
    let faults = mapping(&["name=title", "brand=title"], &[], None).unwrap_err();
    assert_eq!(faults, ["--map maps the column \"title\" to two fields: map each column once"]);
}

#[test]
fn a_column_whose_name_has_a_comma_can_be_mapped() {
    let mapping = mapping(&["sku=sku,price=\"Price, EUR\""], &["name=x"], None).unwrap();
    assert_eq!(row(&mapping, json!({"sku": "c10-a", "Price, EUR": "5,00"}))["price"]["amount"], "5.00");
}

#[test]
fn a_number_in_another_notation_is_an_error_of_its_field() {
    let mapping = mapping(&[], &[], None).unwrap();
    let decimal_comma = row(&mapping, json!({"sku": "c1-c", "price": "1.299,00", "quantity": "3"}));
    assert_eq!(decimal_comma, json!({"sku": "c1-c", "price": {"amount": "1299.00"}, "quantity": 3}));
    assert_eq!(
        faults(&mapping, json!({"price": "0.50", "quantity": "2.5"})),
        [
            ("/price/amount".into(), "must be a number such as 19,99 or 1.299,00, because of --decimal-comma, not \"0.50\"".into()),
            ("/quantity".into(), "must be a whole number such as 12 or 1.299, because of --decimal-comma, not \"2.5\"".into()),
        ]
    );
    assert_eq!(faults(&mapping, json!({"price": {"amount": "19.99"}})).len(), 1);
    let sets = self::mapping(&[], &["price=19.99"], None).unwrap_err();
    assert!(sets[0].starts_with("--set price=19.99: must be a number such as 19,99"), "{sets:?}");
}

#[test]
fn a_decimal_comma_does_not_apply_to_json_numbers_which_keep_their_digits() {
    let mapping = mapping(&[], &[], None).unwrap();
    let sent = row(&mapping, r#"{"sku": 89490200001188888889, "price": 1.5, "quantity": 3.0, "attributes": {"width": 0.10}}"#);
    let expected = json!({"sku": "89490200001188888889", "price": {"amount": "1.5"}, "quantity": 3, "attributes": {"width": "0.10"}});
    assert_eq!(sent, expected);
    assert_eq!(row(&mapping, r#"{"price": {"amount": 19.90, "currency": "EUR"}}"#)["price"], json!({"amount": "19.90", "currency": "EUR"}));
    let wrong = faults(&mapping, r#"{"sku": 4006381333931.0, "quantity": 1.0000000000000000001}"#);
    assert_eq!(wrong.iter().map(|(pointer, _)| pointer.as_str()).collect::<Vec<_>>(), ["/quantity", "/sku"]);
}

#[test]
fn a_currency_or_an_attribute_that_is_set_twice_is_an_error() {
    let mapping = mapping(&[], &["currency=EUR"], None).unwrap();
    assert_eq!(faults(&mapping, json!({"price": {"amount": "1", "currency": "USD"}}))[0].0, "/price/currency");
    assert!(faults(&mapping, json!({"price": {"amount": "1", "currency": "EUR"}})).is_empty());
    assert_eq!(faults(&mapping, json!({"attributes.a": "1", "attributes": {"a": "2"}}))[0].0, "/attributes/a");
}
