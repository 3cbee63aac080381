//! Log lines: an error is found by the request id of its problem document.

use std::collections::HashSet;

use catalog_tests::{
    Role, Shop,
    people::ADA,
    samples::{self, create},
};
use serde_json::{Value, json};

/// The line that ends a request.
async fn line_of(shop: &mut Shop, request_id: &str) -> Value {
    let log = shop.process(Role::Serve).log().clone();
    let is_wanted = |entry: &Value| entry["request_id"] == request_id && entry["message"] == "request";
    log.find(&format!("the request {request_id}"), |entry| is_wanted(entry).then(|| entry.clone())).await
}

#[tokio::test]
async fn a_503_is_found_by_its_request_id_with_its_cause_and_its_client() {
    let mut shop = Shop::builder().only_api().private_postgres().allow_error_logs().start().await;
    let product = create(&shop.ada, &samples::plain("L-1")).await;
    shop.postgres_mut().stop().await;
    let mut ids = HashSet::new();
    // Two of them share one query of the batch reader.
    let unread = product.path.replace(&product.id, "019b0000-0000-7000-8000-000000000001");
    let calls = [shop.anyone.get(&unread), shop.anyone.get(&unread), shop.anyone.get("/v1/products"), shop.ada.get("/v1/admins")];
    for reply in futures::future::join_all(calls.map(IntoFuture::into_future)).await {
        let problem = reply.problem(503, "unavailable");
        ids.insert(problem["request_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 4);
    for id in &ids {
        let line = line_of(&mut shop, id).await;
        assert_eq!((&line["level"], &line["status"], &line["problem"]), (&"WARN".into(), &503.into(), &"unavailable".into()), "{line}");
        assert!(line["error"].as_str().is_some_and(|error| !error.is_empty() && !error.contains("Retry-After")), "{line}");
        assert_eq!((&line["client"], &line["method"]), (&"127.0.0.1".into(), &"GET".into()), "{line}");
        assert!(line["path"].is_string() && line["route"].is_string() && line["duration_ms"].is_number(), "{line}");
    }
}

#[tokio::test]
async fn a_500_is_found_by_its_request_id_with_its_cause() {
    let mut shop = Shop::builder().only_api().allow_error_logs().start().await;
    sqlx::query("ALTER TABLE products.products RENAME TO elsewhere").execute(&shop.database).await.unwrap();
    // Without `Api`, which fails on every 500.
    let response = reqwest::get(format!("{}/v1/products", shop.anyone.base())).await.unwrap();
    assert_eq!(response.status(), 500);
    let problem: Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("Quote request_id"), "{problem}");
    let line = line_of(&mut shop, problem["request_id"].as_str().unwrap()).await;
    assert_eq!((&line["level"], &line["status"]), (&"ERROR".into(), &500.into()), "{line}");
    assert!(line["error"].as_str().unwrap().contains("products.products"), "{line}");
    assert!(!problem.to_string().contains("products.products"), "the client doesn't see the cause: {problem}");
}

#[tokio::test]
async fn every_line_of_a_request_carries_its_id() {
    let mut shop = Shop::builder().only_api().setting("RUST_LOG", "catalog_process=info,sqlx=debug").start().await;
    for (id, reply) in [
        ("log-read", shop.anyone.get("/v1/products").header("x-request-id", "log-read").await),
        ("log-write", shop.ada.post("/v1/products", &samples::plain("L-2")).header("x-request-id", "log-write").await),
    ] {
        assert!(reply.status < 300, "{}", reply.text());
        let log = shop.process(Role::Serve).log().clone();
        // Statements are logged, though the filter doesn't name the target of the request's span.
        let is_wanted = |entry: &Value| entry["request_id"] == id && entry["target"].as_str().is_some_and(|t| t.starts_with("sqlx"));
        let line = log.find(id, |entry| is_wanted(entry).then(|| entry.clone())).await;
        assert!(line["route"] == "/v1/products" && line["client"] == "127.0.0.1", "{line}");
    }
}

#[tokio::test]
async fn access_log_lines_have_the_account_of_a_sign_in_and_never_its_credentials() {
    let mut shop = Shop::api().await;
    let me = shop.ada.get("/v1/admins").header("x-request-id", "signed-in").await.expect(200).json();
    let ada = me["items"].as_array().unwrap().iter().find(|admin| admin["username"] == ADA.0).unwrap()["id"].clone();
    shop.ada.post("/v1/products", &samples::plain("L-3")).header("x-request-id", "wrote").await.expect(201);
    let wrong = json!({"username": ADA.0, "password": "wrong-Passw0rd-typed"});
    shop.anyone.post("/v1/auth/login", &wrong).header("x-request-id", "failed").await.expect(401);
    let unknown = json!({"username": "typed-by-mistake", "password": "wrong-Passw0rd-typed"});
    shop.anyone.post("/v1/auth/login", &unknown).header("x-request-id", "unknown").await.expect(401);
    for id in ["wrote", "failed"] {
        let line = line_of(&mut shop, id).await;
        assert_eq!((&line["account_id"], &line["client"]), (&ada, &"127.0.0.1".into()), "{line}");
    }
    assert!(line_of(&mut shop, "unknown").await.get("account_id").is_none());
    let lines = shop.log_lines().join("\n");
    assert!(!lines.contains("typed-by-mistake") && !lines.contains("wrong-Passw0rd-typed"));
}

#[tokio::test]
async fn the_mails_of_a_write_are_found_by_request_id_and_event_id() {
    let mut shop = Shop::start().await;
    shop.ada.post("/v1/products", &samples::plain("L-4")).header("x-request-id", "followed").await.expect(201);
    let event_id = line_of(&mut shop, "followed").await["event_id"].as_str().expect("the event that was written").to_owned();
    let log = shop.process(Role::Notifier).log().clone();
    let sent = |entry: &Value| (entry["message"] == "delivery sent" && entry["event_id"] == *event_id).then(|| entry.clone());
    let line = log.find("the delivery", sent).await;
    assert!(line["delivery_id"].is_number() && line["recipient_id"].is_string() && line["task"] == "sender", "{line}");
    assert!(!log.lines().join("\n").contains('@'), "no line has an address");
}

#[tokio::test]
async fn a_message_that_is_dead_lettered_is_logged_with_its_event_id_and_request_id() {
    let mut shop = Shop::builder().allow_error_logs().start().await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", "broken-event");
    headers.insert("X-Request-Id", "broken-request");
    let subject = format!("{}.changes.product.updated", shop.prefix());
    shop.stream("changes").await;
    shop.jetstream().await.publish_with_headers(subject, headers, "{}".into()).await.unwrap().await.unwrap();
    let log = shop.process(Role::Notifier).log().clone();
    let line = log.find("a dead letter", |entry| (entry["message"] == "message dead-lettered").then(|| entry.clone())).await;
    assert_eq!(
        (&line["event_id"], &line["request_id"], &line["event_type"], &line["consumer"]),
        (&"broken-event".into(), &"broken-request".into(), &"product.updated".into(), &"notifier".into()),
        "{line}"
    );
    assert!(line["reason"].is_string() && line["attempt"].is_number() && line["task"] == "distribution", "{line}");
}
