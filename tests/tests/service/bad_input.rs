//! Invalid input is rejected with its location and stores nothing.

use catalog_tests::{Shop, samples};
use reqwest::Method;
use serde_json::{Value, json};

/// Field, an invalid value, and the pointer of the error.
fn bad_fields() -> Vec<(&'static str, Value, &'static str)> {
    let text = |length: usize| json!("x".repeat(length));
    let price = |amount: Value| json!({"amount": amount, "currency": "EUR"});
    let attributes =
        |count: usize| json!((0..count).map(|n| (format!("a{n}"), "v".to_owned())).collect::<std::collections::BTreeMap<_, _>>());
    let categories = |count: usize| json!((0..count).map(|n| format!("c{n}")).collect::<Vec<_>>());
    vec![
        ("sku", json!(""), "#/sku"),
        ("sku", json!("with space"), "#/sku"),
        ("sku", json!("tab\t"), "#/sku"),
        ("sku", text(65), "#/sku"),
        ("sku", json!(7), "#/sku"),
        ("sku", json!("nul\u{0}"), "#/sku"),
        ("name", json!(""), "#/name"),
        ("name", json!("   "), "#/name"),
        ("name", json!("two\nlines"), "#/name"),
        ("name", text(201), "#/name"),
        ("name", json!(["list"]), "#/name"),
        ("name", json!("a\u{0}b"), "#/name"),
        ("brand", json!(""), "#/brand"),
        ("brand", text(101), "#/brand"),
        ("brand", json!({}), "#/brand"),
        ("description", text(10_001), "#/description"),
        ("description", json!("\u{0}"), "#/description"),
        ("description", json!(true), "#/description"),
        ("categories", json!("chairs"), "#/categories"),
        ("categories", json!([""]), "#/categories"),
        ("categories", json!([1]), "#/categories/0"),
        ("categories", json!(["a", "b\u{0}"]), "#/categories/1"),
        ("categories", json!(["same", "same"]), "#/categories"),
        ("categories", categories(51), "#/categories"),
        ("categories", json!(["x".repeat(101)]), "#/categories"),
        ("price", json!("19.90"), "#/price"),
        ("price", json!(19.9), "#/price"),
        ("price", price(json!(19.9)), "#/price/amount"),
        ("price", price(json!("-1")), "#/price"),
        ("price", price(json!("1e3")), "#/price"),
        ("price", price(json!("1.999")), "#/price"),
        ("price", price(json!("1000000000")), "#/price"),
        ("price", price(json!("99999999999999999999999999999999999")), "#/price"),
        ("price", price(json!("NaN")), "#/price"),
        ("price", price(json!("")), "#/price"),
        ("price", price(json!("١٢")), "#/price"),
        ("price", json!({"amount": "1", "currency": "USD"}), "#/price"),
        ("price", json!({"amount": "1", "currency": "eur"}), "#/price"),
        ("price", json!({"amount": "1", "currency": null}), "#/price/currency"),
        ("price", json!({"amount": "1", "currency": "EUR", "vat": "0.19"}), "#/price"),
        ("url", json!(""), "#/url"),
        ("url", json!("javascript:alert(1)"), "#/url"),
        ("url", json!("https://with space/"), "#/url"),
        ("url", json!(format!("https://x.test/{}", "y".repeat(2048))), "#/url"),
        ("released_on", json!("2024-02-30"), "#/released_on"),
        ("released_on", json!("yesterday"), "#/released_on"),
        ("released_on", json!("0999-01-01"), "#/released_on"),
        ("released_on", json!("+12024-01-01"), "#/released_on"),
        ("released_on", json!(20_240_101), "#/released_on"),
        ("attributes", json!([]), "#/attributes"),
        ("attributes", json!({"colour": 7}), "#/attributes/colour"),
        ("attributes", json!({"": "empty"}), "#/attributes"),
        ("attributes", json!({"a/b~c": "nul\u{0}"}), "#/attributes/a~1b~0c"),
        ("attributes", json!({"colour": "x".repeat(2001)}), "#/attributes"),
        ("attributes", json!({"x".repeat(101): "value"}), "#/attributes"),
        ("attributes", attributes(101), "#/attributes"),
        ("quantity", json!(-1), "#/quantity"),
        ("quantity", json!(1.5), "#/quantity"),
        ("colour", json!("red"), "#/colour"),
        ("id", json!("019aa3f0-0000-7000-8000-000000000000"), "#/id"),
    ]
}

#[tokio::test]
async fn every_invalid_field_is_reported_at_its_pointer_and_nothing_is_stored() {
    let shop = Shop::api().await;
    let kept = samples::create(&shop.ada, &samples::product("kept")).await;
    for (field, value, pointer) in bad_fields() {
        let mut body = samples::plain("rejected");
        body[field] = value.clone();
        let shown: String = value.to_string().chars().take(60).collect();
        let created = shop.ada.post("/v1/products", &body).await;
        let patched = shop.ada.patch(&kept.path, &json!({"name": "Half a patch", field: value})).await;
        // After merging, a patch can have fewer errors than a new product, never more.
        for (reply, what) in [(created, "POST"), (patched, "PATCH")] {
            if what == "PATCH" && field == "price" && value == json!({"amount": "1", "currency": null}) {
                continue;
            }
            reply.problem(422, "invalid");
            let pointers = reply.pointers();
            let pointed = pointers.iter().any(|at| at.starts_with(pointer));
            assert!(pointed, "{what} {field} = {shown}: {pointers:?} instead of {pointer}: {}", reply.text());
        }
    }
    let list = shop.anyone.get("/v1/products?in_stock=any").await.expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(shop.anyone.get(&kept.path).await.expect(200).json(), kept.body);
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM events.outbox").fetch_one(&shop.database).await.unwrap();
    assert_eq!(events, 1, "only the product that was kept");
}

#[tokio::test]
async fn all_invalid_fields_are_reported_at_once() {
    let shop = Shop::api().await;
    let body = json!({"sku": "", "name": "", "brand": "", "price": {"amount": "-1", "currency": "EUR"}, "url": "javascript:x"});
    let reply = shop.ada.post("/v1/products", &body).await;
    reply.problem(422, "invalid");
    let mut pointers = reply.pointers();
    pointers.sort_unstable();
    let pointers: Vec<_> = pointers.iter().map(|at| at.trim_end_matches("/amount")).collect();
    assert_eq!(pointers, ["#/brand", "#/name", "#/price", "#/sku", "#/url"]);
}

#[tokio::test]
async fn missing_fields_are_required() {
    let shop = Shop::api().await;
    for field in ["sku", "name", "price"] {
        let mut body = samples::product("rejected");
        body.as_object_mut().unwrap().remove(field);
        let reply = shop.ada.post("/v1/products", &body).await;
        let problem = reply.problem(422, "invalid");
        assert_eq!(problem["errors"], json!([{"pointer": format!("#/{field}"), "detail": format!("{field} is required")}]));
    }
    let limits = json!({"sku": "s".repeat(64), "name": "n".repeat(200), "brand": "b".repeat(100), "description": "d".repeat(10_000),
        "price": {"amount": "0", "currency": "EUR"}, "quantity": 1_000_000_000});
    samples::create(&shop.ada, &limits).await;
}

/// Every endpoint that takes a JSON body.
fn json_endpoints(shop: &Shop, product: &str) -> Vec<(Method, String)> {
    vec![
        (Method::POST, "/v1/auth/login".into()),
        (Method::POST, "/v1/auth/refresh".into()),
        (Method::POST, "/v1/admins".into()),
        (Method::PATCH, format!("/v1/admins/{}", shop.people.grace.id)),
        (Method::POST, "/v1/products".into()),
        (Method::PATCH, product.into()),
    ]
}

#[tokio::test]
async fn bodies_that_are_not_json_are_rejected_by_every_operation() {
    let shop = Shop::api().await;
    let product = samples::create(&shop.ada, &samples::product("kept")).await;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let mut latin = samples::plain("latin").to_string().into_bytes();
    latin.push(b'\xe9');
    for (method, path) in json_endpoints(&shop, &product.path) {
        let send = async |body: &[u8]| shop.ada.request(method.clone(), &path).body("application/json", body.to_vec()).await;
        for body in ["", "{", "nonsense", "{\"a\": }", "{} {}", "\u{feff}{}", "'single'", "{\"a\": 1,}", "NaN", &deep] {
            let reply = send(body.as_bytes()).await;
            reply.problem(400, "malformed");
        }
        send(&latin).await.problem(400, "malformed");
        for body in ["[]", "7", "null", "\"text\"", "true"] {
            let reply = send(body.as_bytes()).await;
            assert!(matches!(reply.status, 400 | 422), "{method} {path} {body}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn bodies_of_another_media_type_are_rejected_by_every_operation() {
    let shop = Shop::api().await;
    let product = samples::create(&shop.ada, &samples::product("kept")).await;
    for (method, path) in json_endpoints(&shop, &product.path) {
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonp", ""] {
            let reply = shop.ada.request(method.clone(), &path).body(content_type, "{}").await;
            reply.problem(415, "unsupported-media-type");
        }
        shop.ada.request(method.clone(), &path).untyped_body("{}").await.problem(415, "unsupported-media-type");
    }
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json(), product.body);
}

#[tokio::test]
async fn bodies_over_their_limit_are_rejected_by_every_operation() {
    let shop = Shop::api().await;
    let product = samples::create(&shop.ada, &samples::product("kept")).await;
    for (method, path) in json_endpoints(&shop, &product.path) {
        let max = if path.starts_with("/v1/products") { 1024 * 1024 } else { 64 * 1024 };
        let padding = max - json!({"name": ""}).to_string().len();
        let body = |more: usize| json!({"name": "x".repeat(padding + more)}).to_string();
        let limit = format!("{} KiB", max / 1024);
        // With a length, and without one.
        let reply = shop.ada.request(method.clone(), &path).body("application/json", body(1)).await;
        assert!(reply.problem(413, "too-large")["detail"].as_str().unwrap().contains(&limit), "{}", reply.text());
        let pieces: Vec<_> = body(1).as_bytes().chunks(16 * 1024).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let stream = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
        shop.ada.request(method.clone(), &path).body("application/json", stream).await.problem(413, "too-large");
        // A body of exactly the limit is read.
        shop.ada.request(method.clone(), &path).body("application/json", body(0)).await.problem(422, "invalid");
    }
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json(), product.body);
}

#[tokio::test]
async fn unknown_query_parameters_are_rejected() {
    let shop = Shop::api().await;
    let product = samples::create(&shop.ada, &samples::product("kept")).await;
    for (method, path) in [
        (Method::GET, "/v1/products?colour=red".to_owned()),
        (Method::GET, "/v1/admins?colour=red".to_owned()),
        (Method::DELETE, format!("{}?colour=red", product.path)),
        (Method::POST, "/v1/products/bulk?colour=red".to_owned()),
        (Method::GET, "/v1/reports/views?colour=red".to_owned()),
        (Method::GET, "/v1/reports/top-products?colour=red".to_owned()),
    ] {
        let reply = shop.ada.request(method.clone(), &path).json(&json!({"items": []})).await;
        reply.problem(400, "invalid-parameters");
    }
    shop.anyone.get(&product.path).await.expect(200);
}
