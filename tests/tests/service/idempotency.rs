//! `Idempotency-Key` on creating a product.

use catalog_tests::{Api, Reply, Shop, samples};
use serde_json::{Value, json};

/// Marks a stored response.
const REPLAYED: &str = "idempotent-replayed";

async fn create(admin: &Api, key: &str, body: &Value) -> Reply {
    admin.post("/v1/products", body).header("idempotency-key", key).await
}

#[tokio::test]
async fn a_retry_gets_the_stored_response_and_creates_nothing() {
    let shop = Shop::api().await;
    let body = samples::product("T-1");
    let first = create(&shop.ada, "key-1", &body).await.expect(201);
    let again = create(&shop.ada, "key-1", &body).await.expect(201);
    assert_eq!(first.body, again.body);
    for header in ["location", "etag", "content-type"] {
        assert_eq!(first.header(header), again.header(header), "{header}");
    }
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
    assert_eq!((first.header(REPLAYED), again.header(REPLAYED)), ("", "true"));
    // Also after the product was changed or deleted: it is the response to that request.
    let path = format!("/v1/products/{}", first.json()["id"].as_str().unwrap());
    shop.ada.delete(&path).await.expect(204);
    assert_eq!(create(&shop.ada, "key-1", &body).await.expect(201).body, first.body);
    let list = shop.ada.get("/v1/products?in_stock=any").await.expect(200).json();
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn quoted_and_bare_keys_are_the_same_key() {
    let shop = Shop::api().await;
    let body = samples::product("T-1");
    let first = create(&shop.ada, "key-1", &body).await.expect(201);
    assert_eq!(create(&shop.ada, "\"key-1\"", &body).await.expect(201).body, first.body);
}

#[tokio::test]
async fn another_body_with_the_same_key_is_rejected() {
    let shop = Shop::api().await;
    create(&shop.ada, "key-1", &samples::product("T-1")).await.expect(201);
    let reply = create(&shop.ada, "key-1", &samples::product("T-2")).await;
    reply.problem(422, "idempotency-key-reused");
    shop.anyone.get("/v1/products/by-sku/T-2").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_key_belongs_to_its_principal() {
    let shop = Shop::api().await;
    create(&shop.ada, "key-1", &samples::product("T-1")).await.expect(201);
    create(&shop.grace, "key-1", &samples::product("T-2")).await.expect(201);
}

#[tokio::test]
async fn a_rejected_request_does_not_use_its_key() {
    let shop = Shop::api().await;
    let mut bad = samples::product("T-1");
    bad["price"]["amount"] = json!("-1");
    create(&shop.ada, "key-1", &bad).await.problem(422, "invalid");
    create(&shop.ada, "key-1", &samples::product("T-1")).await.expect(201);
}

#[tokio::test]
async fn concurrent_retries_create_one_product() {
    let shop = Shop::api().await;
    let body = samples::product("T-1");
    let replies = futures::future::join_all((0..8).map(|_| create(&shop.ada, "key-1", &body))).await;
    let created: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert!(!created.is_empty());
    assert!(created.windows(2).all(|pair| pair[0].body == pair[1].body));
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.problem(409, "idempotency-key-in-use");
        assert_eq!(reply.header("retry-after"), "1");
    }
    let list = shop.ada.get("/v1/products").await.expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn invalid_keys_are_rejected() {
    let shop = Shop::api().await;
    let long = "k".repeat(256);
    for key in ["", "\"\"", "  ", "two words", "\"two words\"", "tab\tbed", "schl\u{fc}ssel", "half\"", "in\"side", &long] {
        let reply = create(&shop.ada, key, &samples::product("T-1")).await;
        let problem = reply.problem(400, "invalid-parameters");
        assert!(problem["detail"].as_str().unwrap().contains("visible ASCII characters"), "{problem}");
        assert_eq!(reply.pointers(), ["Idempotency-Key"]);
    }
    create(&shop.ada, &"k".repeat(255), &samples::product("T-1")).await.expect(201);
}

#[tokio::test]
async fn a_key_is_kept_for_24_hours() {
    let shop = Shop::api().await;
    create(&shop.ada, "key-1", &samples::product("T-1")).await.expect(201);
    sqlx::query("UPDATE http.idempotency_keys SET created_at = created_at - interval '24 hours 1 second'")
        .execute(&shop.database)
        .await
        .unwrap();
    create(&shop.ada, "key-1", &samples::product("T-2")).await.expect(201);
}
