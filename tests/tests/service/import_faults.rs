//! Files that importers commonly misread, through the API and `catalogctl import`: ambiguous content is rejected with its
//! location, and nothing is stored.

use std::process::Output;

use catalog_tests::{Reply, Shop, scratch::Scratch};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use super::import::{import, output_text};

/// The reference reader of the unit tests.
#[path = "../../../crates/rows/src/reference.rs"]
mod reference;

const BULK: &str = "/v1/products/bulk";

async fn send(shop: &Shop, query: &str, content_type: &str, body: &[u8]) -> Reply {
    shop.ada.request(reqwest::Method::POST, &format!("{BULK}{query}")).body(content_type, body.to_vec()).await
}

async fn import_as(shop: &Shop, name: &str, content: &[u8], options: &[&str]) -> Output {
    let directory = Scratch::new(None);
    let file = directory.path().join(name);
    std::fs::write(&file, content).unwrap();
    import(shop, &file, options).await
}

/// Reads skus, names and prices, ordered by sku.
async fn stored(shop: &Shop) -> Vec<(String, String, String)> {
    let rows = "SELECT sku, name, price::text FROM products.products ORDER BY sku";
    sqlx::query_as(rows).fetch_all(&shop.database).await.unwrap()
}

async fn skus(shop: &Shop) -> Vec<String> {
    stored(shop).await.into_iter().map(|(sku, ..)| sku).collect()
}

/// Asserts that the API, atomic or not, and the command import nothing and report the reason.
async fn nothing_is_imported(content: &[u8], options: &[&str], words: &[&str]) {
    let shop = Shop::api().await;
    for query in ["", "?atomic=true"] {
        let reply = send(&shop, query, "text/csv", content).await;
        assert!(matches!(reply.status, 400 | 422), "{}", reply.text());
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        for word in words {
            assert!(detail.contains(word), "{word}: {detail}");
        }
    }
    let output = import_as(&shop, "rows.csv", content, options).await;
    assert_eq!(output.status.code(), Some(1), "{}", output_text(&output));
    for word in words.iter().chain(&["nothing was imported"]) {
        assert!(output_text(&output).contains(word), "{word}: {}", output_text(&output));
    }
    assert_eq!(skus(&shop).await, Vec::<String>::new());
}

#[tokio::test]
async fn with_a_decimal_comma_other_numbers_are_rejected_by_row_and_field() {
    let shop = Shop::api().await;
    let csv = "sku;name;price;quantity\nc1-a;Lamp A;19,99;1\nc1-b;Lamp B;19.99;1\nc1-c;Lamp C;1.299,00;3\nc1-d;Lamp D;0.50;2.5\n\
        c1-e;Lamp E;1'299.50;10.0\n";
    let options = ["--delimiter", ";", "--decimal-comma"];
    let output = import_as(&shop, "rows.csv", csv.as_bytes(), &options).await;
    assert_eq!(output.status.code(), Some(3), "{}", output_text(&output));
    let prices: Vec<_> = stored(&shop).await.into_iter().map(|(sku, _, price)| (sku, price.parse::<f64>().unwrap())).collect();
    assert_eq!(prices, [("c1-a".to_owned(), 19.99), ("c1-c".to_owned(), 1299.0)]);
    for line in [
        "row 2 \"Lamp B\": price.amount: must be a number such as 19,99 or 1.299,00, because of --decimal-comma, not \"19.99\"",
        "row 4 \"Lamp D\": price.amount: must be",
        "row 4 \"Lamp D\": quantity: must be",
        "row 5 \"Lamp E\": price.amount: must be",
        "row 5 \"Lamp E\": quantity: must be a whole number such as 12 or 1.299, because of --decimal-comma, not \"10.0\"",
        "2 created, 0 updated, 0 unchanged, 3 rows rejected",
    ] {
        assert!(output_text(&output).contains(line), "{line}: {}", output_text(&output));
    }
    let dry = import_as(&shop, "rows.csv", csv.as_bytes(), &[&options[..], &["--dry-run"]].concat()).await;
    assert!(dry.status.code() == Some(3) && output_text(&dry).contains("row 4: quantity: must be"), "{}", output_text(&dry));

    let csv = "sku,name,price,quantity\na-1,A,\"19,99\",1\na-2,B,1,2.5\na-3,C,1,+5\na-4,D,1,10.0\na-5,E,1'299.50,1\n";
    let result = send(&shop, "", "text/csv", csv.as_bytes()).await.expect(200).json();
    let places: Vec<_> = result["errors"].as_array().unwrap().iter().map(|error| (error["row"].clone(), error["field"].clone())).collect();
    let expected = [(1, "price.amount"), (2, "quantity"), (3, "quantity"), (4, "quantity"), (5, "price.amount")];
    assert_eq!(places, expected.map(|(row, field)| (json!(row), json!(field))));
}

#[tokio::test]
async fn a_repeated_column_rejects_the_file() {
    let csv = b"sku,name,price,price\nc2-a,Chair,,49.00\nc2-b,Stool,10.00,20.00\n";
    nothing_is_imported(csv, &[], &["the column \"price\" occurs twice"]).await;
    let columns = format!("sku,name,price{}\na,A,1{}\n", ",x".repeat(108), ",".repeat(108));
    nothing_is_imported(columns.as_bytes(), &[], &["111 columns", "110"]).await;
}

#[tokio::test]
async fn text_after_a_closing_quote_rejects_the_file_with_its_line() {
    let csv = b"sku,name,price\nc3-a,\"Table \\\"Oslo\\\"\",10.00\nc3-b,\"24\" monitor\",20.00\nc3-c,24\" monitor,30.00\n\
        c3-d,\"Shelf \\\"A\\\", white\",40.00\nc3-e, \"Bench, oak\",50.00\nc3-f, \"Stool\",60.00\n";
    nothing_is_imported(csv, &[], &["in line 2: text follows the closing quote"]).await;
    let good_first = b"sku,name,price\nc3-a,Table,10.00\nc3-b,\"24\" monitor\",20.00\nc3-c,Stool,1\n";
    nothing_is_imported(good_first, &[], &["row 2", "in line 3: text follows the closing quote"]).await;
}

#[tokio::test]
async fn a_quote_inside_an_unquoted_cell_rejects_the_file_with_its_line() {
    nothing_is_imported(b"sku,name,price\nc3-c,24\" monitor,30.00\n", &[], &["in line 2: a quote is inside a cell"]).await;
    nothing_is_imported(b"sku,name,price\nc3-d,Oak,1\nc3-e, \"Bench, oak\",50.00\n", &[], &["in line 3: a quote is inside a cell"]).await;
}

#[tokio::test]
async fn two_rows_are_never_merged_by_a_stray_quote() {
    let csv = b"sku,name,price,description\nc3-m,Tray,10.00,\"Width 15\"\"\nc3-n,Bowl,20.00,\"Deep bowl\"\nc3-o,Cup,3.00,\"Blue\"\n";
    nothing_is_imported(csv, &[], &["in line 3: text follows the closing quote of a cell that opens in line 2"]).await;
}

#[tokio::test]
async fn an_unclosed_quote_is_reported_with_its_line_for_all_line_ends() {
    let csv = "sku,name,price\rc9-a,Bowl,5.00\rc9-b,\"Cup,6.00\rc9-c,Plate,7.00\r";
    for end in ["\r", "\n", "\r\n"] {
        nothing_is_imported(csv.replace('\r', end).as_bytes(), &[], &["the quote that opens a cell in line 3 isn't closed"]).await;
    }
}

#[tokio::test]
async fn a_file_in_utf_16_with_a_byte_order_mark_is_read() {
    let shop = Shop::api().await;
    let text = "\u{feff}sku,name,price\nc4-a,Tisch Größe L,10.00\nc4-b,Stuhl,20.00\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let output = import_as(&shop, "rows.csv", &little, &[]).await;
    assert!(output.status.success() && output_text(&output).contains("2 created"), "{}", output_text(&output));
    assert_eq!(stored(&shop).await[0].1, "Tisch Größe L");
    let output = import_as(&shop, "rows.csv", &big, &[]).await;
    assert!(output.status.success() && output_text(&output).contains("2 unchanged"), "{}", output_text(&output));
    for body in [&little, &big] {
        let result = send(&shop, "", "text/csv", body).await.expect(200).json();
        assert_eq!((&result["unchanged"], &result["failed"]), (&json!(2), &json!(0)), "{result}");
    }
    // Without the mark, the encoding is unknown.
    let problem = send(&shop, "", "text/csv", &little[2..]).await.problem(400, "malformed");
    assert!(problem["detail"].as_str().unwrap().contains("The encoding of the body is wrong"), "{problem}");
    let output = import_as(&shop, "rows.csv", &little[2..], &["--encoding", "utf-16le"]).await;
    assert!(output.status.success() && output_text(&output).contains("2 unchanged"), "{}", output_text(&output));
}

#[tokio::test]
async fn a_declared_encoding_is_decoded_and_an_undeclared_one_is_rejected() {
    let shop = Shop::api().await;
    let csv = b"sku,name,price\nc4-a,Tisch Gr\xf6\xdfe L,10.00\nc4-b,Stuhl,20.00\n";
    let problem = send(&shop, "", "text/csv", csv).await.problem(400, "malformed");
    assert!(problem["detail"].as_str().unwrap().contains("line 2 is not valid UTF-8"), "{problem}");
    let output = import_as(&shop, "rows.csv", csv, &[]).await;
    assert!(
        output.status.code() == Some(1) && output_text(&output).contains("line 2 is not valid UTF-8; name its encoding with --encoding"),
        "{}",
        output_text(&output)
    );
    assert_eq!(skus(&shop).await, Vec::<String>::new());

    let output = import_as(&shop, "rows.csv", csv, &["--encoding", "windows-1252"]).await;
    assert!(output.status.success() && output_text(&output).contains("2 created"), "{}", output_text(&output));
    assert_eq!(stored(&shop).await[0].1, "Tisch Größe L");
    let result = send(&shop, "", "text/csv; charset=windows-1252", csv).await.expect(200).json();
    assert_eq!(result["unchanged"], 2, "{result}");

    let output = import_as(&shop, "rows.csv", csv, &["--encoding", "latin"]).await;
    assert!(
        output.status.code() == Some(1) && output_text(&output).contains("such as utf-8, utf-16le, windows-1252"),
        "{}",
        output_text(&output)
    );
    send(&shop, "", "text/csv; charset=latin", csv).await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn numbers_of_json_keep_every_digit() {
    let shop = Shop::api().await;
    let json = br#"[{"sku":89490200001188888889,"name":"SIM A","price":1},{"sku":89490200001188888890,"name":"SIM B","price":2},{"sku":4006381333931.0,"name":"Pen","price":1.5}]"#;
    let output = import_as(&shop, "rows.json", json, &["--decimal-comma"]).await;
    assert_eq!(output.status.code(), Some(3), "{}", output_text(&output));
    assert!(output_text(&output).contains("row 3 \"Pen\": sku: must be text"), "{}", output_text(&output));
    assert_eq!(skus(&shop).await, ["89490200001188888889", "89490200001188888890"]);
    let pen = br#"[{"sku":4006381333931,"name":"Pen","price":1.5}]"#;
    let output = import_as(&shop, "rows.json", pen, &["--decimal-comma"]).await;
    assert!(output.status.success(), "{}", output_text(&output));
    let pen = shop.anyone.get("/v1/products/by-sku/4006381333931").await.expect(200).json();
    assert_eq!(pen["price"]["amount"], "1.50");
    // The API accepts skus and amounts only as text.
    send(&shop, "", "application/json", json).await.problem(422, "invalid");
    let result = send(&shop, "", "application/json", &[b"{\"items\":", &json[..], b"}"].concat()).await.expect(200).json();
    assert_eq!((&result["created"], &result["failed"]), (&json!(0), &json!(3)), "{result}");
}

#[tokio::test]
async fn blank_rows_are_numbered_counted_and_skipped() {
    let shop = Shop::api().await;
    let csv = b"sku,name,price,quantity\nc6-a,Bowl,5.00,3\n,,,\n,,,\n";
    let result = send(&shop, "", "text/csv", csv).await.expect(200).json();
    let counts = |result: &Value| ["created", "unchanged", "failed", "blank"].map(|field| result[field].as_u64().unwrap());
    assert_eq!(counts(&result), [1, 0, 0, 2], "{result}");
    let result = send(&shop, "?atomic=true", "text/csv", csv).await.expect(200).json();
    assert_eq!(counts(&result), [0, 1, 0, 2], "{result}");
    let output = import_as(&shop, "rows.csv", csv, &[]).await;
    assert!(output.status.success(), "{}", output_text(&output));
    assert!(
        output_text(&output).contains("0 created, 0 updated, 1 unchanged, 0 rows rejected, 2 blank rows skipped"),
        "{}",
        output_text(&output)
    );

    let csv = b"sku,name,price,quantity\n\n , ,,\nc6-b,Bowl,cheap,3\n";
    let result = send(&shop, "", "text/csv", csv).await.expect(200).json();
    assert_eq!((counts(&result), &result["errors"][0]["row"]), ([0, 0, 1, 2], &json!(3)), "{result}");
    let output = import_as(&shop, "rows.csv", csv, &[]).await;
    assert!(output_text(&output).contains("row 3 \"Bowl\": price.amount"), "{}", output_text(&output));
}

#[tokio::test]
async fn a_column_whose_name_contains_a_comma_can_be_mapped() {
    let shop = Shop::api().await;
    let csv = b"sku,name,\"Price, EUR\"\nc10-a,Bowl,5.00\n";
    let output = import_as(&shop, "rows.csv", csv, &["--map", "sku=sku,name=name,price=\"Price, EUR\""]).await;
    assert!(output.status.success() && output_text(&output).contains("1 created"), "{}", output_text(&output));
    let problem = send(&shop, "", "text/csv", csv).await.problem(422, "invalid");
    assert!(problem["errors"].to_string().contains("Price, EUR"), "{problem}");
    for map in ["sku=sku,sku=name", "sku=sku,name=sku"] {
        let output = import_as(&shop, "rows.csv", csv, &["--map", map]).await;
        assert!(output.status.code() == Some(1) && output_text(&output).contains("--map"), "{}", output_text(&output));
    }
}

#[tokio::test]
async fn ambiguous_dates_are_rejected() {
    let shop = Shop::api().await;
    let dates = [
        "2024051",
        "2024123",
        "202412",
        "20240115",
        "45123",
        "05/06/2024",
        "2024-1-5",
        "24-01-05",
        "2024-05-23 24:00",
        "20240229",
        "2024 052",
        "1.2.2024",
        "2024-W21-4",
        "2024-143",
    ];
    let rows: String = dates.iter().enumerate().map(|(index, date)| format!("d{},Name,1,{date}\n", index + 1)).collect();
    let csv = format!("sku,name,price,released_on\n{rows}");
    let output = import_as(&shop, "rows.csv", csv.as_bytes(), &[]).await;
    assert!(
        output.status.code() == Some(3) && output_text(&output).contains("4 created, 0 updated, 0 unchanged, 10 rows rejected"),
        "{}",
        output_text(&output)
    );
    let days: Vec<(String, String)> = sqlx::query_as("SELECT sku, released_on::text FROM products.products ORDER BY released_on, sku")
        .fetch_all(&shop.database)
        .await
        .unwrap();
    let expected = [("d7", "2024-01-05"), ("d4", "2024-01-15"), ("d12", "2024-02-01"), ("d10", "2024-02-29")];
    assert_eq!(days, expected.map(|(sku, day)| (sku.to_owned(), day.to_owned())));
    // The API accepts one format.
    let result = send(&shop, "", "text/csv", csv.as_bytes()).await.expect(200).json();
    assert_eq!(result["failed"], 14, "{result}");
}

/// CSV that can be imported unless it is damaged.
fn sellable_csv() -> impl Strategy<Value = String> {
    let name = proptest::string::string_regex("[A-Z][a-z]{1,5}([ ,\";][a-z0-9]{1,3}){0,2}").unwrap();
    let rows = prop::collection::vec((name, 1..100u32), 1..5);
    let row = |(number, (name, price)): (usize, (String, u32))| format!("s-{number},\"{}\",{price}\n", name.replace('"', "\"\""));
    rows.prop_map(move |rows| rows.into_iter().enumerate().map(row).collect())
}

#[tokio::test]
async fn damaged_csv_is_stored_like_the_reference_reader_reads_it_or_not_at_all() {
    let shop = Shop::api().await;
    let mut runner = TestRunner::new(Config::default());
    let damaged = reference::damaged(sellable_csv());
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut rejected, mut imported) = (0, 0);
    for number in 0..120 {
        let text = format!("sku,name,price\n{}", damaged.new_tree(&mut runner).unwrap().current());
        let (rows, valid) = reference::read(&text, ',');
        if number % 4 == 0 {
            let output = import_as(&shop, "rows.csv", text.as_bytes(), &[]).await;
            assert_eq!(output.status.code() == Some(1), !valid, "{text:?}: {}", output_text(&output));
        } else {
            let reply = send(&shop, if number % 4 == 1 { "?atomic=true" } else { "" }, "text/csv", text.as_bytes()).await;
            assert!(if valid { matches!(reply.status, 200 | 422) } else { reply.status == 400 }, "{text:?}: {}", reply.text());
        }
        let stored = stored(&shop).await;
        assert!(valid || stored.is_empty(), "{text:?}: {stored:?}");
        for (sku, name, price) in &stored {
            let read =
                |cell: usize, is: &dyn Fn(&str) -> bool| rows.iter().any(|row| row.len() == 3 && words(&row[0]) == *sku && is(&row[cell]));
            let price: f64 = price.parse().unwrap();
            assert!(read(1, &|cell| words(cell) == words(name)), "{text:?}: {name:?}");
            assert!(read(2, &|cell| cell.trim().parse() == Ok(price)), "{text:?}: {price}");
        }
        if valid {
            imported += stored.len();
        } else {
            rejected += 1;
        }
        sqlx::query("DELETE FROM products.products").execute(&shop.database).await.unwrap();
    }
    println!("{rejected} of 120 texts rejected, {imported} products stored of the others");
    assert!(rejected > 10 && imported > 10, "{rejected} {imported}");
}
