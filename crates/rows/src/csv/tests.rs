use std::io::BufReader;

use proptest::prelude::*;

use super::{
    super::reference::{self, damaged_csv},
    *,
};

/// Reads the records of a text, and the result of reading.
fn read(text: &str, delimiter: u8, buffer: usize) -> (Vec<Vec<String>>, Result<(), ReadError>) {
    let mut reader = CsvReader::new(BufReader::with_capacity(buffer, text.as_bytes()), delimiter);
    let mut records = Vec::new();
    loop {
        match reader.read() {
            Ok(Some(record)) => {
                assert_eq!(record.row, records.len() as u64);
                records.push(record.cells().map(str::to_owned).collect());
            }
            Ok(None) => return (records, Ok(())),
            Err(error) => return (records, Err(error)),
        }
    }
}

fn quote_error(text: &str) -> (u64, QuoteError) {
    match read(text, b',', 8).1 {
        Err(ReadError::Quotes { row, source }) => (row, source),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn text_after_a_closing_quote_is_an_error_with_its_line() {
    let after = |line, opened| QuoteError::TextAfter { line, opened };
    assert_eq!(quote_error("sku,name\na,\"24\" monitor\"\n"), (1, after(2, 2)));
    assert_eq!(quote_error("sku,name\na,\"Table \\\"Oslo\\\"\"\n"), (1, after(2, 2)));
    assert_eq!(quote_error("\"sku\" ,name\n"), (0, after(1, 1)));
    // An unclosed quote includes the next row, up to a quote in it.
    assert_eq!(quote_error("sku,text\nm,\"Width 15\"\"\nn,\"Deep bowl\"\n"), (1, after(3, 2)));
}

#[test]
fn a_quote_inside_an_unquoted_cell_is_an_error_with_its_line() {
    assert_eq!(quote_error("sku,name\na,b\nc,24\" monitor\n"), (2, QuoteError::Inside { line: 3 }));
    assert_eq!(quote_error("sku,name\ne, \"Bench, oak\"\n"), (1, QuoteError::Inside { line: 2 }));
}

#[test]
fn an_unclosed_quote_is_an_error_with_its_line() {
    let not_closed = |opened| QuoteError::NotClosed { opened };
    assert_eq!(quote_error("a,b\n1,\"2\n3,4\n"), (1, not_closed(2)));
    assert_eq!(quote_error("\"a"), (0, not_closed(1)));
    assert_eq!(quote_error("a\n\"two\nlines\",\"x"), (1, not_closed(3)));
    assert_eq!(quote_error("a,\"b\"\""), (0, not_closed(1)));
}

#[test]
fn lines_are_counted_for_all_line_ends() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["sku,name,price", "a,\"two", "lines\",5", "", "b,\"Cup,6", "c,Plate,7", ""].join(end);
        assert_eq!(quote_error(&text), (3, QuoteError::NotClosed { opened: 5 }), "{end:?}");
    }
}

#[test]
fn the_header_is_the_first_record_that_is_not_blank_and_rows_are_numbered_after_it() {
    let mut reader = CsvReader::new("\r\n;;\n a ;\"b\"\"\"\r\n\n1;2".as_bytes(), b';');
    let header = reader.read_header().unwrap().unwrap();
    assert_eq!(header.cells().collect::<Vec<_>>(), [" a ", "b\""]);
    let blank = reader.read().unwrap().unwrap();
    assert!((blank.row, blank.is_blank()) == (1, true));
    let row = reader.read().unwrap().unwrap();
    assert_eq!((row.row, row.is_blank(), row.cells().collect::<Vec<_>>()), (2, false, vec!["1", "2"]));
    assert!(reader.read().unwrap().is_none() && reader.read().unwrap().is_none());
}

#[test]
fn a_record_over_the_limit_is_reported_with_its_open_quote() {
    let long = "x\n".repeat(MAX_ROW);
    let (_, error) = read(&format!("a,b\n1,\"{long}"), b',', 4096);
    assert!(matches!(error, Err(ReadError::TooLarge { row: 1, opened: Some(2) })), "{error:?}");
    let (_, error) = read(&long.replace('\n', ","), b',', 4096);
    assert!(matches!(error, Err(ReadError::TooLarge { row: 0, opened: None })), "{error:?}");
}

#[test]
fn cells_beyond_the_maximum_number_of_columns_are_only_counted() {
    let mut reader = CsvReader::new(&[b','; 1000][..], b',');
    let record = reader.read().unwrap().unwrap();
    assert_eq!((record.cell_count(), record.cells().count()), (1001, MAX_COLUMNS));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_reader_agrees_with_the_reference_reader(text in damaged_csv(), buffer in 1..9usize) {
        let (expected, valid) = reference::read(&text, ',');
        let (records, end) = read(&text, b',', buffer);
        prop_assert_eq!(&records, &expected);
        prop_assert_eq!(end.is_ok(), valid, "{:?}", end);
        if valid {
            // The lenient reader of the csv crate agrees on valid texts; it skips empty lines.
            let mut lenient = ::csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_bytes());
            let lenient: Vec<Vec<String>> = lenient.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
            let without_empty = |records: Vec<Vec<String>>| records.into_iter().filter(|cells| cells[..] != [""]).collect::<Vec<_>>();
            if !text.starts_with('\u{feff}') {
                prop_assert_eq!(without_empty(records), without_empty(lenient));
            }
        }
    }
}
