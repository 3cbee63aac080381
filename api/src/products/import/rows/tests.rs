use std::{collections::BTreeMap, fmt::Write};

use catalog_rows::{Column, EncodingError, MAX_ROW};
use proptest::{collection, option, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::products::import::row::{FieldUpdate, RowPrice};

type Rows = Vec<(u64, Row)>;

const CSV: Format = Format::Csv(Charset::DETECT);

fn read_all(format: Format, body: impl AsRef<[u8]>) -> (Rows, Result<(), ReadError>) {
    let mut rows = Vec::new();
    let read = read(format, body.as_ref(), &mut |number, row| {
        rows.push((number, row));
        ControlFlow::Continue(())
    });
    (rows, read)
}

fn row(sku: &str) -> Value {
    json!({"sku": sku, "name": "N", "price": {"amount": "1"}})
}

/// The skus of the rows by number: `!` for unreadable rows, empty for blank ones.
fn outline(rows: &Rows) -> Vec<(u64, &str)> {
    let outline = |row: &'_ Row| match row {
        Row::Document(row) => row.sku.as_deref().unwrap_or("-").to_owned().leak(),
        Row::Unreadable(_) => "!",
        Row::Blank => "",
    };
    rows.iter().map(|(number, row)| (*number, outline(row))).collect()
}

#[test]
fn an_invalid_row_does_not_stop_the_reading() {
    let csv = b"sku,name,price\na,A,1\nb,B\nc,C,1,1\nd,\"D\nd\",1\n,,\n\nf,F,1\n";
    let (rows, read) = read_all(CSV, csv);
    assert!(read.is_ok());
    assert_eq!(outline(&rows), [(1, "a"), (2, "!"), (3, "!"), (4, "d"), (5, ""), (6, ""), (7, "f")]);

    let (rows, read) = read_all(Format::Ndjson, format!("{}\n\n{{\"sku\":\n  \r\n{}\r\n{}", row("a"), row("c"), row("d")));
    assert!(read.is_ok());
    assert_eq!(outline(&rows), [(1, "a"), (2, ""), (3, "!"), (4, ""), (5, "c"), (6, "d")]);

    let (rows, read) = read_all(Format::Json, json!({"items": [row("a"), 7, {"sku": 7}, row("d")]}).to_string());
    assert!(read.is_ok());
    assert_eq!(outline(&rows), [(1, "a"), (2, "!"), (3, "!"), (4, "d")]);
}

#[test]
fn malformed_json_is_reported_with_the_row() {
    let body = format!("{{\"items\": [{}, {{\"sku\": ]}}", row("a"));
    assert!(matches!(read_all(Format::Json, body).1, Err(ReadError::Malformed { row: 2, .. })));
    for body in ["", "{", "{\"items\": [", "{\"items\": []} x", "{\"items\": [}]"] {
        assert!(matches!(read_all(Format::Json, body).1, Err(ReadError::Malformed { row: 1, .. })), "{body}");
    }
}

#[test]
fn a_document_of_another_shape_is_rejected_with_a_pointer() {
    for (body, pointer) in [
        (r#"{"items": [], "total": 0}"#, "/total"),
        (r#"{"items": [], "items": []}"#, "/items"),
        (r#"{"items": {}}"#, "/items"),
        (r#"{"items": null}"#, "/items"),
        ("{}", "/items"),
        ("[]", ""),
        ("7", ""),
    ] {
        match read_all(Format::Json, body).1 {
            Err(ReadError::Shape(fault)) => assert_eq!(fault.pointer, pointer, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn columns_are_checked_before_any_row() {
    let errors = |header: &str| match read_all(CSV, format!("{header}\na,A,1,x\n")) {
        (rows, Err(ReadError::Columns(errors))) if rows.is_empty() => errors,
        other => panic!("{header}: {other:?}"),
    };
    assert_eq!(errors("sku,name,price,colour"), ["the column \"colour\" (number 4) is unknown"]);
    assert_eq!(errors("sku,name,price, price "), ["the column \"price\" occurs twice; rename or remove one of them"]);
    assert_eq!(errors(&vec!["sku"; 111].join(",")), ["the header has 111 columns, and at most 110 are allowed; remove some"]);
    assert_eq!(errors(&format!("sku,name,price{}", ",colour".repeat(100_000))).len(), 1);
    assert_eq!(errors("sku,name,attributes.,id").len(), 2);
    assert_eq!(errors("sku,name"), ["the column price is missing"]);
}

#[test]
fn a_body_of_another_encoding_is_an_encoding_error_and_not_a_missing_column() {
    let utf_16: Vec<u8> = "\u{feff}sku,name,price\nc4-a,Tisch Größe L,10.00\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (rows, read) = read_all(CSV, &utf_16);
    assert!(read.is_ok() && outline(&rows) == [(1, "c4-a")], "{read:?}");
    for format in [CSV, Format::Ndjson, Format::Json] {
        let (rows, read) = read_all(format, &utf_16[2..]);
        assert!(rows.is_empty() && matches!(read, Err(ReadError::Encoding(EncodingError::Nul { .. }))), "{format:?} {read:?}");
    }
    let windows_1252 = b"sku,name,price\nc4-a,Tisch Gr\xf6\xdfe L,10.00\nc4-b,Stuhl,20.00\n";
    assert!(matches!(read_all(CSV, windows_1252).1, Err(ReadError::Encoding(EncodingError::Undecodable { line: 2, .. }))));
    let (rows, read) = read_all(Format::Csv("windows-1252".parse().unwrap()), windows_1252);
    assert!(read.is_ok() && outline(&rows) == [(1, "c4-a"), (2, "c4-b")]);
    let json = b"{\"items\": [{\"sku\": \"\xff\"}]}";
    assert!(matches!(read_all(Format::Json, json).1, Err(ReadError::Encoding(EncodingError::Undecodable { line: 1, .. }))));
}

#[test]
fn an_empty_body_has_no_rows() {
    for (format, body) in [
        (CSV, ""),
        (CSV, "sku,name,price\n"),
        (CSV, "\u{feff}sku , name,price"),
        (Format::Ndjson, ""),
        (Format::Json, "\u{feff}{\"items\": []}"),
    ] {
        let (rows, read) = read_all(format, body);
        assert!(read.is_ok() && rows.is_empty(), "{format:?} {body:?} {read:?}");
    }
}

#[test]
fn a_row_has_at_most_one_mebibyte() {
    let padded = |length: usize| {
        let empty = json!({"sku": "a", "name": "N", "price": {"amount": "1"}, "description": ""}).to_string();
        empty.replace("\"description\":\"\"", &format!("\"description\":\"{}\"", "x".repeat(length - empty.len())))
    };
    assert_eq!(padded(2000).len(), 2000);
    for (length, fits) in [(MAX_ROW, true), (MAX_ROW + 1, false), (3 * MAX_ROW, false)] {
        let (short, long) = (padded(200), padded(length));
        let (rows, read) = read_all(Format::Ndjson, format!("{short}\n{long}\n{short}\n"));
        assert_eq!((read.is_ok(), rows.len()), (fits, if fits { 3 } else { 1 }), "ndjson {length}");
        assert!(fits || matches!(read, Err(ReadError::TooLarge { row: 2, .. })));

        let (rows, read) = read_all(Format::Json, format!("{{\"items\": [{short}, {long}, {short}]}}"));
        assert_eq!((read.is_ok(), rows.len()), (fits, if fits { 3 } else { 1 }), "json {length}");
        assert!(fits || matches!(read, Err(ReadError::TooLarge { row: 2, .. })));

        let long = format!("b,{},1", "x".repeat(length - 4));
        let (rows, read) = read_all(CSV, format!("sku,name,price\na,A,1\n{long}\nc,C,1\n"));
        assert_eq!((read.is_ok(), rows.len()), (fits, if fits { 3 } else { 1 }), "csv {length}");
        assert!(fits || matches!(read, Err(ReadError::TooLarge { row: 2, .. })));
    }
}

#[test]
fn the_limit_applies_to_each_row() {
    let rows = 3 * MAX_ROW / 40;
    let csv = "some-sku,some name of a product,12.50\n".repeat(rows);
    let (read_rows, read) = read_all(CSV, format!("sku,name,price\n{csv}"));
    assert!(read.is_ok(), "{read:?}");
    assert_eq!(read_rows.len(), rows);
}

#[test]
fn the_handler_can_stop_the_reading() {
    for (format, body) in [
        (CSV, "sku,name,price\na,A,1\nb,B,1\n".to_owned()),
        (Format::Ndjson, format!("{}\n{}\n", row("a"), row("b"))),
        (Format::Json, json!({"items": [row("a"), row("b")]}).to_string()),
    ] {
        let mut rows = 0;
        let stopped = read(format, body.as_bytes(), &mut |_, _| {
            rows += 1;
            ControlFlow::Break(())
        });
        assert!(matches!(stopped, Err(ReadError::Stopped)) && rows == 1);
    }
}

fn text() -> impl Strategy<Value = String> {
    // Characters that are special in one of the formats: quotes, separators, line ends, backslashes, other scripts.
    proptest::string::string_regex("[a-zA-Zäß東 ,;\"'\\\\\n\r\t{}\\[\\]:]{1,12}").unwrap()
}

fn field_update<T>(value: impl Strategy<Value = T>) -> impl Strategy<Value = FieldUpdate<T>>
where
    T: Clone + std::fmt::Debug,
{
    option::of(value).prop_map(FieldUpdate::from)
}

prop_compose! {
    /// Rows that all formats can express: CSV has neither null nor empty text nor signed numbers.
    fn document()(
        sku in option::of(text()), name in option::of(text()), brand in field_update(text()), description in field_update(text()),
        categories in field_update(collection::vec("[a-zäß]{1,5}( [a-z]{1,5})?", 1..4)), amount in option::of("[0-9]{1,4}(\\.[0-9]{1,2})?|x"),
        currency in option::of("[A-Z]{3}"), url in field_update(text()), released_on in field_update(text()),
        attributes in field_update(collection::btree_map("[a-z./~]{1,3}", text().prop_map(Some), 1..3)), quantity in option::of(0..=i64::MAX),
    ) -> RowDocument {
        let price = amount.map(|amount| RowPrice { amount, currency });
        RowDocument { sku, name, brand, description, categories, price, url, released_on, attributes, quantity }
    }
}

fn as_json(row: &RowDocument) -> Value {
    let mut fields = BTreeMap::new();
    let mut put = |name: &'static str, value: Value| {
        if !value.is_null() {
            fields.insert(name, value);
        }
    };
    put("sku", json!(row.sku));
    put("name", json!(row.name));
    put("brand", json!(row.brand));
    put("description", json!(row.description));
    put("categories", json!(row.categories));
    if let Some(RowPrice { amount, currency }) = &row.price {
        put(
            "price",
            currency.as_ref().map_or_else(|| json!({"amount": amount}), |currency| json!({"amount": amount, "currency": currency})),
        );
    }
    put("url", json!(row.url));
    put("released_on", json!(row.released_on));
    put("attributes", json!(row.attributes));
    put("quantity", json!(row.quantity));
    json!(fields)
}

fn as_csv(rows: &[RowDocument]) -> Vec<u8> {
    let attributes: std::collections::BTreeSet<&String> = rows
        .iter()
        .filter_map(|row| if let FieldUpdate::Value(all) = &row.attributes { Some(all.keys()) } else { None })
        .flatten()
        .collect();
    let mut header: Vec<String> = Column::FIELDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    header.extend(attributes.iter().map(|name| format!("attributes.{name}")));
    let mut csv = ::csv::Writer::from_writer(Vec::new());
    csv.write_record(&header).unwrap();
    for row in rows {
        let cells: Vec<String> = header
            .iter()
            .map(|name| match name.parse::<Column>().unwrap() {
                Column::Attribute(name) => match &row.attributes {
                    FieldUpdate::Value(all) => all.get(&name).cloned().flatten(),
                    _ => None,
                },
                Column::Sku => row.sku.clone(),
                Column::Name => row.name.clone(),
                Column::Brand => row.brand.clone().apply_to(None),
                Column::Description => row.description.clone().apply_to(None),
                Column::Categories => row.categories.clone().apply_to(None).map(|all| all.join("|")),
                Column::Price => row.price.as_ref().map(|price| price.amount.clone()),
                Column::Currency => row.price.as_ref().and_then(|price| price.currency.clone()),
                Column::Url => row.url.clone().apply_to(None),
                Column::ReleasedOn => row.released_on.clone().apply_to(None),
                Column::Quantity => row.quantity.map(|quantity| quantity.to_string()),
            })
            .map(Option::unwrap_or_default)
            .collect();
        csv.write_record(&cells).unwrap();
    }
    csv.into_inner().unwrap()
}

proptest! {
    #[test]
    fn the_three_formats_agree(rows in collection::vec(document(), 0..8)) {
        // A row of white space is blank in CSV.
        let visible = |row: RowDocument| RowDocument { sku: Some(format!("s{}", row.sku.unwrap_or_default())), ..row };
        let rows: Vec<_> = rows.into_iter().map(visible).collect();
        let mut ndjson = String::new();
        for row in &rows {
            writeln!(ndjson, "{}", as_json(row)).unwrap();
        }
        let json = json!({"items": rows.iter().map(as_json).collect::<Vec<_>>()}).to_string();
        let csv = as_csv(&rows);
        let expected: Rows = (1..).zip(rows.into_iter().map(Row::Document)).collect();
        for (format, body) in [(Format::Ndjson, ndjson.into_bytes()), (Format::Json, json.into_bytes()), (CSV, csv)] {
            let (read, end) = read_all(format, body);
            prop_assert!(end.is_ok());
            prop_assert_eq!(&read, &expected, "{:?}", format);
        }
    }

    #[test]
    fn damaged_csv_is_read_like_by_the_reference_reader_or_rejected(text in reference::damaged_csv()) {
        let text = format!("sku,name,price,brand\n{text}");
        let (expected, valid) = reference::read(&text, ',');
        let (rows, end) = read_all(CSV, &text);
        prop_assert_eq!(end.is_ok(), valid);
        prop_assert_eq!(rows.len(), expected.len() - 1);
        for ((_, row), cells) in rows.into_iter().zip(&expected[1..]) {
            match row {
                Row::Blank => prop_assert!(cells.concat().trim().is_empty()),
                Row::Unreadable(_) => prop_assert_ne!(cells.len(), 4),
                Row::Document(row) => {
                    let price = row.price.map(|price| price.amount);
                    let read = [row.sku, row.name, price, row.brand.apply_to(None)].map(Option::unwrap_or_default);
                    prop_assert_eq!(&read[..], &cells[..]);
                }
            }
        }
    }

    #[test]
    fn readers_never_panic(format in prop_oneof![Just(Format::Json), Just(Format::Ndjson), Just(CSV)], body in any::<Vec<u8>>()) {
        let _ = read_all(format, &body);
        let _ = read_all(format, [b"sku,name,price\n".as_slice(), &body].concat());
        let _ = read_all(format, [b"{\"items\":[".as_slice(), &body].concat());
    }
}
