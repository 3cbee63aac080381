//! Hostile values for every parameter and body of every documented operation: the response is never 500 and always documented
//! (which is checked for every response of this suite).

use catalog_tests::{
    Api, Shop,
    buying::{cart, place},
    samples::{self, create},
    shared::Shared,
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Values for path and query parameters, escaped.
const PARAMETERS: [&str; 18] = [
    "",
    "0",
    "-1",
    "1",
    "99999999999999999999999999",
    "1e400",
    "NaN",
    "null",
    "true",
    "%00",
    "%FF%FE",
    "%F0%9F%9B%8B",
    "..%2F..%2Fetc%2Fpasswd",
    "'%20OR%201=1--",
    "%25%5F%5C",
    "2024-02-30",
    "+262143-12-31T23:59:60Z",
    "%7B%22a%22:1%7D",
];

/// Values for the fields of bodies.
fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(""),
        json!(" "),
        json!("\u{0}"),
        json!("\u{ffff}\u{202e}\u{feff}"),
        json!("x".repeat(20_000)),
        json!("💥".repeat(300)),
        json!(0),
        json!(-1),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e308),
        json!(true),
        json!([]),
        json!([null]),
        json!([[[]]]),
        json!({}),
        json!({"": ""}),
        json!({"amount": "0"}),
        json!({"amount": "9".repeat(400), "currency": "EUR"}),
    ]
}

async fn with_parameters(shop: &Shop, api: &Api, method: &Method, template: &str, operation: &Value) {
    let fill = |value: &str| {
        let mut path = String::new();
        for part in template.split_inclusive(['{', '}']) {
            path.push_str(if part.ends_with('}') { value } else { part.trim_end_matches('{') });
        }
        path
    };
    let known = fill(&shop.people.grace.id);
    for value in PARAMETERS {
        if template.contains('{') {
            api.request(method.clone(), &fill(value)).json(&json!({})).await;
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] == "query" {
                api.request(method.clone(), &format!("{known}?{name}={value}")).json(&json!({"items": []})).await;
            }
        }
    }
}

async fn with_bodies(api: &Api, method: &Method, path: &str, good: &Value) {
    for (field, value) in good.as_object().unwrap().keys().flat_map(|field| values().into_iter().map(move |value| (field, value))) {
        let mut body = good.clone();
        body[field] = value;
        send(api, method, path, &body).await;
    }
    for value in values() {
        send(api, method, path, &value).await;
    }
}

/// With a new idempotency key, which orders require.
async fn send(api: &Api, method: &Method, path: &str, body: &Value) {
    api.request(method.clone(), path).header("idempotency-key", Uuid::now_v7().to_string()).json(body).await;
}

#[tokio::test]
async fn hostile_parameters_get_documented_responses() {
    let shop = Shop::api().await;
    let contract = Shared::get().contract.document();
    for (template, operations) in contract["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let of_a_person = template.contains("/admins/") || template.contains("/customers/");
            if of_a_person && method != "get" || template.contains("logout") {
                // They would end the session of other requests.
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for api in [&shop.ada, &shop.carol, &shop.anyone] {
                with_parameters(&shop, api, &method, template, operation).await;
            }
        }
    }
}

#[tokio::test]
async fn hostile_bodies_get_documented_responses() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::product("fuzz")).await;
    let mut whole = samples::product("fuzz-new");
    whole["quantity"] = json!(5);
    let admin = json!({"username": "fuzz", "email": "fuzz@shop.test", "password": "a passphrase of mine", "full_name": "F. Uzz"});
    let created_admin = shop.ada.post("/v1/admins", &admin).await.expect(201).json();
    with_bodies(&shop.ada, &Method::POST, "/v1/products", &whole).await;
    with_bodies(&shop.ada, &Method::PATCH, &product.path, &whole).await;
    with_bodies(&shop.ada, &Method::POST, "/v1/products/bulk", &json!({"items": [whole]})).await;
    with_bodies(&shop.ada, &Method::PATCH, &format!("/v1/admins/{}", created_admin["id"].as_str().unwrap()), &admin).await;
    with_bodies(&shop.ada, &Method::POST, "/v1/admins", &admin).await;
    with_bodies(&shop.anyone, &Method::POST, "/v1/auth/refresh", &json!({"refresh_token": "x"})).await;
    with_bodies(&shop.anyone, &Method::POST, "/v1/auth/login", &json!({"username": "fuzz", "password": "a passphrase of mine"})).await;
    let customer = json!({"username": "fizz", "email": "fizz@shop.test", "password": "a passphrase of mine", "full_name": "F. Izz"});
    with_bodies(&shop.anyone, &Method::POST, "/v1/customers", &customer).await;
    with_bodies(&shop.dave, &Method::PATCH, "/v1/customers/me", &json!({"email": "dave@shop.test", "full_name": "Dave"})).await;
    let adjustment = json!({"delta": 1, "quantity": 1, "reason": "x"});
    with_bodies(&shop.ada, &Method::POST, &product.at("stock-adjustments"), &adjustment).await;
    let cart = cart(&shop.carol).await;
    with_bodies(&shop.carol, &Method::PUT, &format!("{cart}/items/{}", product.id), &json!({"quantity": 1})).await;
    with_bodies(&shop.carol, &Method::POST, "/v1/carts", &json!({})).await;
    let items = json!([{"product_id": product.id, "quantity": 1}]);
    with_bodies(&shop.carol, &Method::POST, "/v1/orders", &json!({"items": items, "cart_id": product.id})).await;
    for (field, value) in ["product_id", "quantity"].into_iter().flat_map(|field| values().into_iter().map(move |value| (field, value))) {
        let mut items = items.clone();
        items[0][field] = value;
        send(&shop.carol, &Method::POST, "/v1/orders", &json!({"items": items})).await;
    }
    let placed = place(&shop.carol, &json!({"items": items})).await.expect(201).json();
    let order = format!("/v1/orders/{}", placed["id"].as_str().unwrap());
    with_bodies(&shop.ada, &Method::PATCH, &order, &json!({"status": "pending", "reason": "x"})).await;
    with_bodies(&shop.carol, &Method::POST, &format!("{order}/cancel"), &json!({"reason": "x"})).await;
    for item in values() {
        let mut row = whole.clone();
        for field in whole.as_object().unwrap().keys() {
            row[field] = item.clone();
            shop.ada.post("/v1/products/bulk", &json!({"items": [row, item]})).await;
        }
    }
    shop.anyone.get("/v1/products?limit=200&in_stock=any").await.expect(200);
}
