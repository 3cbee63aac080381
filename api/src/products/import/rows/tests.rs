use std::{collections::BTreeMap, fmt::Write};

use proptest::{collection, option, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::products::import::row::{Given, RowPrice};

type Rows = Vec<(u64, Row)>;

const CSV: Format = Format::Csv(Charset::BY_MARK);

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

/// The skus of the good rows, `!` for those that cannot be read and nothing for blank ones, by number.
fn outline(rows: &Rows) -> Vec<(u64, &str)> {
    let outline = |row: &'_ Row| match row {
        Row::Document(row) => row.sku.as_deref().unwrap_or("-").to_owned().leak(),
        Row::Unreadable(_) => "!",
        Row::Blank => "",
    };
    rows.iter().map(|(number, row)| (*number, outline(row))).collect()
}

#[test]
fn a_broken_row_is_its_own_error_and_the_rest_goes_on() {
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
fn where_the_document_is_not_json_the_row_is_named() {
    let body = format!("{{\"items\": [{}, {{\"sku\": ]}}", row("a"));
    assert!(matches!(read_all(Format::Json, body).1, Err(ReadError::Malformed { row: 2, .. })));
    for body in ["", "{", "{\"items\": [", "{\"items\": []} x", "{\"items\": [}]"] {
        assert!(matches!(read_all(Format::Json, body).1, Err(ReadError::Malformed { row: 1, .. })), "{body}");
    }
}

#[test]
fn a_document_of_another_shape_is_refused_with_its_place() {
    for (body, place) in [
        (r#"{"items": [], "total": 0}"#, "/total"),
        (r#"{"items": [], "items": []}"#, "/items"),
        (r#"{"items": {}}"#, "/items"),
        (r#"{"items": null}"#, "/items"),
        ("{}", "/items"),
        ("[]", ""),
        ("7", ""),
    ] {
        match read_all(Format::Json, body).1 {
            Err(ReadError::Shape(fault)) => assert_eq!(fault.pointer, place, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn columns_are_checked_before_any_row() {
    let complaints = |header: &str| match read_all(CSV, format!("{header}\na,A,1,x\n")) {
        (rows, Err(ReadError::Columns(complaints))) if rows.is_empty() => complaints,
        other => panic!("{header}: {other:?}"),
    };
    assert_eq!(complaints("sku,name,price,colour"), ["the column \"colour\" (number 4) is not known"]);
    assert_eq!(complaints("sku,name,price, price "), ["the column \"price\" is there twice; rename or remove one of them"]);
    assert_eq!(complaints(&vec!["sku"; 111].join(",")), ["the header has 111 columns, and at most 110 are allowed; remove some"]);
    assert_eq!(complaints(&format!("sku,name,price{}", ",colour".repeat(100_000))).len(), 1);
    assert_eq!(complaints("sku,name,attributes.,id").len(), 2);
    assert_eq!(complaints("sku,name"), ["the column price is missing"]);
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
fn nothing_is_no_rows() {
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
fn a_row_may_have_a_mebibyte_and_no_more() {
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
fn many_rows_are_not_one_long_row() {
    let rows = 3 * MAX_ROW / 40;
    let csv = "some-sku,some name of a product,12.50\n".repeat(rows);
    let (read_rows, read) = read_all(CSV, format!("sku,name,price\n{csv}"));
    assert!(read.is_ok(), "{read:?}");
    assert_eq!(read_rows.len(), rows);
}

#[test]
fn the_receiver_can_stop_the_reading() {
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
    // What is hard for one format or another: quotes, separators, line ends, backslashes, other alphabets.
    proptest::string::string_regex("[a-zA-Zäß東 ,;\"'\\\\\n\r\t{}\\[\\]:]{1,12}").unwrap()
}

fn given<T>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Given<T>>
where
    T: Clone + std::fmt::Debug,
{
    option::of(value).prop_map(Given::from)
}

prop_compose! {
    /// Rows that every format can say: CSV knows neither null, empty text nor numbers with a sign.
    fn document()(
        sku in option::of(text()), name in option::of(text()), brand in given(text()), description in given(text()),
        categories in given(collection::vec("[a-zäß]{1,5}( [a-z]{1,5})?", 1..4)), amount in option::of("[0-9]{1,4}(\\.[0-9]{1,2})?|x"),
        currency in option::of("[A-Z]{3}"), url in given(text()), released_on in given(text()),
        attributes in given(collection::btree_map("[a-z./~]{1,3}", text().prop_map(Some), 1..3)), quantity in option::of(0..=i64::MAX),
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
    let attributes: std::collections::BTreeSet<&String> =
        rows.iter().filter_map(|row| if let Given::Value(all) = &row.attributes { Some(all.keys()) } else { None }).flatten().collect();
    let mut header: Vec<String> = Column::FIELDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    header.extend(attributes.iter().map(|name| format!("attributes.{name}")));
    let mut csv = ::csv::Writer::from_writer(Vec::new());
    csv.write_record(&header).unwrap();
    for row in rows {
        let cells: Vec<String> = header
            .iter()
            .map(|name| match name.parse::<Column>().unwrap() {
                Column::Attribute(name) => match &row.attributes {
                    Given::Value(all) => all.get(&name).cloned().flatten(),
                    _ => None,
                },
                Column::Sku => row.sku.clone(),
                Column::Name => row.name.clone(),
                Column::Brand => row.brand.clone().over(None),
                Column::Description => row.description.clone().over(None),
                Column::Categories => row.categories.clone().over(None).map(|all| all.join("|")),
                Column::Price => row.price.as_ref().map(|price| price.amount.clone()),
                Column::Currency => row.price.as_ref().and_then(|price| price.currency.clone()),
                Column::Url => row.url.clone().over(None),
                Column::ReleasedOn => row.released_on.clone().over(None),
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
        // A row of white space alone is blank in CSV.
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
    fn rows_of_damaged_csv_are_those_of_a_strict_reader_or_there_are_none(text in reference::damaged_csv()) {
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
                    let read = [row.sku, row.name, price, row.brand.over(None)].map(Option::unwrap_or_default);
                    prop_assert_eq!(&read[..], &cells[..]);
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(format in prop_oneof![Just(Format::Json), Just(Format::Ndjson), Just(CSV)], body in any::<Vec<u8>>()) {
        let _ = read_all(format, &body);
        let _ = read_all(format, [b"sku,name,price\n".as_slice(), &body].concat());
        let _ = read_all(format, [b"{\"items\":[".as_slice(), &body].concat());
    }
}
