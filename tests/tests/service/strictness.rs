//! Strict parsing: look-alikes, arrays for objects, dates out of range, misspelled fields, requests that never end.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use catalog_tests::{
    Shop,
    people::ADA,
    samples::{self, create},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

#[tokio::test]
async fn a_look_alike_of_a_username_does_not_sign_in() {
    let shop = Shop::api().await;
    // PostgreSQL's lower() makes an ASCII k of the Kelvin sign.
    let (username, password) = ("kim", "a long enough password");
    shop.ada.post("/v1/admins", &json!({"username": username, "email": "kim@example.com", "password": password})).await.expect(201);
    for spelling in ["kim", "KIM"] {
        shop.anyone.post("/v1/auth/login", &json!({"username": spelling, "password": password})).await.expect(200);
    }
    for look_alike in ["\u{212a}im", "k\u{0130}m", "k\u{0131}m"] {
        let reply = shop.anyone.post("/v1/auth/login", &json!({"username": look_alike, "password": password})).await;
        reply.problem(401, "invalid-credentials");
    }
}

#[tokio::test]
async fn dates_out_of_range_are_rejected() {
    let shop = Shop::api().await;
    for day in ["-262143-01-01", "-4713-01-01", "0999-12-31", "2024-1-1", "2024-01-01T00:00:00Z"] {
        for parameter in ["before", "after"] {
            shop.anyone.get(&format!("/v1/products?{parameter}={day}")).await.problem(400, "invalid-parameters");
        }
    }
}

#[tokio::test]
async fn errors_of_parameters_say_what_is_allowed() {
    let shop = Shop::api().await;
    for (path, parameter, allowed) in [
        ("/v1/products?limit=abc", "limit", "limit must be a whole number from 1 to 200"),
        ("/v1/products?limit=201", "limit", "limit must be a whole number from 1 to 200"),
        ("/v1/products?limit=99999999999999999999", "limit", "limit must be a whole number from 1 to 200"),
        ("/v1/admins?limit=-1", "limit", "limit must be a whole number from 1 to 200"),
        ("/v1/reports/top-products?limit=%2B5", "limit", "limit must be a whole number from 1 to 200"),
        ("/v1/products?before=2024-02-30x", "before", "before must be a date such as 2024-05-23, not \"2024-02-30x\""),
        ("/v1/products?after=", "after", "after must be a date such as 2024-05-23, not \"\""),
        ("/v1/reports/views?product_id=7", "product_id", "product_id must be a UUID such as 019aa3f0-0000-7000-8000-000000000000"),
    ] {
        let problem = shop.ada.get(path).await.problem(400, "invalid-parameters");
        assert_eq!((&problem["errors"][0]["parameter"], &problem["detail"]), (&json!(parameter), &json!(allowed)), "{path}");
    }
    let kept = create(&shop.ada, &samples::plain("T-1")).await;
    shop.ada.delete(&format!("{}?purge=yes", kept.path)).await.problem(400, "invalid-parameters");
}

#[tokio::test]
async fn a_release_date_must_be_a_full_date() {
    let shop = Shop::api().await;
    let kept = create(&shop.ada, &samples::plain("T-1")).await;
    for day in ["2026-1-1", "2026-01-1", " 2026-01-01", "2026-01-01 ", "2026-01-01T00:00:00Z", "20260101"] {
        let mut product = samples::plain("T-2");
        product["released_on"] = json!(day);
        for reply in [shop.ada.post("/v1/products", &product).await, shop.ada.patch(&kept.path, &json!({"released_on": day})).await] {
            let problem = reply.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], "#/released_on", "{day}: {problem}");
            assert_eq!(problem["detail"], format!("released_on must be a date such as \"2024-05-23\" or null, not {day:?}"));
        }
        let bulk = shop.ada.post("/v1/products/bulk", &json!({"items": [product]})).await.expect(200).json();
        assert_eq!(bulk["errors"][0]["field"], "released_on", "{day}: {bulk}");
    }
}

#[tokio::test]
async fn a_body_in_another_charset_than_utf_8_is_rejected() {
    let shop = Shop::api().await;
    for charset in ["iso-8859-1", "\"utf-16\"", "US-ASCII", ""] {
        for path in ["/v1/products", "/v1/products/bulk", "/v1/auth/login"] {
            let reply = shop.ada.request(reqwest::Method::POST, path).body(&format!("application/json; charset={charset}"), "{}").await;
            let problem = reply.problem(415, "unsupported-media-type");
            assert!(problem["detail"].as_str().unwrap().contains("UTF-8"), "{problem}");
        }
    }
    for (number, parameters) in ["charset=utf-8", "Charset=\"UTF-8\"", "profile=x; charset=utf8", ""].iter().enumerate() {
        let product = samples::plain(&format!("T-{number}")).to_string();
        shop.ada.request(reqwest::Method::POST, "/v1/products").body(&format!("application/json;{parameters}"), product).await.expect(201);
    }
}

#[tokio::test]
async fn invisible_characters_in_skus_and_bidi_controls_in_names_are_rejected() {
    let shop = Shop::api().await;
    let with = |field: &str, value: &str| {
        let mut product = samples::plain("T-1");
        product[field] = json!(value);
        product
    };
    for sku in [".", "..", "T\u{200b}1", "\u{feff}T", "T\u{202e}1", "T\u{200d}", "T\u{ad}1"] {
        let reply = shop.ada.post("/v1/products", &with("sku", sku)).await;
        assert_eq!(reply.problem(422, "invalid")["errors"][0]["pointer"], "#/sku", "{sku:?}");
    }
    for field in ["name", "brand"] {
        for text in ["a\u{202e}b", "\u{2066}a", "\u{200b}\u{200d}", "a\u{2028}b"] {
            let reply = shop.ada.post("/v1/products", &with(field, text)).await;
            assert_eq!(reply.problem(422, "invalid")["errors"][0]["pointer"], format!("#/{field}"), "{text:?}");
        }
    }
    // Joiners and marks are part of how names are written.
    create(&shop.ada, &with("name", "👩\u{200d}🍳 می\u{200c}خواهم \u{200f}ש")).await;
}

#[tokio::test]
async fn a_duplicate_key_is_rejected_in_every_body() {
    let shop = Shop::api().await;
    let kept = create(&shop.ada, &samples::plain("T-1")).await;
    let grace = format!("/v1/admins/{}", shop.people.grace.id);
    let (post, patch) = (reqwest::Method::POST, reqwest::Method::PATCH);
    for (method, path, body, pointer) in [
        (&patch, &*kept.path, r#"{"name": "One", "name": "Two"}"#, "#/name"),
        (&patch, &kept.path, r#"{"attributes": {"colour": "red", "colour": null}}"#, "#/attributes/colour"),
        (&patch, &kept.path, r#"{"price": {"amount": "1", "amount": "2"}}"#, "#/price/amount"),
        (&patch, &grace, r#"{"full_name": "One", "full_name": "Two"}"#, "#/full_name"),
        (&post, "/v1/products", r#"{"sku": "T-2", "name": "A", "name": "B", "price": {"amount": "1", "currency": "EUR"}}"#, "#/name"),
        (&post, "/v1/admins", r#"{"username": "x", "username": "y", "email": "x@shop.test", "password": "a passphrase"}"#, "#/username"),
    ] {
        let reply = shop.ada.request(method.clone(), path).body("application/json", body).await;
        reply.problem(422, "invalid");
        assert_eq!(reply.pointers(), [pointer], "{body}");
    }
    assert_eq!(shop.anyone.get(&kept.path).await.expect(200).json(), kept.body);
}

#[tokio::test]
async fn a_forged_cursor_is_rejected() {
    let shop = Shop::api().await;
    let id = "019aa3c1-1111-7111-8111-111111111111";
    let made_up = [
        json!({"sort": "created_at", "key": {"created_at": "-5000-01-01T00:00:00Z"}, "id": id}),
        json!({"sort": "name", "key": {"name": "a\u{0}"}, "id": id}),
    ];
    for cursor in made_up {
        let sort = cursor["sort"].as_str().unwrap();
        let cursor = BASE64_URL_SAFE_NO_PAD.encode(cursor.to_string());
        shop.anyone.get(&format!("/v1/products?sort={sort}&cursor={cursor}")).await.problem(400, "invalid-parameters");
    }
}

#[tokio::test]
async fn an_array_is_not_an_object() {
    let shop = Shop::api().await;
    shop.anyone.post("/v1/auth/login", &json!([ADA.0, ADA.2])).await.problem(422, "invalid");
    let mut product = samples::plain("T-1");
    product["price"] = json!(["1.00", "EUR"]);
    shop.ada.post("/v1/products", &product).await.problem(422, "invalid");
}

#[tokio::test]
async fn a_patch_cannot_remove_unknown_or_required_fields() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    for field in ["brnd", "id", "name", "sku", "price", "quantity"] {
        let reply = shop.ada.patch(&product.path, &json!({ (field): null })).await;
        reply.problem(422, "invalid");
        assert_eq!(reply.json()["errors"][0]["pointer"], format!("#/{field}"));
    }
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json(), product.body);
}

#[tokio::test]
async fn filters_have_bounds_and_are_utf_8() {
    let shop = Shop::api().await;
    let long = "x".repeat(201);
    for query in [format!("contains={long}"), format!("brand={long}"), format!("category={long}"), "contains=%ff".into()] {
        shop.anyone.get(&format!("/v1/products?{query}")).await.problem(400, "invalid-parameters");
    }
}

#[tokio::test]
async fn purging_what_is_deleted_honours_if_match() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    shop.ada.delete(&product.path).await.expect(204);
    let purge = product.at("").trim_end_matches('/').to_owned() + "?purge=true";
    shop.ada.delete(&purge).header("if-match", "\"77-1\"").await.problem(412, "precondition-failed");
    shop.ada.delete(&purge).await.expect(204);
}

/// The limit is 20 s: this waits for the response, not for time.
#[tokio::test]
async fn a_body_that_stops_gets_408_and_its_connection_is_closed() {
    let shop = Shop::api().await;
    let address = shop.anyone.base().trim_start_matches("http://").to_owned();
    let mut connection = TcpStream::connect(&address).await.unwrap();
    let head =
        format!("POST /v1/auth/login HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{");
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    timeout(Duration::from_mins(2), connection.read_to_end(&mut response)).await.expect("a response, and the end").unwrap();
    assert!(response.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&response));
}

#[tokio::test]
async fn a_fraction_is_never_rounded_to_a_whole_number() {
    let shop = Shop::api().await;
    let product = samples::create(&shop.ada, &samples::plain("W-1")).await;
    for number in ["1.0000000000000000001", "1e-400", "9007199254740993.5", "1e400"] {
        let body = format!(r#"{{"sku": "W-2", "name": "Rounded", "price": {{"amount": "1", "currency": "EUR"}}, "quantity": {number}}}"#);
        let problem = shop.ada.request(reqwest::Method::POST, "/v1/products").body("application/json", body.clone()).await;
        assert!(matches!(problem.status, 400 | 422), "{number}: {}", problem.text());
        let patch = format!(r#"{{"quantity": {number}}}"#);
        let problem = shop.ada.request(reqwest::Method::PATCH, &product.path).body("application/json", patch).await;
        assert!(matches!(problem.status, 400 | 422), "{number}: {}", problem.text());
        let bulk = shop.ada.request(reqwest::Method::POST, "/v1/products/bulk").body("application/x-ndjson", body).await.expect(200).json();
        assert_eq!((&bulk["failed"], &bulk["errors"][0]["field"]), (&json!(1), &json!("quantity")), "{bulk}");
    }
    let exact = r#"{"quantity": 3.0e1}"#;
    shop.ada.request(reqwest::Method::PATCH, &product.path).body("application/json", exact).await.expect(200);
}
