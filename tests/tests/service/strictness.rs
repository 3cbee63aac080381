//! What looks almost right is refused as well: look-alikes, arrays for objects, dates out of range,
//! typos that would go unnoticed, requests that never end.

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
async fn a_look_alike_of_a_username_is_nobody() {
    let shop = Shop::api().await;
    // PostgreSQL's lower() makes an ASCII k of the Kelvin sign.
    let (username, password) = ("kim", "a long enough password");
    shop.ada.post("/v1/admins", &json!({"username": username, "email": "kim@example.com", "password": password})).await.expect(201);
    for spelling in ["kim", "KIM"] {
        shop.anyone.post("/v1/auth/login", &json!({"username": spelling, "password": password})).await.expect(200);
    }
    for look_alike in ["\u{212a}im", "k\u{0130}m", "k\u{0131}m"] {
        let reply = shop.anyone.post("/v1/auth/login", &json!({"username": look_alike, "password": password})).await;
        reply.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn dates_that_no_product_can_have_are_refused_by_name() {
    let shop = Shop::api().await;
    for day in ["-262143-01-01", "-4713-01-01", "0999-12-31"] {
        for parameter in ["before", "after"] {
            shop.anyone.get(&format!("/v1/products?{parameter}={day}")).await.problem(400, "invalid-parameters");
        }
    }
}

#[tokio::test]
async fn a_cursor_made_up_from_parts_is_refused() {
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
async fn a_patch_names_its_typos_even_with_null_and_keeps_what_is_required() {
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

/// The limit itself is 20 s: this waits for the answer, not for time.
#[tokio::test]
async fn a_body_that_stops_is_answered_and_its_connection_ends() {
    let shop = Shop::api().await;
    let address = shop.anyone.base().trim_start_matches("http://").to_owned();
    let mut connection = TcpStream::connect(&address).await.unwrap();
    let head =
        format!("POST /v1/auth/login HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{");
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_mins(2), connection.read_to_end(&mut answer)).await.expect("an answer, and the end").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
}
