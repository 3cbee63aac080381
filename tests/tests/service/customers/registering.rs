//! Registration of customers.

use catalog_tests::{
    Shop,
    people::{ADA, OWNER},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ME, PASSWORD, login, newcomer, newcomers, refresh, register, sign_in};

#[tokio::test]
async fn a_new_customer_is_returned_without_a_password_and_can_sign_in() {
    let shop = Shop::api().await;
    let reply = shop.anyone.post("/v1/customers", &newcomer("clara")).await.expect(201);
    let customer = reply.json();
    let mut fields: Vec<_> = customer.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["created_at", "email", "full_name", "id", "is_active", "updated_at", "username"]);
    assert_eq!(customer["is_active"], true);
    let location = reply.header("location");
    assert!(location.starts_with("http") && location.ends_with(ME), "{location}");

    let (clara, pair) = sign_in(&shop, "CLARA", PASSWORD).await;
    assert_eq!(clara.get(ME).await.expect(200).json(), customer);
    let next = refresh(&shop, &pair).await.expect(200).json();
    let clara = shop.anyone.with_token(next["access_token"].as_str().unwrap());
    clara.get(ME).await.expect(200);
    clara.post_empty("/v1/auth/logout").await.expect(204);
    clara.get(ME).await.problem(401, "token-revoked");
}

#[tokio::test]
async fn a_full_name_is_optional_and_omitted_when_absent() {
    let shop = Shop::api().await;
    let body = json!({"username": "clara", "email": "clara@home.test", "password": PASSWORD});
    let customer = shop.anyone.post("/v1/customers", &body).await.expect(201).json();
    assert!(customer.get("full_name").is_none(), "{customer}");
}

#[tokio::test]
async fn every_taken_value_is_reported_and_nothing_is_created() {
    let shop = Shop::api().await;
    register(&shop, "clara").await;
    let cases: [(&str, &str, &[&str]); 6] = [
        ("clara", "other@home.test", &["#/username"]),
        ("Clara", "other@home.test", &["#/username"]),
        ("other", "CLARA@home.test", &["#/email"]),
        ("clara", "clara@home.test", &["#/username", "#/email"]),
        // Admins and customers share one namespace.
        (ADA.0, "other@home.test", &["#/username"]),
        (OWNER.0, "other@home.test", &["#/username"]),
    ];
    for (username, email, taken) in cases {
        let body = json!({"username": username, "email": email, "password": PASSWORD});
        let reply = shop.anyone.post("/v1/customers", &body).await.expect(409);
        assert_eq!(reply.pointers(), taken, "{body}: {}", reply.text());
    }
    assert_eq!(newcomers(&shop).await, ["clara"]);
    let admin = json!({"username": "clara", "email": "new@shop.test", "password": PASSWORD});
    assert_eq!(shop.ada.post("/v1/admins", &admin).await.expect(409).pointers(), ["#/username"]);
}

#[tokio::test]
async fn an_admin_can_register_as_a_customer_with_the_same_address() {
    let shop = Shop::api().await;
    let body = json!({"username": "ada-at-home", "email": ADA.1, "password": PASSWORD});
    shop.anyone.post("/v1/customers", &body).await.expect(201);
    let (ada, _) = sign_in(&shop, "ada-at-home", PASSWORD).await;
    assert_eq!(ada.get(ME).await.expect(200).json()["email"], ADA.1);
}

#[tokio::test]
async fn concurrent_requests_for_one_username_create_one_account() {
    let shop = Shop::api().await;
    let body = newcomer("clara");
    let replies = futures::future::join_all((0..6).map(|_| async { shop.anyone.post("/v1/customers", &body).await })).await;
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
    assert_eq!(newcomers(&shop).await, ["clara"]);
}

#[tokio::test]
async fn every_field_of_a_registration_is_validated() {
    let shop = Shop::api().await;
    let long = "x".repeat(5000);
    let cases = [
        ("username", json!("")),
        ("username", json!("with space")),
        ("username", json!("nul\u{0}")),
        ("username", json!(long)),
        ("username", Value::Null),
        ("email", json!("no-address")),
        ("email", json!("x@home.test\r\nBcc: all@home.test")),
        ("email", json!(format!("{long}@home.test"))),
        ("password", json!("short")),
        ("password", json!(long)),
        ("password", json!(7)),
        ("full_name", json!("")),
        ("full_name", json!("two\nlines")),
        ("is_superuser", json!(true)),
        ("is_active", json!(false)),
        ("role", json!("admin")),
        ("id", json!(uuid::Uuid::now_v7())),
        ("address", json!("1 Main Street")),
    ];
    for (field, value) in cases {
        let mut body = newcomer("clara");
        body[field] = value.clone();
        let reply = shop.anyone.post("/v1/customers", &body).await;
        reply.problem(422, "invalid");
        assert_eq!(reply.pointers(), [format!("#/{field}")], "{field} {value}: {}", reply.text());
    }
    for field in ["username", "email", "password"] {
        let mut body = newcomer("clara");
        body.as_object_mut().unwrap().remove(field);
        shop.anyone.post("/v1/customers", &body).await.problem(422, "invalid");
    }
    shop.anyone.request(Method::POST, "/v1/customers").body("application/json", "{").await.problem(400, "malformed");
    shop.anyone.request(Method::POST, "/v1/customers").body("text/plain", "{}").await.problem(415, "unsupported-media-type");
    assert!(newcomers(&shop).await.is_empty());
}

#[tokio::test]
async fn registrations_and_sign_ins_share_the_limit_per_client() {
    let shop = Shop::builder().only_api().setting("AUTH_RATE_PER_CLIENT", "4").start().await;
    let created = shop.anyone.post("/v1/customers", &newcomer("clara")).await.expect(201);
    let taken = shop.anyone.post("/v1/customers", &newcomer("clara")).await.expect(409);
    let invalid = shop.anyone.post("/v1/customers", &json!({})).await.expect(422);
    for reply in [created, taken, invalid] {
        assert!(!reply.header("ratelimit").is_empty() && !reply.header("ratelimit-policy").is_empty(), "{:?}", reply.headers);
    }
    login(&shop, "clara", PASSWORD).await.expect(200);
    let reply = shop.anyone.post("/v1/customers", &newcomer("dan")).await;
    reply.problem(429, "too-many-requests");
    assert!(!reply.header("ratelimit").is_empty(), "{:?}", reply.headers);
    login(&shop, "clara", PASSWORD).await.problem(429, "too-many-requests");
    assert_eq!(newcomers(&shop).await, ["clara"]);
}
