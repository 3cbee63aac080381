//! JSON, NDJSON and CSV bodies of bulk imports, valid and broken.

use catalog_tests::{Reply, Shop, samples};
use futures::StreamExt;
use serde_json::{Value, json};

const BULK: &str = "/v1/products/bulk";

async fn send(shop: &Shop, content_type: &str, body: impl Into<reqwest::Body>) -> Reply {
    shop.ada.request(reqwest::Method::POST, BULK).body(content_type, body).await
}

async fn stored(shop: &Shop) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap()
}

#[tokio::test]
async fn all_formats_give_the_same_products() {
    let shop = Shop::api().await;
    let mut second = samples::plain("F-2");
    second["quantity"] = json!(4);
    let rows = [samples::product("F-1"), second];
    let result = send(&shop, "application/json", json!({"items": rows}).to_string()).await.expect(200).json();
    assert_eq!(result["created"], 2, "{result}");

    let ndjson = format!("{}\r\n\n{}", rows[0], rows[1]);
    let result = send(&shop, "application/x-ndjson", ndjson).await.expect(200).json();
    assert_eq!((&result["unchanged"], &result["failed"]), (&json!(2), &json!(0)), "{result}");

    let csv = "\u{feff}sku,name,brand,description,categories,price,currency,url,released_on,quantity,attributes.colour,attributes.height\r\n\
        F-1,Bar table F-1,Nordviken,\"Bar table, black.\nFor two.\",Bar furniture|Tables & desks,995.50,EUR,https://shop.test/p/bar-table,2024-02-29,,black,105\r\n\
        F-2,Stool F-2,,,,10.00,,,,4,,\r\n";
    for content_type in ["text/csv", "text/csv; charset=utf-8", "TEXT/CSV"] {
        let result = send(&shop, content_type, csv).await.expect(200).json();
        assert_eq!((&result["unchanged"], &result["failed"]), (&json!(2), &json!(0)), "{result}");
    }
}

#[tokio::test]
async fn quotes_commas_and_lines_inside_csv_cells_are_text() {
    let shop = Shop::api().await;
    let csv = "price,name,sku\n5,\"A \"\"real\"\" name, with; all | of it\",Q-1\n";
    let result = send(&shop, "text/csv", csv).await.expect(200).json();
    assert_eq!(result["created"], 1, "{result}");
    let shown = shop.anyone.get("/v1/products/by-sku/Q-1").await.expect(200).json();
    assert_eq!(shown["name"], "A \"real\" name, with; all | of it");
}

#[tokio::test]
async fn invalid_csv_rows_are_reported_and_the_others_are_imported() {
    let shop = Shop::api().await;
    let csv = "sku,name,price,quantity\nC-1,One,1,\nC-2,Two\nC-3,Three,3,,extra\n,None,4,\nC-5,Five,1.234,\nC-6,Six,6,2.5\nC-7,Seven,7,7\nC-8,Eight,,\n";
    let result = send(&shop, "text/csv", csv).await.expect(200).json();
    assert_eq!((&result["created"], &result["failed"]), (&json!(2), &json!(6)), "{result}");
    let rows: Vec<_> = result["errors"].as_array().unwrap().iter().map(|error| error["row"].as_u64().unwrap()).collect();
    assert_eq!(rows, [2, 3, 4, 5, 6, 8]);
    assert_eq!(stored(&shop).await, 2);
}

#[tokio::test]
async fn an_unclosed_quote_is_reported_with_its_line() {
    let shop = Shop::api().await;
    for (csv, line) in [
        ("sku,name,price\nC-1,One,1\nC-2,\"Two,2\nC-3,Three,3\n", 3),
        ("sku,name,price\nC-1,\"O\nn\ne\",1\nC-2,\"T\"\"wo,2\n", 5),
        ("sku,\"name,price\nC-1,One,1\n", 1),
    ] {
        let problem = send(&shop, "text/csv", csv).await.problem(400, "malformed");
        let expected = format!("the quote that opens a cell in line {line} isn't closed");
        assert!(problem["detail"].as_str().unwrap().contains(&expected), "{problem}");
    }
    assert_eq!(stored(&shop).await, 0, "the end of the row is ambiguous");
}

#[tokio::test]
async fn unknown_missing_and_repeated_columns_are_rejected_by_name() {
    let shop = Shop::api().await;
    for (csv, named) in [
        ("sku,name,price,colour\nA,B,1,red\n", "colour"),
        ("sku,name\nA,B\n", "price"),
        ("sku,name,price,sku\nA,B,1,C\n", "sku"),
        ("sku;name;price\nA;B;1\n", "sku;name;price"),
    ] {
        let reply = send(&shop, "text/csv", csv).await;
        assert!(matches!(reply.status, 400 | 422), "{csv}: {}", reply.text());
        assert!(reply.text().contains(named), "{csv}: {}", reply.text());
    }
    assert_eq!(stored(&shop).await, 0);
}

#[tokio::test]
async fn invalid_ndjson_lines_are_reported_and_the_others_are_imported() {
    let shop = Shop::api().await;
    let mut body = Vec::new();
    for line in [&samples::plain("N-1").to_string(), "{\"sku\": ", "[]", "null", "\u{feff}{}", &samples::plain("N-6").to_string()] {
        body.extend_from_slice(line.as_bytes());
        body.push(b'\n');
    }
    body.extend_from_slice(b" \r\n{\"sku\": 7}\n");
    let result = send(&shop, "application/x-ndjson", body).await.expect(200).json();
    assert_eq!((&result["created"], &result["failed"], &result["blank"]), (&json!(2), &json!(5), &json!(1)), "{result}");
    let rows: Vec<_> = result["errors"].as_array().unwrap().iter().map(|error| error["row"].as_u64().unwrap()).collect();
    let mut distinct = rows.clone();
    distinct.dedup();
    assert_eq!(distinct, [2, 3, 4, 5, 8], "the numbers are those of the lines: {result}");
}

#[tokio::test]
async fn a_json_body_of_another_shape_is_rejected() {
    let shop = Shop::api().await;
    let good = samples::plain("J-1").to_string();
    let half = format!("{{\"items\": [{good},");
    let trailing = format!("{{\"items\": [{good}]}} more");
    let unknown = format!("{{\"items\": [{good}], \"colour\": \"red\"}}");
    let doubled = format!("{{\"items\": [{good}], \"items\": []}}");
    for body in ["", "[]", "{}", "null", "7", "{\"items\": {}}", "{\"items\": null}", &half, &trailing, &unknown, &doubled, &good] {
        let reply = send(&shop, "application/json", body.to_owned()).await;
        assert!(matches!(reply.status, 400 | 422), "{body}: {}", reply.text());
    }
    assert_eq!(stored(&shop).await, 0, "a body that breaks off must not be half imported");
}

#[tokio::test]
async fn only_the_three_formats_are_accepted() {
    let shop = Shop::api().await;
    for content_type in ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/octet-stream", "", "json"] {
        let reply = send(&shop, content_type, "{}").await;
        reply.problem(415, "unsupported-media-type");
    }
    let untyped = shop.ada.request(reqwest::Method::POST, BULK).untyped_body("{\"items\": []}").await;
    untyped.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn a_row_over_a_mebibyte_is_rejected_in_every_format() {
    let shop = Shop::api().await;
    let mut row = samples::plain("L-1");
    row["description"] = json!("x".repeat(1024 * 1024 + 10));
    let bodies = [
        ("application/json", json!({"items": [samples::plain("L-0"), row]}).to_string()),
        ("application/x-ndjson", format!("{}\n{row}\n", samples::plain("L-0"))),
        ("text/csv", format!("sku,name,price,description\nL-0,x,1,\nL-1,x,1,{}\n", "x".repeat(1024 * 1024 + 10))),
        ("text/csv", format!("sku,name,price,description\nL-0,x,1,\nL-1,x,1,\"{}", "x\n".repeat(1024 * 1024))),
    ];
    for (content_type, body) in bodies {
        let reply = send(&shop, content_type, body).await;
        reply.problem(413, "too-large");
    }
    assert_eq!(stored(&shop).await, 0);
    // A row just below the limit is validated like any other.
    let mut row = samples::plain("L-2");
    row["description"] = json!("x".repeat(1024 * 1024 - 300));
    let result = send(&shop, "application/x-ndjson", format!("{row}\n")).await.expect(200).json();
    assert_eq!((&result["failed"], &result["errors"][0]["field"]), (&json!(1), &json!("description")), "{}", result.to_string().len());
}

#[tokio::test]
async fn rows_are_read_from_chunks_of_any_size() {
    let shop = Shop::api().await;
    let rows: Vec<Value> = (0..40).map(|number| samples::product(&format!("P-{number}"))).collect();
    let body: Vec<u8> = rows.iter().flat_map(|row| format!("{row}\n").into_bytes()).collect();
    for size in [1021, 7, 4096] {
        let pieces: Vec<_> = body.chunks(size).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let stream = futures::stream::iter(pieces).then(async |piece| {
            tokio::task::yield_now().await;
            piece
        });
        let result = send(&shop, "application/x-ndjson", reqwest::Body::wrap_stream(stream)).await.expect(200).json();
        assert_eq!(result["failed"], 0, "{result}");
    }
    assert_eq!(stored(&shop).await, 40);
}

#[tokio::test]
async fn an_interrupted_upload_imports_nothing() {
    let shop = Shop::builder().only_api().allow_error_logs().start().await;
    let row = format!("{}\n", samples::plain("B-1"));
    let pieces =
        [Ok(row.clone().into_bytes()), Ok(row.replace("B-1", "B-2").into_bytes()), Err(std::io::Error::other("the client disconnects"))];
    let stream = futures::stream::iter(pieces);
    let call = shop.ada.request(reqwest::Method::POST, BULK).body("application/x-ndjson", reqwest::Body::wrap_stream(stream));
    assert!(call.attempt().await.is_err());
    // The next import is not affected by the interrupted one.
    let result = send(&shop, "application/x-ndjson", format!("{}\n", samples::plain("B-3"))).await.expect(200).json();
    assert_eq!(result["created"], 1);
    assert_eq!(stored(&shop).await, 1);
}
